"""Samples of many series side by side, rows of unequal length, and what is computed of each row at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """The samples of row i are those from `starts[i]` to `starts[i + 1]`, oldest first; a row may be empty."""

    at: Floats
    values: Floats
    starts: Ids

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> Ids:
        """Return how many samples each row has."""
        return np.diff(self.starts)

    @property
    def row_of(self) -> Ids:
        """Return the row of each sample."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.counts)

    def since(self, moment: float) -> Rows:
        """Return the same rows without what is older than *moment*."""
        kept = self.at >= moment
        if kept.all():
            return self
        before = np.concatenate([[0], np.cumsum(kept)])
        return Rows(self.at[kept], self.values[kept], before[self.starts])

    def until(self, moment: float) -> Rows:
        """Return the same rows without what is newer than *moment*."""
        kept = self.at <= moment
        if kept.all():
            return self
        before = np.concatenate([[0], np.cumsum(kept)])
        return Rows(self.at[kept], self.values[kept], before[self.starts])


def rows_of(series: Ids, at: Floats, values: Floats, wanted: Ids) -> Rows:
    """Return the samples of *wanted* series (sorted) from columns that are ordered by series and time."""
    low = np.searchsorted(series, wanted, "left")
    high = np.searchsorted(series, wanted, "right")
    if len(wanted) and high[-1] - low[0] == (high - low).sum():  # nothing else lies between them
        return Rows(at[low[0] : high[-1]], values[low[0] : high[-1]], np.append(low, high[-1]) - low[0])
    chosen = np.isin(series, wanted)
    return Rows(at[chosen], values[chosen], np.concatenate([[0], np.cumsum(high - low)]).astype(np.int64))


def last_at(rows: Rows) -> Floats:
    """Return when each row was last heard; NaN for an empty one."""
    return _at_edge(rows, rows.at, rows.starts[1:] - 1)


def last(rows: Rows) -> Floats:
    """Return the newest value of each row."""
    return _at_edge(rows, rows.values, rows.starts[1:] - 1)


def first(rows: Rows) -> Floats:
    """Return the oldest value of each row."""
    return _at_edge(rows, rows.values, rows.starts[:-1])


def span(rows: Rows) -> Floats:
    """Return the seconds between the oldest and the newest sample of each row."""
    return last_at(rows) - _at_edge(rows, rows.at, rows.starts[:-1])


def summed(rows: Rows, values: Floats | None = None) -> Floats:
    """Return the sum of each row; NaN for an empty one."""
    return _reduced(rows, rows.values if values is None else values, np.add.reduceat)


def quantile(rows: Rows, q: float, values: Floats | None = None) -> Floats:
    """Return the *q* quantile of each row, linear between neighbours, as numpy has it."""
    values = rows.values if values is None else values
    answer = np.full(len(rows), np.nan)
    counts = rows.counts
    full = counts > 0
    if not full.any():
        return answer
    ordered = values[np.lexsort((values, rows.row_of))]
    place = q * (counts[full] - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, counts[full] - 1)
    start = rows.starts[:-1][full]
    below, above = ordered[start + low], ordered[start + high]
    answer[full] = below + (above - below) * (place - low)
    return answer


def rises(rows: Rows) -> Floats:
    """Return how much each row's counter rose from its first to its last sample; a reset counts from zero."""
    if not len(rows.values):
        return np.full(len(rows), np.nan)
    steps = np.diff(rows.values, prepend=rows.values[:1])
    steps = np.where(steps < 0, rows.values, steps)
    steps[rows.starts[:-1][rows.counts > 0]] = 0.0
    return np.where(rows.counts > 1, summed(rows, steps), np.nan)


AGGREGATIONS: dict[str, Callable[[Rows], Floats]] = {
    "last": last,
    "avg": lambda rows: summed(rows) / np.where(rows.counts > 0, rows.counts, 1),
    "min": lambda rows: _reduced(rows, rows.values, np.minimum.reduceat),
    "max": lambda rows: _reduced(rows, rows.values, np.maximum.reduceat),
    "sum": summed,
    "count": lambda rows: np.where(rows.counts > 0, rows.counts.astype(np.float64), np.nan),
    "p95": lambda rows: quantile(rows, 0.95),
}


def padded(rows: Rows, values: Floats | None = None) -> Floats:
    """Return the rows as a matrix, right-aligned, NaN where a row is shorter: the form that S4 reckons with."""
    longest = int(rows.counts.max(initial=0))
    matrix = np.full((len(rows), longest), np.nan)
    column = np.arange(len(rows.values)) - rows.starts[:-1][rows.row_of] + (longest - rows.counts)[rows.row_of]
    matrix[rows.row_of, column] = rows.values if values is None else values
    return matrix


def held_since(rows: Rows, holds: npt.NDArray[np.bool_], gap_seconds: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return since when each row's last run of *holds* lasts (NaN: it does not), and whether it fills the whole row.

    Silence for longer than *gap_seconds* breaks a run.
    """
    since, whole = np.full(len(rows), np.nan), np.zeros(len(rows), np.bool_)
    full = rows.counts > 0
    if not full.any():
        return since, whole
    starts, ends = rows.starts[:-1][full], rows.starts[1:][full]
    place = np.arange(len(rows.values))
    silent = np.diff(rows.at, prepend=rows.at[:1]) > gap_seconds
    begins = np.where(~holds, place + 1, np.where(silent, place, 0))  # the run cannot begin before this place
    begins = np.maximum(np.maximum.reduceat(begins, starts), starts)
    running = begins < ends
    since[full] = np.where(running, rows.at[np.minimum(begins, len(rows.at) - 1)], np.nan)
    whole[full] = begins == starts
    return since, whole


def _at_edge(rows: Rows, values: Floats, edge: Ids) -> Floats:
    if not len(values):
        return np.full(len(rows), np.nan)
    return np.where(rows.counts > 0, values[np.clip(edge, 0, len(values) - 1)], np.nan)


def _reduced(rows: Rows, values: Floats, reduce: Callable[..., Floats]) -> Floats:
    answer = np.full(len(rows), np.nan)
    full = rows.counts > 0
    if full.any():
        answer[full] = reduce(values, rows.starts[:-1][full])
    return answer
