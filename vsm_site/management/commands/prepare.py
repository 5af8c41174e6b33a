"""`manage.py prepare`: what the services profile needs before its processes start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from vsm_site.first_run import greeting, prepare


class Command(BaseCommand):
    help = "Migrate and make the first user; print the addresses, and on the first run the passwords."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(greeting(settings.ENV.host, settings.ENV.port, settings.FLOWER_PORT, prepare()))
