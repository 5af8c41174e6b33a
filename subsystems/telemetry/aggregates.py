"""What is computed of pieces: the six plain aggregates, rates of counters, quantiles; vectorised over all series."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.columns import AGGREGATES, Floats, Pieces, grouped, joined_pieces
from subsystems.telemetry.distributions import members, spread, summed_up

RATES = ("rate", "increase")
QUANTILE = re.compile(r"quantile\((\d*\.?\d+)\)")
PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
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
    """Return the aggregate that *text* names: `avg`, `rate`, `p95`, `quantile(0.95)`, or `quantile` with *q*.

    Raises Invalid (field `agg` or `q`).
    """
    inside, percentile = QUANTILE.fullmatch(text), PERCENTILE.fullmatch(text)
    name, share = ("quantile", float(inside[1])) if inside else (text, 0.5 if q is None else q)
    if percentile:
        name, share = "quantile", float(percentile[1]) / 100
    if name not in NAMES:
        raise Invalid(f"An aggregate is one of {', '.join(NAMES)}; got {text!r:.40}.", field="agg")
    if not 0 <= share <= 1:
        raise Invalid("A quantile is asked for by a share from 0 to 1.", field="agg" if inside else "q")
    return Aggregate(name, share)


def rises(pieces: Pieces, deltas: npt.NDArray[np.bool_] | None = None) -> Pieces:
    """Return ordered *pieces* of counters with `sum` as how much each rose since the one before it.

    Of *deltas*, which tell themselves what was added, the sum is that already.

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
    rose = np.where(first, inside, rose)
    return replace(pieces, sum=rose if deltas is None else np.where(deltas, pieces.sum, rose))


def merged(pieces: Pieces, into: Mapping[int, int], counters: Collection[int], step: float) -> Pieces:
    """Return ordered *pieces* with the series of *into* added up into what they are mapped to.

    The counts of different *counters* have no sum, but what they rose by has: of these that is what is added up.
    """
    if not into or not len(pieces):
        return pieces
    counting = np.isin(pieces.series, list(counters))
    rose = rises(pieces.where(counting))
    each = rose.sum / rose.count
    added = replace(rose, min=each, max=each, last=each, sketch=None)
    mixed = joined_pieces([pieces.where(~counting), added])
    known = np.array(sorted(into), np.int64)
    place = np.minimum(np.searchsorted(known, mixed.series), len(known) - 1)
    targets = np.array([into[pk] for pk in known.tolist()], np.int64)[place]
    series = np.where(known[place] == mixed.series, targets, mixed.series)
    return summed_up(replace(mixed, series=series).ordered(), step)


def per_second(pieces: Pieces, step: float, start: float, end: float) -> Floats:
    """Return the rises of whole steps as rates; the steps that the range cuts are as long as they are within it."""
    covered = np.minimum(pieces.at + step, end) - np.maximum(pieces.at, start)
    rates: Floats = pieces.sum / np.maximum(covered, min(step, 1.0))
    return rates


def quantiles(pieces: Pieces, step: float, q: float) -> tuple[Pieces, Floats]:
    """Return the pieces grouped by *step*, and the quantile of each group's values; `spread` says which values.

    The position between two values is interpolated.
    """
    groups = grouped(pieces, step)
    if not len(groups) or q in (0, 1):  # the least and the greatest are known of every piece
        return groups, groups.max if q == 1 else groups.min
    place, values, weights = spread(pieces)
    owner = np.repeat(np.arange(len(groups)), members(pieces, groups, step))[place]
    size = np.bincount(owner, weights=weights)
    order = np.lexsort((values, owner))
    values, passed = values[order], np.cumsum(weights[order])
    base = np.concatenate([[0.0], np.cumsum(size)[:-1]])
    rank = q * (size - 1)
    low = values[np.searchsorted(passed, base + np.floor(rank), side="right")]
    high = values[np.searchsorted(passed, base + np.ceil(rank), side="right")]
    return groups, low + (high - low) * (rank - np.floor(rank))
