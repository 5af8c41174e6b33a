"""Durations as Prometheus and Alertmanager write them: `30s`, `5m`, `1h30m`."""

from __future__ import annotations

import re

from subsystems.kernel.errors import Invalid

SECONDS = {"w": 604_800.0, "d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
LONGEST = 10 * 365 * 86_400.0
_WHOLE = re.compile(r"(?:\d{1,9}(?:ms|[wdhms]))+")
_PART = re.compile(r"(\d{1,9})(ms|[wdhms])")


def read_duration(given: object, field: str) -> float:
    """Return the seconds that *given* names: text like `5m`, or a number of seconds. Raises Invalid."""
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given <= LONGEST:
        return float(given)
    if isinstance(given, str) and _WHOLE.fullmatch(given.strip()):
        seconds = sum(int(number) * SECONDS[unit] for number, unit in _PART.findall(given))
        if seconds <= LONGEST:
            return seconds
    raise Invalid("A duration is like 30s, 5m or 4h.", field=field)


def duration_text(seconds: float) -> str:
    """Return *seconds* as `read_duration` reads it, in the largest units that fit."""
    left, parts = round(seconds * 1000), []
    for unit, size in SECONDS.items():
        count, left = divmod(left, round(size * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
