"""What tenants got of something they share, against what each should have had (requirements 004-37).

The fair share is the one of max-min fairness: nobody gets more than was asked for, and what is short is divided by
weight. Jain's index of what each got over its fair share is 1 when all fare alike and 1/n when one has everything
(Jain, Chiu and Hawe, DEC-TR-301, 1984).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Claim:
    """What one tenant got, and what it waits for still; None is not measured."""

    name: str
    got: float | None
    waiting: float | None
    weight: float = 1.0

    @property
    def demand(self) -> float | None:
        return None if self.got is None or self.waiting is None else self.got + self.waiting


@dataclass(frozen=True)
class Fairness:
    """Jain's index, or None and why; the fair share and the ratio to it of each tenant."""

    index: float | None
    reason: str
    shares: Sequence[Mapping[str, Any]] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"index": self.index, "reason": self.reason, "shares": [dict(share) for share in self.shares]}


def jain(values: Sequence[float]) -> float:
    """Return Jain's index of *values*, which are not all zero."""
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values))


def fair_shares(capacity: float, demands: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Divide *capacity* by weight: nobody has more than is asked for, and nothing is left while somebody asks."""
    shares = [0.0] * len(demands)
    hungry = {number for number, demand in enumerate(demands) if demand > 0 and weights[number] > 0}
    left = capacity
    while hungry and left > 0:
        unit = left / sum(weights[number] for number in hungry)
        content = {number for number in hungry if demands[number] <= unit * weights[number]}
        for number in content or hungry:
            shares[number] = demands[number] if content else unit * weights[number]
        if not content:
            break
        left -= sum(demands[number] for number in content)
        hungry -= content
    return shares


def fairness(claims: Sequence[Claim]) -> Fairness:
    """Judge what tenants got of what they share; who asked for nothing is not among them."""
    unknown = [claim.name for claim in claims if claim.demand is None]
    known = [claim for claim in claims if claim.demand is not None]
    asking = [claim for claim in known if claim.demand]
    fair = fair_shares(
        sum(claim.got or 0.0 for claim in asking), [claim.demand or 0.0 for claim in asking], [c.weight for c in asking]
    )
    ratios = [(claim.got or 0.0) / share if share else 0.0 for claim, share in zip(asking, fair, strict=True)]
    shares = [_share(claim, share, ratio) for claim, share, ratio in zip(asking, fair, ratios, strict=True)]
    shares += [_share(claim, None, None) for claim in claims if claim not in asking]
    if unknown:
        return Fairness(None, f"Not measured: {', '.join(unknown[:5])}.", shares)
    if len(asking) < 2 or not any(ratios):
        return Fairness(None, "Fewer than two asked for anything, or nobody got anything.", shares)
    return Fairness(round(jain(ratios), 4), f"{len(asking)} shared.", shares)


def _share(claim: Claim, fair: float | None, ratio: float | None) -> dict[str, Any]:
    return {
        "name": claim.name,
        "weight": claim.weight,
        "got": claim.got,
        "demand": claim.demand,
        "fair": None if fair is None else round(fair, 3),
        "ratio": None if ratio is None else round(ratio, 4),
    }
