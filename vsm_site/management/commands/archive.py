"""`manage.py archive`: move settled days of roll-ups into the archive now, and show how far it is."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from subsystems.kernel.errors import VsmError
from subsystems.telemetry import archiving
from vsm_site.management.progress import Bar


class Command(BaseCommand):
    help = "Write every settled day of minutes into VSM_ARCHIVE_URL, read it back, and move what is older than a week."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with Bar("Archiving", self.stderr) as bar:
                report = archiving.archive_due(now=time.time(), progress=bar.show)
        except VsmError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"{report.written} days written, {report.verified} read back, {report.moved} moved out of the database, "
            f"{report.expired} past their time."
        )
