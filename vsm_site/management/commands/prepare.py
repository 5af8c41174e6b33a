"""`manage.py prepare`: what the services profile needs before its processes start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from vsm_site.first_run import prepare


class Command(BaseCommand):
    help = "Migrate and make the first user; print the addresses, and on the first run the passwords."

    def handle(self, *args: Any, **options: Any) -> None:
        logins = prepare()
        host, port = settings.ENV.host, settings.ENV.port
        lines = [
            "",
            f"  VSM runs at      http://{host}:{port}/",
            f"  Flower           http://{host}:{settings.FLOWER_PORT}/",
        ]
        self.stdout.write("\n".join([*lines, *logins.lines(), "  Ctrl-C stops it.", ""]))
