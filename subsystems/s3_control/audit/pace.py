"""When a fleet is audited next: the more is wrong with it, the sooner."""

from __future__ import annotations

from datetime import datetime, timedelta

SOONEST, LATEST = timedelta(minutes=15), timedelta(days=1)
PACES = ((0.5, timedelta(hours=1)), (0.8, timedelta(hours=6)))  # up to this score, so often


def next_audit(score: float | None, *, critical: bool, now: datetime) -> datetime:
    """Return when to audit again; *score* is None when nobody answered, *critical* with an open critical finding."""
    if score is None:
        return now + SOONEST
    if critical:
        return now + PACES[0][1]
    return now + next((pace for limit, pace in PACES if score <= limit), LATEST)
