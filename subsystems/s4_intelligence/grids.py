"""What is read once and looked at in three grains: five seconds, half minutes and minutes of the last hour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subsystems.s4_intelligence.anomalies import detect
from subsystems.s4_intelligence.matrices import Floats, Ids, last, on_grid, row_quantile
from subsystems.s4_intelligence.trends import trends

FINE, HOUR = 5, 3600
WINDOWS = {"5 min": (5, 60), "1 h": (60, 60)}  # seconds of a step, steps
LONG_WINDOW = ("24 h", 1800, 48)
SMALLEST_CHANGE = 0.1  # of the usual value: a trend below it may be no chance, but it is no news
ANOMALY_STEP = 30
SEASON = "season"  # the detector that looks at hours, and so once an hour


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing found in one row of the matrix."""

    row: int
    kind: str
    name: str
    score: float
    value: float
    usual: float
    p: float | None = None


def fine_grid(rows: Ids, at: Floats, values: Floats, *, n_rows: int, end: float) -> Floats:
    """Return the hour before *end* in steps of five seconds."""
    return on_grid(rows, at, values, n_rows=n_rows, start=end - HOUR, step=FINE, columns=HOUR // FINE)


def coarser(values: Floats, times: int) -> Floats:
    """Return the means of each *times* columns; NaN where nothing was heard in any of them."""
    folded = values.reshape(len(values), values.shape[1] // times, times)
    n = np.isfinite(folded).sum(axis=2)
    total = np.where(np.isfinite(folded), folded, 0.0).sum(axis=2)
    mean: Floats = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    return mean


def anomalies_in(fine: Floats) -> list[Seen]:
    """Return what is unusual at the end of an hour of five-second steps."""
    values = coarser(fine, ANOMALY_STEP // FINE)
    usual = row_quantile(values, 0.5)
    return [
        Seen(row, "anomaly", score.name, float(score.values[row]), float(values[row, -1]), float(usual[row]))
        for score in detect(values)
        for row in np.flatnonzero(score.found).tolist()
    ]


def seasonal_in(hours: Floats, period: int) -> list[Seen]:
    """Return what is unusual at the end of weeks of hourly means, against the same hour of earlier days."""
    usual = row_quantile(hours[:, -1::-period], 0.5)
    return [
        Seen(row, "anomaly", score.name, float(score.values[row]), float(hours[row, -1]), float(usual[row]))
        for score in detect(hours, period=period)
        if score.name == SEASON
        for row in np.flatnonzero(score.found).tolist()
    ]


def trends_in(fine: Floats) -> list[Seen]:
    """Return the trends of the last five minutes and of the last hour that are hardly chance."""
    found = []
    for name, (seconds, steps) in WINDOWS.items():
        found += trends_of(coarser(fine, seconds // FINE)[:, -steps:], name, seconds)
    return found


def trends_of(values: Floats, name: str, step_seconds: int) -> list[Seen]:
    """Return the trends over all of *values* that are hardly chance and no trifle."""
    told = trends(values, step_seconds)
    change = told.slope * step_seconds * (values.shape[1] - 1)
    matters = np.abs(change) >= SMALLEST_CHANGE * np.abs(told.level)
    newest = last(values)
    return [
        Seen(row, "trend", name, float(change[row]), float(newest[row]), float(told.level[row]), float(told.p[row]))
        for row in np.flatnonzero(told.significant() & matters).tolist()
    ]
