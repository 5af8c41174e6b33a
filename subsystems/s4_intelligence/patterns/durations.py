"""Lengths of time as people write them: `30s`, `5m`, `1h30m`, `minutes_5` (requirements 004-23), or seconds."""

from __future__ import annotations

import re

LONGEST_SECONDS = 86_400.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_WORDS = {"seconds": 1.0, "second": 1.0, "minutes": 60.0, "minute": 60.0, "hours": 3600.0, "hour": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DOCUMENTED = re.compile(r"(seconds?|minutes?|hours?)_(\d{1,6})")


def seconds_of(given: object) -> float:
    """Return a length of time in seconds. Raises ValueError for what is none, or not within a day."""
    seconds = _seconds(given)
    if seconds is None or not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError("a length of time is like 30s, 5m or 1h, more than nothing and at most a day")
    return seconds


def _seconds(given: object) -> float | None:
    if isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    if not isinstance(given, str) or len(given) > 40:
        return None
    if documented := _DOCUMENTED.fullmatch(given):
        return _WORDS[documented[1]] * int(documented[2])
    parts = _PART.findall(given)
    if not parts or "".join(number + unit for number, unit in parts) != given.replace(" ", ""):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def words(seconds: float) -> str:
    """Return a length of time as `seconds_of` reads it."""
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g}{unit}"
    return f"{seconds:g}s"
