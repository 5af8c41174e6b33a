"""What S3 offers: all claims on a pool divided by its strategy, and which offers follow from what is held already.

*limit* bounds what the pool gives away in all, *guarantee* is what a unit gets of what it asks for before anything is
divided, *ceiling* is the most that it gets. A strategy is nothing but the weights of one division (`dividing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

import numpy as np

from subsystems.s2_coordination.dividing import Numbers, shares, whole_shares

ENOUGH = 3  # measured allocations before the efficiency of a strategy is believed
LAST = 20  # of them count
WIDEST = 10.0  # a unit's performance counts at most so many times the mean, and at least so small a part of it
STEP_SHARE = 0.05  # of what is held: less than this is no change worth a bargain


class Strategy(StrEnum):
    FAIR_SHARE = "fair_share"
    PRIORITY = "priority_weighted"
    PERFORMANCE = "performance"
    ADAPTIVE = "adaptive"


TRIED = (Strategy.FAIR_SHARE, Strategy.PRIORITY, Strategy.PERFORMANCE)  # in this order, where nothing speaks for one
IN_WORDS = {
    Strategy.FAIR_SHARE: "equally by weight",
    Strategy.PRIORITY: "by weight and priority",
    Strategy.PERFORMANCE: "by weight and measured performance",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """What one unit wants in all, what it holds, and what is outstanding: an offer that it may still accept."""

    key: str
    wanted: float
    guarantee: float = 0.0
    ceiling: float | None = None
    weight: float = 1.0
    priority: int = 5  # 0 to 10
    performance: float | None = None  # None: not measured
    held: float = 0.0
    offered: float | None = None

    @property
    def cap(self) -> float:
        return self.wanted if self.ceiling is None else min(self.wanted, self.ceiling)

    @property
    def promised(self) -> float:
        """Return what nobody else can have: what is held, or what is offered where that is more."""
        return max(self.held, self.offered or 0.0)


@dataclass(frozen=True, slots=True)
class Division:
    """How much each should have, by which strategy, and why so, in words."""

    amounts: Mapping[str, float]
    strategy: Strategy
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to offer to whom now. What is taken back is told as *notices*, and only what is free is offered."""

    offers: Mapping[str, float]
    notices: Mapping[str, float]
    free: float


def divide(claims: Sequence[Claim], capacity: float, strategy: Strategy, *, whole: bool) -> Division:
    """Return what each claim should have of *capacity*: never more in all, nothing idle while a claim is open."""
    assert strategy is not Strategy.ADAPTIVE  # resolved by `adapted` before
    if not claims:
        return Division({}, strategy, "Nobody asks.")
    weight = np.array([claim.weight for claim in claims]) * _factors(claims, strategy)
    floors = [min(claim.guarantee, claim.cap) for claim in claims]
    caps = [claim.cap for claim in claims]
    if whole:  # the last of equal claims keep what they hold, then go by name
        ranked = sorted(range(len(claims)), key=lambda place: (-claims[place].held, claims[place].key))
        order = np.empty(len(claims), int)
        order[ranked] = np.arange(len(claims))
        found = whole_shares(capacity, floors, caps, weight, order.tolist())
    else:
        found = _rounded(shares(capacity, floors, caps, weight))
    amounts = {claim.key: float(amount) for claim, amount in zip(claims, found, strict=True)}
    return Division(amounts, strategy, _words(claims, capacity, strategy, sum(floors)))


def _factors(claims: Sequence[Claim], strategy: Strategy) -> Numbers:
    if strategy is Strategy.PRIORITY:
        return np.array([1.0 + claim.priority for claim in claims])
    if strategy is Strategy.PERFORMANCE:
        known = [claim.performance for claim in claims if claim.performance is not None]
        mean = fmean(known) if known else 0.0
        told = [claim.performance if claim.performance is not None else mean for claim in claims]
        return np.clip(np.array(told) / mean, 1 / WIDEST, WIDEST) if mean > 0 else np.ones(len(claims))
    return np.ones(len(claims))


def _words(claims: Sequence[Claim], capacity: float, strategy: Strategy, guaranteed: float) -> str:
    asked = sum(claim.cap for claim in claims)
    if asked <= capacity:
        return f"{asked:g} wanted of {capacity:g}: enough for all."
    short = "" if guaranteed <= capacity else f" The guarantees are {guaranteed:g}: they cannot all be kept."
    unknown = ""
    if strategy is Strategy.PERFORMANCE:
        missing = [claim.key for claim in claims if claim.performance is None]
        unknown = f" Not measured, and taken for average: {', '.join(missing[:5])}." if missing else ""
    return f"{asked:g} wanted of {capacity:g}: divided {IN_WORDS[strategy]}.{short}{unknown}"


def plan(claims: Sequence[Claim], division: Division, capacity: float, *, whole: bool) -> Plan:
    """Return what to offer so that each comes nearer to its share, without a promise that the pool cannot keep.

    What others still hold is not offered: it is told back first. Who has an offer open is left to answer it.
    """
    free = capacity - sum(claim.promised for claim in claims)
    notices, more = {}, []
    for claim in claims:
        share = division.amounts[claim.key]
        if claim.offered is not None:
            continue
        if share < claim.held - _step(claim.held, whole):
            notices[claim.key] = share
        elif share > claim.held + _step(claim.held, whole):
            more.append(claim)
    divided = whole_shares if whole else shares
    missing = [division.amounts[claim.key] - claim.held for claim in more]
    given = _rounded(divided(max(0.0, free), [0.0] * len(more), missing, [claim.weight for claim in more]))
    offers = {claim.key: claim.held + float(part) for claim, part in zip(more, given, strict=True) if part > 0}
    return Plan(offers, notices, free)


def _rounded(amounts: Numbers) -> Numbers:
    """Return amounts of six digits after the point, rounded down: rounded up they could be more than there is."""
    found: Numbers = np.floor(amounts * 1e6 + 1e-3) / 1e6
    return found


def _step(held: float, whole: bool) -> float:
    return 0.5 if whole else STEP_SHARE * held


def efficiency(allocated: float, gap: float) -> float | None:
    """Return 1 - sum|allocated - used| / sum allocated, at least 0 (3.7); None where nothing was allocated."""
    return None if allocated <= 0 else max(0.0, 1.0 - gap / allocated)


def adapted(records: Mapping[str, Sequence[float]]) -> tuple[Strategy, str]:
    """Return the strategy whose allocations were used best, and why in words. The same records give the same answer.

    *records* are measured efficiencies by strategy, newest first. A strategy with fewer than three is tried first.
    """
    means = {}
    for strategy in TRIED:
        known = list(records.get(strategy, ()))[:LAST]
        if len(known) < ENOUGH:
            return strategy, f"{strategy} is tried: {len(known)} of its allocations were measured, {ENOUGH} are enough."
        means[strategy] = fmean(known)
    best = max(TRIED, key=lambda strategy: round(means[strategy], 3))  # of equal ones the first
    told = ", ".join(f"{strategy} {means[strategy]:.2f}" for strategy in TRIED)
    return best, f"{best} was used best ({told})."
