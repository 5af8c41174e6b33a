"""What tenants got of something they share, against what each should have had (requirements 004-37).

The fair share is the one of max-min fairness (`dividing.py`). Jain's index of what each got over its fair share is 1
when all fare alike and 1/n when one has everything (Jain, Chiu and Hawe, DEC-TR-301, 1984).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from subsystems.s2_coordination.dividing import shares


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


def fairness(claims: Sequence[Claim]) -> Fairness:
    """Judge what tenants got of what they share; who asked for nothing is not among them."""
    unknown = [claim.name for claim in claims if claim.demand is None]
    known = [claim for claim in claims if claim.demand is not None]
    asking = [claim for claim in known if claim.demand]
    fair = shares(
        sum(claim.got or 0.0 for claim in asking), [0.0] * len(asking), [claim.demand or 0.0 for claim in asking],
        [claim.weight for claim in asking],
    ).tolist()  # fmt: skip
    ratios = [(claim.got or 0.0) / share if share else 0.0 for claim, share in zip(asking, fair, strict=True)]
    told = [_share(claim, share, ratio) for claim, share, ratio in zip(asking, fair, ratios, strict=True)]
    told += [_share(claim, None, None) for claim in claims if claim not in asking]
    if unknown:
        return Fairness(None, f"Not measured: {', '.join(unknown[:5])}.", told)
    if len(asking) < 2 or not any(ratios):
        return Fairness(None, "Fewer than two asked for anything, or nobody got anything.", told)
    return Fairness(round(jain(ratios), 4), f"{len(asking)} shared.", told)


def _share(claim: Claim, fair: float | None, ratio: float | None) -> dict[str, Any]:
    return {
        "name": claim.name,
        "weight": claim.weight,
        "got": claim.got,
        "demand": claim.demand,
        "fair": None if fair is None else round(fair, 3),
        "ratio": None if ratio is None else round(ratio, 4),
    }
