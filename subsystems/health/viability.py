"""Viability of one system: the documented score with its decomposition, and the stricter views beside it (002-32, 3.3).

Beer gives no weighted score; the documented one hides the loss of a whole function. So the weakest link, the geometric
mean and a structural checklist are computed beside it and never replace it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from subsystems.kernel.health import Health, band, mean_known
from subsystems.kernel.words import Subsystem

DIGITS = 9  # all degraded with overall 0.8 must be 0.70, not 0.6999999999999999 (appendix A)
POINTS = {Health.HEALTHY: 1.0, Health.DEGRADED: 0.6, Health.UNHEALTHY: 0.2, Health.UNKNOWN: 0.5}  # 002-32
WEIGHTS: Mapping[Subsystem, float] = {
    Subsystem.S1: 0.3, Subsystem.S2: 0.1, Subsystem.S3: 0.2, Subsystem.S4: 0.2, Subsystem.S5: 0.2,
}  # fmt: skip


class Level(StrEnum):
    """What a viability score calls for (002-33)."""

    NORMAL = "normal"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Rules:
    """The weights and thresholds in force: S5's policy (002-28, 002-32)."""

    weights: Mapping[Subsystem, float]
    viability_threshold: float = 0.7
    critical_threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class Part:
    """One summand of the score: `contribution = weight * points / 2`, rounded to 9 decimals."""

    subsystem: str
    score: float | None
    status: Health
    weight: float
    points: float
    contribution: float | None  # None where the whole score is unknown

    def to_wire(self) -> dict[str, Any]:
        """Return the contract's JSON of a part, with its points beside."""
        return {
            "subsystem": self.subsystem, "score": self.score, "status": str(self.status), "weight": self.weight,
            "points": self.points, "contribution": self.contribution,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Viability:
    """A judgement; the contributions of *parts* add up to *score*."""

    score: float | None
    level: Level
    overall_health: float | None
    parts: list[Part]
    weakest_link: dict[str, Any] | None
    geometric: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the structural checklist; *ok* None means that nobody measured it."""

    name: str
    ok: bool | None
    reason: str

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"name": self.name, "ok": self.ok, "reason": self.reason}


def judge(scores: Mapping[Subsystem, float | None], rules: Rules) -> Viability:
    """Judge a system by its five scores, None where nothing was measured.

    With nothing measured at all there is no score: the documented formula would call it 0.75 and normal.
    """
    overall = mean_known(scores.get(each) for each in Subsystem)
    parts = decompose({each: scores.get(each) for each in Subsystem}, overall, rules.weights)
    score = None if overall is None else total(parts)
    if score is None:
        parts = [replace(part, contribution=None) for part in parts]
    return Viability(score, level(score, rules), overall, parts, weakest_link(scores), geometric(scores, rules.weights))


def decompose(
    scores: Mapping[Subsystem, float | None], overall: float | None, weights: Mapping[Subsystem, float]
) -> list[Part]:
    """Return the summands of the documented score: five status scores by weight, and overall health (002-32).

    Where weights that add up to more than 1 carry the sum over 1, a part `clamp` takes the excess away again.
    """
    parts = [_part(str(each), scores[each], weights[each], POINTS[band(scores[each])]) for each in Subsystem]
    parts.append(_part("overall", overall, 1.0, overall or 0.0))
    excess = round(total(parts) - 1.0, DIGITS)
    if excess > 0:
        parts.append(Part("clamp", None, Health.UNKNOWN, 0.0, 0.0, -excess))
    return parts


def total(parts: Iterable[Part]) -> float:
    """Return the sum of the contributions, to 9 decimals."""
    return round(math.fsum(part.contribution or 0.0 for part in parts), DIGITS)


def level(score: float | None, rules: Rules) -> Level:
    """Return what *score* calls for; both thresholds are strict (002-33)."""
    if score is None:
        return Level.UNKNOWN
    if round(score, DIGITS) < rules.critical_threshold:
        return Level.CRITICAL
    return Level.WARNING if round(score, DIGITS) < rules.viability_threshold else Level.NORMAL


def weakest_link(scores: Mapping[Subsystem, float | None]) -> dict[str, Any] | None:
    """Return the subsystem with the lowest known score, or None when none is known (3.3)."""
    known = [(score, str(each)) for each, score in scores.items() if score is not None]
    if not known:
        return None
    score, subsystem = min(known)
    return {"subsystem": subsystem, "score": score}


def geometric(scores: Mapping[Subsystem, float | None], weights: Mapping[Subsystem, float]) -> float | None:
    """Return the weighted geometric mean of the known scores, their weights made to add up to 1 (3.3)."""
    known = {each: score for each, score in scores.items() if score is not None and weights[each] > 0}
    if not known:
        return None
    if min(known.values()) <= 0:
        return 0.0
    weight = math.fsum(weights[each] for each in known)
    return round(math.exp(math.fsum(weights[each] * math.log(score) for each, score in known.items()) / weight), DIGITS)


def structural(checks: Iterable[Check]) -> dict[str, Any]:
    """Return the checklist with the share of what was checked that holds; *viable* needs every line (3.3)."""
    lines = list(checks)
    known = [check.ok for check in lines if check.ok is not None]
    viable = False if False in known else (True if lines and len(known) == len(lines) else None)
    return {
        "score": sum(known) / len(known) if known else None,
        "viable": viable,
        "checks": [check.to_wire() for check in lines],
    }


def _part(name: str, score: float | None, weight: float, points: float) -> Part:
    return Part(name, score, band(score), weight, points, round(weight * points / 2, DIGITS))
