"""Holding back what comes and goes: an alert that flaps is told of twice an hour at most, the rest is counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

WINDOW = timedelta(hours=1)  # sliding
FLAPS = 3  # so often within the window an alert must have begun to fire
NOTIFICATIONS = 2  # at most, of one alert that flaps, within the window


def is_flapping(fired: Sequence[datetime], *, now: datetime) -> bool:
    """Return whether an alert that began to fire at each of *fired* flaps."""
    return sum(at > now - WINDOW for at in fired) >= FLAPS


def flap_held(severity: str, fired: Sequence[datetime], told: Sequence[datetime], *, now: datetime) -> bool:
    """Return whether people heard enough of an alert for this hour. Critical is grouped, but never held back."""
    heard = sum(at > now - WINDOW for at in told)
    return severity != "critical" and is_flapping(fired, now=now) and heard >= NOTIFICATIONS
