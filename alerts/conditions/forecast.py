"""Where a value will be at a horizon if it goes on as it did: a straight line, or Holt's double smoothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from alerts.conditions.kind import Asked, Kind, choice, number
from alerts.conditions.ragged import Floats, Rows, summed

MIN_SAMPLES = 5
LEVEL, TREND = 0.5, 0.1  # Holt's two factors


def measure(rows: Rows, asked: Asked, now: float) -> Floats:
    """Return the value expected *horizon_seconds* after *now*; unknown with fewer than five samples."""
    ahead = asked.param("horizon_seconds")
    predict = linear if asked.param("method") == "linear" else holt
    return np.where(rows.counts >= MIN_SAMPLES, predict(rows, now + ahead), np.nan)


def linear(rows: Rows, moment: float) -> Floats:
    """Return the least-squares line of each row at *moment*."""
    counts = np.where(rows.counts > 0, rows.counts, 1)
    middle = summed(rows, rows.at) / counts
    height = summed(rows) / counts
    x = rows.at - middle[rows.row_of]
    spread = summed(rows, x * x)
    slope = np.divide(summed(rows, x * rows.values), spread, out=np.zeros(len(rows)), where=spread > 0)
    return height + slope * (moment - middle)


def holt(rows: Rows, moment: float) -> Floats:
    """Return level and trend of each row carried on to *moment*; steps may be of unequal length."""
    longest = int(rows.counts.max(initial=0))
    at, values = padded(rows, rows.at, longest), padded(rows, rows.values, longest)
    level, seen = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    trend = np.zeros(len(rows))
    for column in range(longest):  # over time; the series go side by side
        heard = ~np.isnan(values[:, column])
        begins = heard & np.isnan(level)
        step = at[:, column] - seen
        on = heard & ~begins & (step > 0)
        before = level.copy()
        expected = level + trend * step
        level = np.where(on, LEVEL * values[:, column] + (1 - LEVEL) * expected, level)
        trend = np.where(on, TREND * (level - before) / np.where(on, step, 1) + (1 - TREND) * trend, trend)
        level = np.where(begins, values[:, column], level)
        seen = np.where(heard, at[:, column], seen)
    return level + trend * (moment - seen)


def padded(rows: Rows, values: Floats, longest: int) -> Floats:
    """Return the rows as a matrix, right-aligned, NaN where a row is shorter."""
    matrix = np.full((len(rows), longest), np.nan)
    column = np.arange(len(values)) - rows.starts[:-1][rows.row_of] + (longest - rows.counts)[rows.row_of]
    matrix[rows.row_of, column] = values
    return matrix


def _check(params: dict[str, Any]) -> None:
    choice(params, "method", ("linear", "holt"))
    number(params, "horizon_seconds", 60, 90 * 86_400)


KIND = Kind(
    "forecast", "Forecast", "where the value will be at the horizon", measure=measure,
    defaults={"method": "linear", "horizon_seconds": 3600}, check=_check, needs_window=True, default_window=3600,
)  # fmt: skip
