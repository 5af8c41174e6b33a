"""What moves on by the clock."""

from __future__ import annotations

from datetime import datetime

from alerts.people import waking


def turn(*, now: datetime) -> None:
    """Give back what is acknowledged or snoozed for too long. Two at once share the work."""
    while waking.return_overdue(now=now):
        pass
