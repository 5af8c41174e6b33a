"""Dividing what there is among those who ask: weighted max-min fairness with floors and caps, in whole units or parts.

The continuous division is water-filling (Bertsekas and Gallager, *Data Networks*, 6.5.2): one level for all, and each
has its weight times the level, but never less than its floor nor more than its cap. It is the minimum of the sum of
x²/weight under those bounds; of whole units the same sum is brought to its minimum (Ibaraki and Katoh, *Resource
Allocation Problems*, 4.2: the cheapest next unit, again and again). Nothing is left while somebody still asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
CLOSE = 1e-9  # of the greatest weight or amount: below it two numbers are the same
HALVINGS = 200  # each halves where the price may lie: more than a double has digits


def shares(
    capacity: float, floors: Sequence[float] | Numbers, caps: Sequence[float] | Numbers,
    weights: Sequence[float] | Numbers,
) -> Numbers:  # fmt: skip
    """Divide *capacity*; whose weight is 0 has its floor alone.

    Floors above their caps count as the caps. Where the floors together are more than there is, what there is is
    divided among them in the same way, with nothing guaranteed. Returns amounts in the order given.
    """
    low, high, weight, total = _bounded(capacity, floors, caps, weights)
    if low.sum() >= total:
        return low if low.sum() <= total * (1 + CLOSE) else _filled(total, np.zeros_like(low), low, weight)
    return _filled(total, low, high, weight)


def whole_shares(
    capacity: float, floors: Sequence[float] | Numbers, caps: Sequence[float] | Numbers,
    weights: Sequence[float] | Numbers, order: Sequence[int] | None = None,
) -> Numbers:  # fmt: skip
    """Divide whole units; of equal claims to the last ones those that come first in *order* (smaller first) get them.

    Caps are rounded down, floors up (to their caps at most). The same guarantees hold as for `shares`.
    """
    low, high, weight, total = _bounded(
        np.floor(capacity + CLOSE), np.ceil(np.asarray(floors, float) - CLOSE),
        np.floor(np.asarray(caps, float) + CLOSE), weights,
    )  # fmt: skip
    if low.sum() > total:
        low, high = np.zeros_like(low), low
    places = np.arange(len(low)) if order is None else np.asarray(order)
    return _filled_whole(total, low, high, weight, places)


def _bounded(capacity: Any, floors: Any, caps: Any, weights: Any) -> tuple[Numbers, Numbers, Numbers, float]:
    high = np.maximum(np.asarray(caps, float), 0.0)
    low = np.clip(np.asarray(floors, float), 0.0, high)
    weight = np.maximum(np.asarray(weights, float), 0.0)
    return low, np.where(weight > 0, high, low), weight, max(0.0, float(capacity))


def _filled(total: float, low: Numbers, high: Numbers, weight: Numbers) -> Numbers:
    """Return the division at the level where all is given away: found exactly between two breakpoints."""
    if high.sum() <= total:
        return high
    if not (weight > 0).any():
        return low if low.sum() <= total else np.zeros_like(low)
    some = weight > 0
    least, most, by = low[some], high[some], weight[some]
    levels = np.concatenate((least / by, most / by))
    slopes = np.concatenate((by, -by))
    order = np.argsort(levels, kind="stable")
    levels, slope = levels[order], np.cumsum(slopes[order])
    given = least.sum() + np.concatenate(([0.0], np.cumsum(slope[:-1] * np.diff(levels))))
    left = total - low[~some].sum()
    place = int(np.clip(np.searchsorted(given, left, side="right") - 1, 0, len(levels) - 1))
    level = levels[place] + (left - given[place]) / slope[place] if slope[place] > 0 else levels[place]
    found = low.copy()
    found[some] = np.clip(level * by, least, most)
    return found


def _filled_whole(total: float, low: Numbers, high: Numbers, weight: Numbers, places: Any) -> Numbers:
    """Return whole units: all that are dearer than the price are not given, ties go by *places*."""
    goal = min(total, float(high.sum()))
    if high.sum() <= goal:
        return high
    below, above = 0.0, float(np.max(np.where(weight > 0, (2 * high + 1) / np.where(weight > 0, weight, 1), 0.0)))
    for _ in range(HALVINGS):
        price = (below + above) / 2
        if price in (below, above):
            break
        if _at(price, low, high, weight).sum() <= goal:
            below = price
        else:
            above = price
    found = _at(below, low, high, weight)
    while found.sum() < goal:  # those whose next unit costs the same: fewer than there are claims
        prices = np.where(found < high, (2 * found + 1) / np.where(weight > 0, weight, 1), np.inf)
        ties = np.flatnonzero(prices <= prices.min() * (1 + CLOSE))
        found[ties[np.argsort(places[ties], kind="stable")][: int(goal - found.sum())]] += 1
    return found


def _at(price: float, low: Numbers, high: Numbers, weight: Numbers) -> Numbers:
    """Return how many units of each cost at most *price*; the k-th unit costs (2k - 1) / weight."""
    found: Numbers = np.clip(np.floor((price * weight + 1) / 2), low, high)
    return found
