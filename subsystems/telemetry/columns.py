"""Samples as columns, and their grouping: vectorised, no sample becomes a Python object (libraries 4.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Sketches = npt.NDArray[np.object_]  # bytes, or None


@dataclass(frozen=True, slots=True)
class Columns:
    """Samples of many series, one array per field, all of one length."""

    series: Ids
    at: Floats
    values: Floats

    def __len__(self) -> int:
        return len(self.series)

    def ordered(self) -> Columns:
        """Return the same samples by series, then time; samples of one instant stay in order of arrival."""
        if self._is_ordered():
            return self
        order = np.lexsort((self.at, self.series))
        return self.where(order)

    def _is_ordered(self) -> bool:
        """Return whether there is nothing to sort, which costs a thirtieth of sorting."""
        series, at = self.series, self.at
        same = series[1:] == series[:-1]
        return bool(np.all((series[1:] > series[:-1]) | (same & (at[1:] >= at[:-1]))))

    def where(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> Columns:
        """Return the chosen samples: a mask, positions or a slice."""
        return Columns(self.series[chosen], self.at[chosen], self.values[chosen])

    def of_each(self) -> Iterator[tuple[int, Floats, Floats]]:
        """Yield (series, times, values) of ordered columns."""
        for start, end in runs(self.series):
            yield int(self.series[start]), self.at[start:end], self.values[start:end]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Summaries of many series: a sample is the summary of itself, a roll-up that of its minute.

    *sketch* tells how the values of a summary are distributed (see `sketch_batches`); None where that is plain, as for
    up to two values or equal ones, and where nobody knows. Without any sketch it is None altogether.
    """

    series: Ids
    at: Floats
    count: Floats
    sum: Floats
    min: Floats
    max: Floats
    last: Floats
    sketch: Sketches | None = None

    def __len__(self) -> int:
        return len(self.series)

    @property
    def is_plain(self) -> npt.NDArray[np.bool_]:
        """Return which pieces need no sketch: count, minimum and maximum tell every value."""
        plain: npt.NDArray[np.bool_] = (self.count <= 2) | (self.min == self.max)
        return plain

    def where(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Pieces:
        """Return the chosen pieces."""
        series, *rest = self._fields()
        sketch = None if self.sketch is None else self.sketch[chosen]
        chosen_pieces = Pieces(series[chosen], *(column[chosen] for column in rest))
        return chosen_pieces if sketch is None else replace(chosen_pieces, sketch=sketch)

    def ordered(self) -> Pieces:
        """Return the same pieces by series, then time."""
        return self.where(np.lexsort((self.at, self.series)))

    def aggregated(self, agg: str) -> Floats:
        """Return one number per piece: `avg`, `min`, `max`, `sum`, `last` or `count`."""
        if agg == "avg":
            return self.sum / self.count
        column: Floats = getattr(self, agg)
        return column

    def _fields(self) -> tuple[Any, ...]:
        return self.series, self.at, self.count, self.sum, self.min, self.max, self.last


AGGREGATES = ("avg", "min", "max", "sum", "last", "count")


def columns(series: Sequence[int], at: Sequence[float], values: Sequence[float]) -> Columns:
    """Return plain sequences as columns."""
    return Columns(np.asarray(series, np.int64), np.asarray(at, np.float64), np.asarray(values, np.float64))


def joined(parts: Sequence[Columns]) -> Columns:
    """Return the samples of all *parts*, ordered."""
    if not parts:
        return columns([], [], [])
    if len(parts) == 1:
        return parts[0].ordered()
    fields = zip(*((part.series, part.at, part.values) for part in parts), strict=True)
    return Columns(*(np.concatenate(field) for field in fields)).ordered()


def joined_in_time(parts: Sequence[Columns]) -> Columns:
    """Return the samples of *parts*, ordered; each part is, and none begins before the one before it has ended.

    Then a stable sort by series is all there is to do, and of small numbers numpy counts instead of comparing.
    """
    parts = [part for part in parts if len(part)]
    if len(parts) < 2:
        return parts[0] if parts else columns([], [], [])
    even = _side_by_side(parts)
    if even is not None:
        return even
    series, at, values = (
        np.concatenate(field) for field in zip(*((part.series, part.at, part.values) for part in parts), strict=True)
    )
    low = series.min()
    keys = (series - low).astype(np.uint16) if series.max() - low < 1 << 16 else series
    order = np.argsort(keys, kind="stable")
    return Columns(series[order], at[order], values[order])


def _side_by_side(parts: Sequence[Columns]) -> Columns | None:
    """Return the samples of *parts* ordered when each has as many of every series: then they are tables, put in a row.

    Measurements every few seconds nearly always are, and copying rows takes a tenth of the time of sorting.
    """
    first = parts[0].series
    ids = first[np.append(True, first[1:] != first[:-1])]
    tables = []
    for part in parts:
        if len(part) % len(ids):
            return None
        table = part.series.reshape(len(ids), -1)
        if not (np.array_equal(table[:, 0], ids) and np.array_equal(table[:, -1], ids)):
            return None
        tables.append(table)
    rows = (len(ids), -1)
    at = np.concatenate([part.at.reshape(rows) for part in parts], axis=1)
    values = np.concatenate([part.values.reshape(rows) for part in parts], axis=1)
    return Columns(np.repeat(ids, at.shape[1]), at.reshape(-1), values.reshape(-1))


def as_pieces(samples: Columns) -> Pieces:
    """Return each sample as the summary of itself."""
    ones = np.ones(len(samples))
    return Pieces(samples.series, samples.at, ones, samples.values, samples.values, samples.values, samples.values)


def joined_pieces(parts: Sequence[Pieces]) -> Pieces:
    """Return the pieces of all *parts*, ordered."""
    if not parts:
        return pieces_of(np.empty((0, 7)))
    fields = zip(*(part._fields() for part in parts), strict=True)
    joined = Pieces(*(np.concatenate(field) for field in fields))
    return replace(joined, sketch=_joined_sketches(parts)).ordered()


def together(left: Pieces, right: Pieces) -> Pieces:
    """Return the pieces of both, ordered."""
    return joined_pieces([left, right])


def pieces_of(table: Floats) -> Pieces:
    """Return the rows of a table of seven columns, in the order of the fields, as pieces."""
    return Pieces(table[:, 0].astype(np.int64), *table[:, 1:].T)


def grouped(pieces: Pieces, step: float) -> Pieces:
    """Return ordered *pieces* summed up per series and step; `at` is the start of the step, multiples of it."""
    if not len(pieces):
        return pieces
    steps = np.floor(pieces.at / step) * step
    starts = _starts(pieces.series, steps)
    return Pieces(
        series=pieces.series[starts],
        at=steps[starts],
        count=np.add.reduceat(pieces.count, starts),
        sum=np.add.reduceat(pieces.sum, starts),
        min=np.minimum.reduceat(pieces.min, starts),
        max=np.maximum.reduceat(pieces.max, starts),
        last=pieces.last[np.append(starts[1:], len(pieces)) - 1],
    )


def better(hot: Columns, warm: Pieces, step: float = 60.0) -> tuple[Columns, Pieces]:
    """Return samples and roll-ups without overlap: for each series and minute, the side that saw more samples.

    A restart empties an in-memory hot tier, and a full one forgets, so neither tier is simply the truth.
    """
    if not len(hot) or not len(warm):
        return hot, warm
    summary = grouped(as_pieces(hot), step)
    _, codes = np.unique(_pairs(summary, warm), axis=0, return_inverse=True)
    codes = codes.reshape(-1)
    hot_codes, warm_codes = codes[: len(summary)], codes[len(summary) :]
    seen_hot = np.zeros(codes.max() + 1)
    seen_warm = np.zeros(codes.max() + 1)
    seen_hot[hot_codes] = summary.count
    seen_warm[warm_codes] = warm.count
    hot_wins = seen_hot >= seen_warm
    keep = np.repeat(hot_wins[hot_codes], summary.count.astype(np.int64))
    return hot.where(keep), warm.where(~hot_wins[warm_codes])


def runs(keys: Ids) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each run of equal values."""
    if len(keys):
        starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        yield from zip(starts.tolist(), [*starts[1:].tolist(), len(keys)], strict=True)


def fuller(one: Pieces, other: Pieces) -> Pieces:
    """Return the pieces of both, ordered; of two of one series and moment the one that saw more samples, else *one*."""
    if not len(one) or not len(other):
        return (one if len(one) else other).ordered()
    both = joined_pieces([one, other])  # of equals the first stays first
    both = both.where(np.lexsort((-both.count, both.at, both.series)))
    return both.where(np.append(True, (both.series[1:] != both.series[:-1]) | (both.at[1:] != both.at[:-1])))


def _joined_sketches(parts: Sequence[Pieces]) -> Sketches | None:
    if all(part.sketch is None for part in parts):
        return None
    return np.concatenate(
        [np.full(len(part), None, np.object_) if part.sketch is None else part.sketch for part in parts]
    )


def _starts(series: Ids, steps: Floats) -> npt.NDArray[np.intp]:
    changed = (series[1:] != series[:-1]) | (steps[1:] != steps[:-1])
    return np.flatnonzero(np.append(True, changed))


def _pairs(hot: Pieces, warm: Pieces) -> Ids:
    series = np.concatenate([hot.series, warm.series])
    at = np.concatenate([hot.at, warm.at]).astype(np.int64)
    return np.stack([series, at], axis=1)
