"""How fast a counter rises, per second."""

from __future__ import annotations

import numpy as np

from alerts.conditions.kind import Asked, Kind
from alerts.conditions.ragged import Floats, Rows, rises, span
from subsystems.kernel.texts import gettext_noop as _


def measure(rows: Rows, asked: Asked, now: float) -> Floats:
    """Return the rise per second over the time between the first and the last sample of the window."""
    seconds = span(rows)
    speed: Floats = np.divide(rises(rows), seconds, out=np.full(len(rows), np.nan), where=seconds > 0)
    return speed


KIND = Kind(
    "rate", _("Rate"), "how much the counter rises per second", measure=measure, needs_window=True, default_window=300
)
