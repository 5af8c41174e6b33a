"""What is computed of pieces: the six plain aggregates, rates of counters, quantiles; vectorised over all series."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.columns import AGGREGATES, Floats, Ids, Pieces, grouped

RATES = ("rate", "increase")
QUANTILE = re.compile(r"quantile\((\d*\.?\d+)\)")
NAMES = (*AGGREGATES, *RATES, "quantile")


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One of NAMES; *q* is the share of a quantile."""

    name: str
    q: float = 0.5

    @property
    def counts_rises(self) -> bool:
        """Return whether it is about how much a counter rose."""
        return self.name in RATES


def parse(text: str, q: float | None = None) -> Aggregate:
    """Return the aggregate that *text* names: `avg`, `rate`, `quantile(0.95)`, or `quantile` with *q*.

    Raises Invalid (field `agg` or `q`).
    """
    inside = QUANTILE.fullmatch(text)
    name, share = ("quantile", float(inside[1])) if inside else (text, 0.5 if q is None else q)
    if name not in NAMES:
        raise Invalid(f"An aggregate is one of {', '.join(NAMES)}; got {text!r:.40}.", field="agg")
    if not 0 <= share <= 1:
        raise Invalid("A quantile is asked for by a share from 0 to 1.", field="agg" if inside else "q")
    return Aggregate(name, share)


def rises(pieces: Pieces) -> Pieces:
    """Return ordered *pieces* of counters with `sum` as how much each rose since the one before it.

    A value below the one before is a reset: the counter began again at 0. Within a roll-up a reset shows in the
    minimum: up to its maximum the old count went on, and its last value is what the new one has reached. A second reset
    within one roll-up does not show, and neither does what the old count gained when the new one has overtaken it.
    """
    if not len(pieces):
        return pieces
    before = np.roll(pieces.last, 1)
    first = np.append(True, pieces.series[1:] != pieces.series[:-1])
    reset = pieces.min < before
    peak = np.where(pieces.max > pieces.last, np.maximum(pieces.max - before, 0), 0)
    rose = np.where(reset, peak + pieces.last, pieces.last - before)
    inside = np.maximum(pieces.last - pieces.min, 0)  # of the first piece the rest is unknown
    return replace(pieces, sum=np.where(first, inside, rose))


def per_second(pieces: Pieces, step: float, start: float, end: float) -> Floats:
    """Return the rises of whole steps as rates; the steps that the range cuts are as long as they are within it."""
    covered = np.minimum(pieces.at + step, end) - np.maximum(pieces.at, start)
    rates: Floats = pieces.sum / np.maximum(covered, min(step, 1.0))
    return rates


def quantiles(pieces: Pieces, step: float, q: float) -> tuple[Pieces, Floats]:
    """Return the pieces grouped by *step*, and the quantile of each group's values.

    Samples count as they are; the position between two is interpolated. Of a roll-up without a sketch its minimum,
    its maximum and the mean of the rest stand for what it sums up.
    """
    groups = grouped(pieces, step)
    if not len(groups):
        return groups, np.empty(0)
    owner, values, weights = _spread(pieces, step)
    size = np.bincount(owner, weights=weights)
    order = np.lexsort((values, owner))
    values, passed = values[order], np.cumsum(weights[order])
    base = np.concatenate([[0.0], np.cumsum(size)[:-1]])
    place = q * (size - 1)
    low = values[np.searchsorted(passed, base + np.floor(place), side="right")]
    high = values[np.searchsorted(passed, base + np.ceil(place), side="right")]
    return groups, low + (high - low) * (place - np.floor(place))


def is_exact(pieces: Pieces) -> bool:
    """Return whether a quantile of *pieces* is that of the samples: none of them sums up different values."""
    return bool(np.all((pieces.count <= 2) | (pieces.min == pieces.max)))


def _spread(pieces: Pieces, step: float) -> tuple[Ids, Floats, Floats]:
    """Return (group, value, weight) of the values that stand for each piece."""
    steps = np.floor(pieces.at / step) * step
    changed = (pieces.series[1:] != pieces.series[:-1]) | (steps[1:] != steps[:-1])
    group = np.cumsum(np.append(0, changed))
    several, more = pieces.count > 1, pieces.count > 2
    rest = (pieces.sum - pieces.min - pieces.max)[more] / (pieces.count[more] - 2)
    rest = np.clip(rest, pieces.min[more], pieces.max[more])
    owner = np.concatenate([group, group[several], group[more]])
    values = np.concatenate([pieces.min, pieces.max[several], rest])
    weights = np.concatenate([np.ones(len(group) + int(several.sum())), pieces.count[more] - 2])
    return owner, values, weights
