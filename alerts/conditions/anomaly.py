"""How unusual the newest value is against the series' own history: the robust z score of S4."""

from __future__ import annotations

from typing import Any

import numpy as np

from alerts.conditions.kind import MAX_WINDOW_SECONDS, Asked, Kind, choice, number
from alerts.conditions.ragged import Floats, Rows, padded
from subsystems.kernel.texts import gettext_noop as _
from subsystems.s4_intelligence.anomalies import robust_z


def measure(rows: Rows, asked: Asked, now: float) -> Floats:
    """Return the score of each row's newest value; unknown while its history is too short."""
    matrix = padded(rows)
    if not matrix.shape[1]:
        return np.full(len(rows), np.nan)
    score = robust_z(matrix[:, -1], matrix[:, :-1])  # a value is no witness for itself
    score = np.where(rows.counts - 1 >= asked.param("min_samples"), score, np.nan)
    by_direction: dict[str, Floats] = {"both": np.abs(score), "up": score, "down": -score}
    return by_direction[asked.param("direction")]


def _check(params: dict[str, Any]) -> None:
    choice(params, "direction", ("both", "up", "down"))
    number(params, "min_samples", 5, 720)


KIND = Kind(
    "anomaly", _("Anomaly"), "how many deviations the value is away from what is usual", measure=measure,
    defaults={"direction": "both", "min_samples": 30}, check=_check, needs_window=True,
    default_window=MAX_WINDOW_SECONDS, default_threshold=3.5,
)  # fmt: skip
