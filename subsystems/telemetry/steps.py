"""The steps of the warm tier: how long each is, how long it is kept and which one it is made of (000-60)."""

from __future__ import annotations

from typing import NamedTuple

DAY = 86_400


class Step(NamedTuple):
    """One step: its length, how long it is kept, the table of its rows, and how much of a series is packed as one."""

    seconds: int
    keep_seconds: int
    table: str
    chunk_seconds: int


MINUTE = Step(60, 7 * DAY, "telemetry_rollup", DAY)
FIVE_MINUTES = Step(300, 30 * DAY, "telemetry_fiveminuterollup", DAY)
HOUR = Step(3600, 365 * DAY, "telemetry_hourrollup", 30 * DAY)
STEPS = {step.seconds: step for step in (MINUTE, FIVE_MINUTES, HOUR)}
PARENT = {60: 300, 300: 3600}
FINER = {300: 60, 3600: 300}


def floor(at: float, seconds: int) -> int:
    """Return the start of the step of *seconds* that *at* lies in."""
    return int(at // seconds) * seconds
