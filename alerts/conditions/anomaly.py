"""How unusual the newest value is against the series' own history.

The robust z score: distance from the median in units of the median absolute deviation, scaled to a standard deviation
(Iglewicz and Hoaglin, 1993), so that a few outliers in the history do not hide the next one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from alerts.conditions.kind import MAX_WINDOW_SECONDS, Asked, Kind, choice, number
from alerts.conditions.ragged import Floats, Rows, last, quantile, robust_spread

BEYOND = 1000.0  # a value that leaves a history which never moved


def measure(rows: Rows, asked: Asked, now: float) -> Floats:
    """Return the score of each row's newest value; unknown while its history is too short."""
    newest, history = last(rows), without_newest(rows)
    middle = quantile(history, 0.5)
    spread = robust_spread(history, middle)
    away = newest - middle
    flat = np.where(away == 0, 0.0, np.sign(away) * BEYOND)
    score = np.clip(np.divide(away, spread, out=flat, where=spread > 0), -BEYOND, BEYOND)
    score = np.where(history.counts >= asked.param("min_samples"), score, np.nan)
    by_direction: dict[str, Floats] = {"both": np.abs(score), "up": score, "down": -score}
    return by_direction[asked.param("direction")]


def without_newest(rows: Rows) -> Rows:
    """Return the rows less their last sample: a value is no witness for itself."""
    full = rows.counts > 0
    kept = np.ones(len(rows.values), np.bool_)
    kept[rows.starts[1:][full] - 1] = False
    return Rows(rows.at[kept], rows.values[kept], np.concatenate([[0], np.cumsum(rows.counts - full)]).astype(np.int64))


def _check(params: dict[str, Any]) -> None:
    choice(params, "direction", ("both", "up", "down"))
    number(params, "min_samples", 5, 720)


KIND = Kind(
    "anomaly", "Anomaly", "how many deviations the value is away from what is usual", measure=measure,
    defaults={"direction": "both", "min_samples": 30}, check=_check, needs_window=True,
    default_window=MAX_WINDOW_SECONDS, default_threshold=3.5,
)  # fmt: skip
