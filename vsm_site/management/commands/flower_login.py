"""`manage.py flower_login`: the login that the Flower process of the services profile starts with."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from vsm_site.first_run import flower_password


class Command(BaseCommand):
    help = "Print user:password of Flower."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        password, _ = flower_password(settings.HOME, settings.ENV.admin_password)
        self.stdout.write(f"{settings.ENV.admin_user}:{password}")
