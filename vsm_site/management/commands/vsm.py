"""`manage.py vsm`: the whole platform in one process."""

from __future__ import annotations

import secrets
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand

from subsystems.recursion.queries import root_system
from subsystems.s1_operations import receiver
from vsm_site import embedded
from vsm_site.celery import app
from vsm_site.flower_server import FlowerServer, flower_password


class Command(BaseCommand):
    """Migrate, make the first user, run everything until Ctrl-C."""

    help = "Run the whole platform in this process: web, worker, beat, Flower."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=settings.ENV.port)
        parser.add_argument("--flower-port", type=int, default=settings.FLOWER_PORT, help="0 runs without Flower")

    def handle(self, *args: Any, port: int, flower_port: int, **options: Any) -> None:
        if not settings.EMBEDDED:
            raise CommandError("VSM_PROFILE is not embedded; use `make up PROFILE=services`.", returncode=2)
        try:
            self._run(settings.ENV.host, port, flower_port)
        except embedded.CannotStart as error:
            raise CommandError(str(error), returncode=2) from None
        embedded.leave()

    def _run(self, host: str, port: int, flower_port: int) -> None:
        lock = embedded.claim_home(settings.HOME)
        bound = embedded.listen(host, port, "VSM_PORT")
        if flower_port:
            embedded.refuse_taken_port(host, flower_port, "VSM_FLOWER_PORT")
        call_command("migrate", verbosity=0, interactive=False)
        root_system()
        new_password = ensure_admin(settings.ENV.admin_user, settings.ENV.admin_password)
        secret, new_secret = flower_password(settings.HOME, settings.ENV.admin_password)

        parts: list[embedded.Part] = [embedded.Worker(app)]
        if flower_port:
            login = settings.ENV.admin_user
            parts.append(FlowerServer(app, host=host, port=flower_port, user=login, password=secret))
        parts += [embedded.Functions(receiver.start_all, receiver.stop_all), embedded.Beat(app)]

        def greet() -> None:
            self._greet(host, port, flower_port, new_password, secret if new_secret else "")

        embedded.run(parts, "vsm_site.asgi:application", bound, greet)
        lock.close()
        self.stdout.write("Stopped.")

    def _greet(self, host: str, port: int, flower_port: int, new_password: str, new_secret: str) -> None:
        """Say where everything is; passwords only on the run that made them."""
        user = settings.ENV.admin_user
        shown = f"[{host}]" if ":" in host else host
        lines = ["", f"  VSM runs at      http://{shown}:{port}/", f"  Admin user       {user}"]
        if new_password:
            lines.append(f"  Admin password   {new_password}   (shown this once)")
        if flower_port:
            lines.append(f"  Flower           http://{shown}:{flower_port}/   (user {user})")
            if new_secret:
                lines.append(f"  Flower password  {new_secret}   (kept in {settings.HOME / 'flower_password'})")
        self.stdout.write("\n".join([*lines, "  Ctrl-C stops it.", ""]))
        sys.stdout.flush()


def ensure_admin(name: str, password: str) -> str:
    """Make the admin user unless it exists; return the password if one had to be made up, else nothing."""
    if User.objects.filter(username=name).exists():
        return ""
    generated = "" if password else secrets.token_urlsafe(12)
    User.objects.create_superuser(name, password=password or generated)
    return generated
