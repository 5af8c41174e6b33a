"""What is past its time leaves the database: days of minutes, months of five minutes and hours (000-60, 2-26).

Nothing leaves before the step above is made of it, and where there is an archive no minute leaves before its day has
been read back from there: `archiving` moves those.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import transaction

from subsystems.telemetry import partitions, tiers, warm
from subsystems.telemetry.steps import FIVE_MINUTES, HOUR, MINUTE, Step

logger = logging.getLogger(__name__)


def forget(*, now: float) -> int:
    """Delete the roll-ups that nobody has to keep any more; return how many rows (of partitions: how many held any)."""
    tiers.roll_up_steps(now=now)
    steps = (FIVE_MINUTES, HOUR) if settings.ARCHIVE_URL else (MINUTE, FIVE_MINUTES, HOUR)
    return sum(drop(step, *span) for step in steps for span in past(step, now=now) if not _still_needed(step, span))


def past(step: Step, *, now: float) -> list[tuple[int, int]]:
    """Return [start, end) of what of *step* is past its time and may leave, oldest first."""
    waiting = warm.oldest_due()
    found = warm.spans(step, before=now - step.keep_seconds)
    return [span for span in found if waiting is None or span[1] <= waiting]


def drop(step: Step, start: int, end: int) -> int:
    """Take the rows of a day or month away, a whole partition at once where there are partitions."""
    if not partitions.partitioned():
        return warm.forget(start, end, step)
    with transaction.atomic():
        gone = warm.count(start, end, step)[0]
        partitions.drop(step, start)
    return gone


def _still_needed(step: Step, span: tuple[int, int]) -> bool:
    """Return whether minutes of *span* wait for the archive: until then no coarser row of them leaves either."""
    return bool(settings.ARCHIVE_URL) and step is not MINUTE and warm.count(*span, MINUTE)[0] > 0
