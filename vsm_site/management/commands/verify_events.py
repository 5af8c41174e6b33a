"""`manage.py verify_events [--from N] [--to N] [--checkpoints FILE]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from subsystems.event_log import queries
from subsystems.event_log.checkpoints import Checkpoint, parse
from vsm_site.management.progress import Bar


class Command(BaseCommand):
    help = "Prove that no event was altered, deleted, inserted or moved, or name the first position where one was."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="start", type=int, default=1, help="First position (1)")
        parser.add_argument("--to", dest="end", type=int, default=None, help="Last position (the newest)")
        parser.add_argument("--checkpoints", type=Path, help="A log file with signed checkpoints to hold against it")

    def handle(self, *args: Any, **options: Any) -> None:
        with Bar("Verifying", self.stderr) as bar:
            verdict = queries.verify(options["start"], options["end"], bar.show, outside=_outside(options))
        for finding in verdict.findings:
            self.stderr.write(f"{finding.position}: {finding.kind}: {finding.detail}")
        if not verdict.ok:
            self.stdout.write(f"The first bad position is {verdict.first_bad}.")
            sys.exit(1)
        self.stdout.write(
            f"{verdict.checked} events verified, from {verdict.from_position} to {verdict.to_position}: all as sealed."
        )


def _outside(options: dict[str, Any]) -> list[Checkpoint]:
    path: Path | None = options["checkpoints"]
    if path is None:
        return []
    try:
        with path.open(errors="replace") as lines:
            found = parse(lines)
    except OSError as error:
        raise CommandError(f"Cannot read {path}: {error.strerror}.") from None
    if not found:
        raise CommandError(f"There is no checkpoint in {path}.")
    return found
