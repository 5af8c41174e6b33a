"""What is past its time leaves the database, a chunk at a time: days of minutes, thirty days of hours (000-60, 2-26).

Nothing leaves before the step above is made of it, and where there is an archive no minute leaves before its day has
been read back from there: `archiving` moves those.
"""

from __future__ import annotations

import logging

from django.conf import settings

from subsystems.telemetry import chunk_table, packing, tiers, warm
from subsystems.telemetry.steps import FIVE_MINUTES, HOUR, MINUTE, Step

logger = logging.getLogger(__name__)


def forget(*, now: float) -> int:
    """Pack what has settled, delete the roll-ups that nobody has to keep any more; return how many were deleted."""
    tiers.roll_up_steps(now=now)
    packing.pack_settled(now=now)
    steps = (FIVE_MINUTES, HOUR) if settings.ARCHIVE_URL else (MINUTE, FIVE_MINUTES, HOUR)
    return sum(
        chunk_table.forget(span[0], step)
        for step in steps
        for span in past(step, now=now)
        if not _still_needed(step, span)
    )


def past(step: Step, *, now: float) -> list[tuple[int, int]]:
    """Return [start, end) of what of *step* is past its time and may leave, oldest first."""
    waiting = warm.oldest_due()
    found = chunk_table.spans(step, before=now - step.keep_seconds)
    return [span for span in found if waiting is None or span[1] <= waiting]


def _still_needed(step: Step, span: tuple[int, int]) -> bool:
    """Return whether minutes of *span* wait for the archive: until then no coarser roll-up of them leaves either."""
    return bool(settings.ARCHIVE_URL) and step is not MINUTE and warm.count(*span, MINUTE)[0] > 0
