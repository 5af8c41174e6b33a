"""Time slots: the unit in which periodic work is done once."""

from __future__ import annotations

import math
from datetime import UTC, datetime


def slot_of(moment: datetime, period_seconds: float) -> int:
    """Return the epoch second at which the slot of *moment* starts: `floor(now / period) * period`."""
    return int(math.floor(moment.timestamp() / period_seconds) * period_seconds)


def slot_time(slot: int) -> datetime:
    """Return the aware UTC moment at which *slot* starts."""
    return datetime.fromtimestamp(slot, tz=UTC)
