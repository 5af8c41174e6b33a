"""Where a value will be at a horizon if it goes on as it did: S4's straight line or double smoothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from alerts.conditions.kind import Asked, Kind, choice, number
from alerts.conditions.ragged import Floats, Rows, padded
from subsystems.kernel.texts import gettext_noop as _
from subsystems.s4_intelligence.smoothing import holt, line

MIN_SAMPLES = 5


def measure(rows: Rows, asked: Asked, now: float) -> Floats:
    """Return the value expected *horizon_seconds* after *now*; unknown with fewer than five samples."""
    predict = line if asked.param("method") == "linear" else holt
    expected = predict(padded(rows, rows.at), padded(rows), now + asked.param("horizon_seconds"))
    return np.where(rows.counts >= MIN_SAMPLES, expected, np.nan)


def _check(params: dict[str, Any]) -> None:
    choice(params, "method", ("linear", "holt"))
    number(params, "horizon_seconds", 60, 90 * 86_400)


KIND = Kind(
    "forecast", _("Forecast"), "where the value will be at the horizon", measure=measure,
    defaults={"method": "linear", "horizon_seconds": 3600}, check=_check, needs_window=True, default_window=3600,
)  # fmt: skip
