"""How much of what a system decides serves what it says that it stands for (requirements 000-79, 3.7).

Only people can say so: an item counts by the values that they tagged it with, and by their judgement where they gave
one. Nothing is guessed from words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

JUDGEMENTS = {"": None, "serves": 1.0, "partly": 0.5, "against": 0.0}


@dataclass(frozen=True, slots=True)
class Item:
    """A policy or a decision, the values that it is tagged with, and how well it serves them if somebody said so."""

    name: str
    values: Sequence[str] = ()
    judgement: float | None = None


@dataclass(frozen=True, slots=True)
class Alignment:
    """The score in 0-1 (None: not known), and what it counts."""

    score: float | None
    items: int
    tagged: int
    judged: int


def alignment(items: Iterable[Item], declared: Mapping[str, float]) -> Alignment:
    """Return how much of *items* serves the *declared* values (name to weight).

    An item weighs as much as the weightiest of its declared values, one without any as much as the mean value. A tagged
    one counts as a person judged it, else in full; an untagged one not at all.
    """
    listed = list(items)
    tags = [[name for name in item.values if name in declared] for item in listed]
    tagged = sum(bool(each) for each in tags)
    judged = sum(item.judgement is not None and bool(each) for item, each in zip(listed, tags, strict=True))
    if not declared or not listed:
        return Alignment(None, len(listed), tagged, judged)
    mean = math.fsum(declared.values()) / len(declared)
    weights = [max((declared[name] for name in each), default=mean) for each in tags]
    total = math.fsum(weights)
    if total <= 0:
        return Alignment(None, len(listed), tagged, judged)
    served = [_served(item, bool(each)) * weight for item, each, weight in zip(listed, tags, weights, strict=True)]
    return Alignment(math.fsum(served) / total, len(listed), tagged, judged)


def _served(item: Item, tagged: bool) -> float:
    if not tagged:
        return 0.0
    return 1.0 if item.judgement is None else item.judgement
