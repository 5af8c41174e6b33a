"""`manage.py vsm`: the whole platform in one process."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.checks import Tags
from django.core.management import CommandError
from django.core.management.base import BaseCommand

from subsystems.algedonic.canary import Watch
from subsystems.fleets import receiver
from subsystems.messaging import inbound
from subsystems.messaging.relay import Relay
from subsystems.s2_coordination import services as schedules
from subsystems.variety import gathering
from vsm_site import amqp_ingest, embedded, statsd_server
from vsm_site.celery import app
from vsm_site.first_run import Logins, greeting, prepare
from vsm_site.flower_server import FlowerServer


class Command(BaseCommand):
    """Migrate, make the first user, run everything until Ctrl-C."""

    help = "Run the whole platform in this process: web, worker, beat, Flower."
    # Not of addresses, admin and templates: that loads every page, and these are of the code, which the tests check.
    requires_system_checks = [Tags.database, Tags.files, Tags.models, Tags.security, Tags.signals]

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
        embedded.spare_memory()
        lock = embedded.claim_home(settings.HOME)
        bound = embedded.listen(host, port, "VSM_PORT")
        if flower_port:
            embedded.refuse_taken_port(host, flower_port, "VSM_FLOWER_PORT")
        logins = prepare()
        parts: list[embedded.Part] = [embedded.Worker(app), Relay(app), inbound.reader(), Watch(schedules.watch)]
        if flower_port:
            parts.append(
                FlowerServer(app, host=host, port=flower_port, user=logins.user, password=logins.flower_password)
            )
        if not settings.BROKER_URL.startswith("vsm://"):  # nobody outside reaches the broker of this process
            parts.append(amqp_ingest.reader())
        parts += [
            *statsd_server.configured(),
            embedded.Functions(receiver.start_all, receiver.stop_all),
            embedded.Functions(lambda: None, gathering.stop),
            embedded.Beat(app),
        ]
        embedded.run(parts, "vsm_site.asgi:application", bound, lambda: self._greet(host, port, flower_port, logins))
        lock.close()
        self.stdout.write("Stopped.")

    def _greet(self, host: str, port: int, flower_port: int, logins: Logins) -> None:
        """Say where everything is; passwords only on the run that made them."""
        self.stdout.write(greeting(host, port, flower_port, logins))
        sys.stdout.flush()
