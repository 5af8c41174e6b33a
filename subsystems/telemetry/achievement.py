"""Beer's measures of achievement: actuality, capability, potentiality and the three indices made of them.

Brain of the Firm, 2nd edition, chapter 11 (requirements 3.4): productivity = A/C, latency = C/P, performance = A/P =
productivity x latency. Latency is called `achievement_latency` here, because elsewhere a latency is a time.
Productivity alone misleads: cutting capability raises it and destroys latency, so the three are given together.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from subsystems.kernel.errors import Invalid

DIGITS = 9
LEAST_HISTORY = 8
UNUSUAL = 3.5  # robust z (Iglewicz and Hoaglin 1993)
TO_SIGMA = 1.4826  # a median absolute deviation as a standard deviation


@dataclass(frozen=True, slots=True)
class Achievement:
    """What a unit does, could do now, and ought to be able to do; and the three indices, None where one is missing."""

    actuality: float | None
    capability: float | None
    potentiality: float | None
    less_is_better: bool
    productivity: float | None
    achievement_latency: float | None
    performance: float | None
    findings: tuple[str, ...]

    @property
    def statement(self) -> str:
        """Return the three in one line, which is the only way to show any of them."""
        shown = (("productivity", self.productivity), ("latency", self.achievement_latency))
        parts = [f"{name} {_text(value)}" for name, value in (*shown, ("performance", self.performance))]
        return ", ".join(parts)

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON, always of all three."""
        wire = {name: getattr(self, name) for name in self.__slots__}
        return {**wire, "findings": list(self.findings), "statement": self.statement}


def achievement(
    actuality: float | None,
    capability: float | None,
    potentiality: float | None,
    *,
    less_is_better: bool = False,
) -> Achievement:
    """Return the three indices of one measure of one unit. Raises Invalid naming the field.

    Where *less_is_better* (a duration, a cost) the ratios are turned over. A <= C <= P should hold, and the indices lie
    in 0 to 1 then; where it does not, they are given as they are and a finding says which estimate is out of date.
    """
    _check(actuality, "actuality", zero=not less_is_better)
    _check(capability, "capability")
    _check(potentiality, "potentiality")
    order = (lambda low, high: _share(high, low)) if less_is_better else _share
    return Achievement(
        actuality=actuality,
        capability=capability,
        potentiality=potentiality,
        less_is_better=less_is_better,
        productivity=order(actuality, capability),
        achievement_latency=order(capability, potentiality),
        performance=order(actuality, potentiality),
        findings=_findings(order(actuality, capability), order(capability, potentiality)),
    )


def bought_by_cutting(before: Achievement, after: Achievement) -> bool:
    """Return whether productivity rose while latency fell and performance did not rise: capability was cut."""
    pairs = (
        (before.productivity, after.productivity),
        (after.achievement_latency, before.achievement_latency),
    )
    rose = all(low is not None and high is not None and round(high - low, DIGITS) > 0 for low, high in pairs)
    if not rose or before.performance is None or after.performance is None:
        return False
    return round(after.performance - before.performance, DIGITS) <= 0


def deviation(history: Sequence[float], current: float) -> float | None:
    """Return by how many (robust) standard deviations *current* is off its own history; None while that is short.

    It is the change of an index against itself, not a fixed limit, that is worth a signal (requirements 3.4). Signed; a
    history that never varied makes any change infinite.
    """
    if len(history) < LEAST_HISTORY:
        return None
    middle = statistics.median(history)
    spread = TO_SIGMA * statistics.median(abs(each - middle) for each in history)
    if spread == 0:
        return 0.0 if round(current - middle, DIGITS) == 0 else math.copysign(math.inf, current - middle)
    return (current - middle) / spread


def is_unusual(history: Sequence[float], current: float, *, limit: float = UNUSUAL) -> bool | None:
    """Return whether *current* is off its own history by more than *limit*; None while that is short."""
    off = deviation(history, current)
    return None if off is None else abs(off) > limit


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or whole is None else part / whole


def _findings(productivity: float | None, latency: float | None) -> tuple[str, ...]:
    found = []
    if productivity is not None and productivity > 1:
        found.append("capability_exceeded")  # it does more than it is said to be able to
    if latency is not None and latency > 1:
        found.append("potentiality_exceeded")
    return tuple(found)


def _text(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _check(value: float | None, field: str, *, zero: bool = False) -> None:
    if value is None:
        return
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise Invalid(f"A measure of achievement is a finite number {'from' if zero else 'above'} 0.", field=field)
