"""The steps of the warm tier: how long each is, how long it is kept and which one it is made of (000-60)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

DAY = 86_400


class Step(NamedTuple):
    """One step: its length, how long its rows are kept, its table, and whether a partition is a month or a day."""

    seconds: int
    keep_seconds: int
    table: str
    monthly: bool


MINUTE = Step(60, 7 * DAY, "telemetry_rollup", False)
FIVE_MINUTES = Step(300, 30 * DAY, "telemetry_fiveminuterollup", True)
HOUR = Step(3600, 365 * DAY, "telemetry_hourrollup", True)
STEPS = {step.seconds: step for step in (MINUTE, FIVE_MINUTES, HOUR)}
PARENT = {60: 300, 300: 3600}
FINER = {300: 60, 3600: 300}


def floor(at: float, seconds: int) -> int:
    """Return the start of the step of *seconds* that *at* lies in."""
    return int(at // seconds) * seconds


def span_of(step: Step, at: float) -> tuple[int, int]:
    """Return [start, end) of the day or the month (UTC) that *at* lies in: what is kept and dropped as one."""
    if not step.monthly:
        start = floor(at, DAY)
        return start, start + DAY
    first = datetime.fromtimestamp(at, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return int(first.timestamp()), int(after.timestamp())
