"""`manage.py replay NAME`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from subsystems.event_log import registry, services
from subsystems.kernel.errors import Refused
from vsm_site.management.progress import Bar


class Command(BaseCommand):
    help = "Build the read model of an event handler again from the first event."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="Name of the event handler")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with Bar("Replaying", self.stderr) as bar:
                events = services.replay(options["name"], bar.show)
        except Refused as error:
            known = ", ".join(sorted(registry.handlers()))
            raise CommandError(f"{error.detail} There are: {known}.") from None
        self.stdout.write(f"{options['name']} went through {events} events.")
