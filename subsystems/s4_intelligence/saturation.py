"""When a forecast reaches a limit, and how likely that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from subsystems.s4_intelligence.matrices import Floats

HALF_80 = 1.2816  # deviations of a normal distribution to each side that hold 80 %
SURE = 0.99  # nobody is surer of a forecast than that
WORTH_TELLING = 0.2


@dataclass(frozen=True, slots=True)
class Crossing:
    """Steps until the limit is reached: by the mean, at the earliest and at the latest (95 %); None: not in the span.

    *chance* is that of being at or over the limit at some step: the highest of the steps.
    """

    expected: int | None
    earliest: int | None
    latest: int | None
    chance: float


def crossing(lines: dict[str, Floats], limit: float) -> Crossing:
    """Return when the five lines of a forecast reach *limit* from below."""
    # Of the two sides the wider: the other may be cut off where the series cannot go.
    wider = np.maximum(lines["high80"] - lines["mean"], lines["mean"] - lines["low80"])
    spread = np.maximum(wider / HALF_80, 0.0)
    chances = [_above(mean, sigma, limit) for mean, sigma in zip(lines["mean"].tolist(), spread.tolist(), strict=True)]
    return Crossing(
        _first(lines["mean"], limit), _first(lines["high95"], limit), _first(lines["low95"], limit),
        min(max(chances), SURE),
    )  # fmt: skip


def _first(line: Floats, limit: float) -> int | None:
    reached = np.flatnonzero(line >= limit)
    return int(reached[0]) if len(reached) else None


def _above(mean: float, sigma: float, limit: float) -> float:
    if sigma <= 0:
        return 1.0 if mean >= limit else 0.0
    return 0.5 * math.erfc((limit - mean) / sigma / math.sqrt(2))
