"""The variety ratio an hour on, foretold from its last twelve (requirement 001-30)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from subsystems.health.scores import Scored
from subsystems.s4_intelligence.forecasting import MIN_SAMPLES, forecast

STEP_SECONDS = 300
STEPS = 144  # twelve hours
HORIZON = 12  # an hour
DIGITS = 4


def foretell(ratios: Mapping[int, float | None], *, now: float) -> Scored:
    """Return what the ratio will be in an hour. *ratios* go by the slot at which each was read, epoch seconds.

    Naive (as it is now) is what is said unless something has beaten it on the past; the inputs say which.
    """
    last = int(now // STEP_SECONDS)
    line = np.full((1, STEPS), np.nan)
    for slot, ratio in ratios.items():
        place = STEPS - 1 - (last - slot // STEP_SECONDS)
        if ratio is not None and 0 <= place < STEPS:
            line[0, place] = ratio
    known = int(np.isfinite(line).sum())
    if known < MIN_SAMPLES:
        return Scored(
            None, f"{known} readings of the ratio; {MIN_SAMPLES} five minutes apart are needed.", {"n": known}
        )
    found = forecast(line, horizon=HORIZON)
    value = float(found.mean[0, -1])
    if not np.isfinite(value):
        return Scored(None, "The ratio cannot be foretold from these readings.", {"n": known})
    skill = float(found.skill[0])
    inputs = {
        "n": known, "used": str(found.used[0]), "skill_vs_naive": round(skill, DIGITS) if np.isfinite(skill) else None,
        "low_80": round(float(found.low80[0, -1]), DIGITS), "high_80": round(float(found.high80[0, -1]), DIGITS),
    }  # fmt: skip
    return Scored(value, f"From {known} readings of twelve hours, by what foretold them best.", inputs)
