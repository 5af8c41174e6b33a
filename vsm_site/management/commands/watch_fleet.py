"""`manage.py watch_fleet URL`: watch the workers and queues of another Celery application."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from subsystems.kernel.errors import Refused
from subsystems.recursion.models import System
from subsystems.recursion.queries import ROOT_SLUG, root_system
from subsystems.s1_operations.services import watch_fleet


class Command(BaseCommand):
    help = "Watch the Celery application on a broker: its workers and queues then appear by themselves."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "url", help="amqp(s):// or redis(s)://; '-' reads it from standard input, out of the shell's history"
        )
        parser.add_argument("--name", default="", help="what to call the fleet (its host by default)")
        parser.add_argument("--system", default=ROOT_SLUG, help="slug of the system that it belongs to")

    def handle(self, *, url: str, name: str, system: str, **_: Any) -> None:
        home = root_system() if system == ROOT_SLUG else System.objects.filter(slug=system).first()
        if home is None:
            raise CommandError(f"There is no system {system!r}.")
        try:
            fleet = watch_fleet(home, sys.stdin.readline() if url == "-" else url, name=name)
        except Refused as refusal:
            raise CommandError(refusal.detail) from None
        self.stdout.write(f"Watching {fleet.name} on {fleet.broker_display}.")
        if fleet.last_error:
            self.stderr.write(f"Its broker does not answer yet: {fleet.last_error}")
