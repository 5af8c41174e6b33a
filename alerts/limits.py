"""Whom to spare: the cooldown between similar alerts and the cap per hour (002-39, 2-28, 2-29, 2-49)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

RANK = {"info": 0, "warning": 1, "critical": 2}
WINDOW = timedelta(hours=1)  # sliding


@dataclass(frozen=True, slots=True)
class Told:
    """When people were last told of the same fingerprint, and how bad it was then."""

    at: datetime
    severity: str
    repeats: int = 0  # how often it had come back within the cooldown by then


def suppression(
    severity: str, *, now: datetime, cooldown: timedelta, before: Told | None, told_last_hour: int, max_per_hour: int
) -> str:
    """Return why nobody is to be told: `cooldown`, `hourly_limit`, or an empty text when somebody is.

    Critical is never held back. An alert worse than the last one ignores the cooldown.
    """
    if severity == "critical":
        return ""
    if before and now - before.at < cooldown and RANK[severity] <= RANK[before.severity]:
        return "cooldown"
    return "hourly_limit" if told_last_hour >= max_per_hour else ""
