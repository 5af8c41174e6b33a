"""How far a system has come towards what it is to reach (requirements 000-79, 3.7)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """One goal: its name, its weight and how far it has come; None is not known."""

    name: str
    weight: float
    progress: float | None


def progress(value: float | None, *, baseline: float, target: float) -> float | None:
    """Return (value - baseline) / (target - baseline) in 0-1: targets below the baseline count downwards."""
    if value is None or not math.isfinite(value) or target == baseline:
        return None
    return min(1.0, max(0.0, (value - baseline) / (target - baseline)))


def overall(standings: Iterable[Standing]) -> float | None:
    """Return the weighted mean of the goals whose progress is known; None when there is none."""
    known = [each for each in standings if each.progress is not None and each.weight > 0]
    if not known:
        return None
    weight = math.fsum(each.weight for each in known)
    return math.fsum(each.weight * each.progress for each in known if each.progress is not None) / weight
