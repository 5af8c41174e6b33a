"""Sketches of thousands of series at once, from columns to bytes, without an object for each.

A roll-up makes one sketch per series and minute, and an hour merges sixty of each: what `Sketch` does in fifty small
numpy calls a sketch is done here in fifty calls for all of them. The bytes are the same as `Sketch.to_bytes` writes
without its summary, since sum, least and greatest value have columns of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from subsystems.kernel.errors import Invalid
from subsystems.telemetry import varints
from subsystems.telemetry.sketch import ACCURACY, MAX_BINS, TINIEST, UNIT, VERSION, Sketch, log_base, merged

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
HEAD = 4  # version, summary, accuracy, zeros
SIDE = 2  # how many bins, collapsed
KEY_BIAS = 1 << 24  # no float's key at any accuracy is beyond it


@dataclass(frozen=True, slots=True)
class _Side:
    """The bins of one sign of all groups, by group and key."""

    group: Ints
    key: Ints
    count: Ints


def pack_groups(
    values: Floats, starts: npt.NDArray[np.intp], *, times: Ints | None = None, accuracy: float = ACCURACY
) -> list[bytes]:
    """Return the bytes of the sketch of each group of *values*; the groups begin at *starts*, the first of them at 0.

    *times* says how often each value occurs, else once. Raises Invalid for a value that is not finite, or for starts
    that are not ascending positions of values.
    """
    numbers = np.asarray(values, np.float64)
    if not np.isfinite(numbers).all():
        raise Invalid("Only finite values can be counted.", field="values")
    ends = _ends(starts, numbers.size)
    group = np.repeat(np.arange(len(starts), dtype=np.int64), ends - starts)
    size = np.abs(numbers)
    some = size >= TINIEST
    keys = np.ceil(np.log(size, where=some, out=np.zeros_like(size)) / log_base(accuracy)).astype(np.int64)
    up, down = (
        _counted(group[side], keys[side], None if times is None else times[side])
        for side in (some & (numbers > 0), some & (numbers < 0))
    )
    if _too_wide(up) or _too_wide(down):
        wide = numbers if times is None else np.repeat(numbers, times)
        cuts = np.append(0, np.cumsum(np.ones(numbers.size, np.int64) if times is None else times))
        return [_one(wide[cuts[start] : cuts[end]], accuracy) for start, end in zip(starts, ends, strict=True)]
    zeros = np.bincount(group[~some], None if times is None else times[~some], len(starts)).astype(np.int64)
    return _assembled(zeros, up, down, accuracy)


def merge_packed(raws: Sequence[bytes], starts: npt.NDArray[np.intp]) -> list[bytes]:
    """Return the bytes of the merged sketch of each group of *raws*, all without summary and of one accuracy.

    Raises Invalid for bytes that are no sketch.
    """
    ends = _ends(starts, len(raws))
    if not raws:
        return []
    numbers, begin = _numbers(raws)
    group = np.repeat(np.arange(len(starts), dtype=np.int64), ends - starts)
    up, middle = _side(numbers, begin + HEAD, group)
    down, after = _side(numbers, middle, group)
    heads = numbers[begin[:, None] + np.arange(3)]
    if (after != np.append(begin[1:], numbers.size)).any() or (heads != heads[0]).any() or heads[0, 0] != VERSION:
        raise _broken()
    collapsed = numbers[begin + HEAD + 1] | numbers[middle + 1]
    if collapsed.any() or _too_wide(up) or _too_wide(down):
        return [_merged_one(raws[start:end]) for start, end in zip(starts, ends, strict=True)]
    zeros = np.bincount(group, numbers[begin + 3], len(starts)).astype(np.int64)
    return _assembled(zeros, up, down, float(heads[0, 2]) * UNIT)


def bins(raws: Sequence[bytes]) -> tuple[Ints, Floats, Ints]:
    """Return (place of the sketch, value, count) of every bin in use of all *raws*, in no order.

    Each value is within the sketches' accuracy of all that it stands for. Raises Invalid for bytes that are no sketch.
    """
    if not raws:
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64)
    numbers, begin = _numbers(raws)
    group = np.arange(len(raws), dtype=np.int64)
    up, middle = _side(numbers, begin + HEAD, group)
    down, _ = _side(numbers, middle, group)
    accuracy = float(numbers[begin[0] + 2]) * UNIT
    zeros = numbers[begin + 3]
    values = [np.exp(side.key * log_base(accuracy)) * (1 - accuracy) for side in (up, down)]
    owner = np.concatenate([up.group, down.group, group[zeros > 0]])
    counts = np.concatenate([up.count, down.count, zeros[zeros > 0]])
    return owner, np.concatenate([values[0], -values[1], np.zeros(int((zeros > 0).sum()))]), counts


def _numbers(raws: Sequence[bytes]) -> tuple[Ints, Ints]:
    """Return all numbers of all sketches, and where each sketch begins."""
    lengths = np.fromiter(map(len, raws), np.int64, len(raws))
    if (lengths < HEAD + 2 * SIDE).any():
        raise _broken()
    joined = b"".join(raws)
    ends = np.frombuffer(joined, np.uint8) < 0x80
    first = np.cumsum(lengths) - lengths
    if not ends[first + lengths - 1].all():
        raise _broken()
    each = np.add.reduceat(ends.astype(np.int64), first)
    if (each < HEAD + 2 * SIDE).any():
        raise _broken()
    return varints.decode(joined), np.cumsum(each) - each


def _side(numbers: Ints, at: Ints, group: Ints) -> tuple[_Side, Ints]:
    """Return the bins that stand at *at* in each sketch, added up by group, and where each sketch goes on."""
    if (at + SIDE > numbers.size).any():
        raise _broken()
    many = numbers[at]
    after = at + SIDE + 2 * many
    if (many > MAX_BINS).any() or (after > numbers.size).any():
        raise _broken()
    sketch = np.repeat(np.arange(at.size), many)
    rank = _ranks(many)
    steps = numbers[(at + SIDE)[sketch] + rank]
    steps = np.where(rank == 0, varints.unzigzag(steps), steps)
    if (np.abs(steps) >= KEY_BIAS // 2).any():
        raise _broken()
    upto = np.cumsum(steps)
    opens = np.flatnonzero(rank == 0)
    keys = upto - np.repeat((upto - steps)[opens], many[many > 0])
    counts = numbers[(at + SIDE + many)[sketch] + rank]
    if (np.abs(keys) >= KEY_BIAS).any() or (counts < 1).any():
        raise _broken()
    return _counted(group[sketch], keys, counts), after


def _counted(group: Ints, keys: Ints, counts: Ints | None = None) -> _Side:
    """Return how often each key occurs in each group."""
    both = group * (2 * KEY_BIAS) + (keys + KEY_BIAS)
    if counts is None:
        found, times = np.unique(both, return_counts=True)
    else:
        order = np.argsort(both, kind="stable")
        ordered = both[order]
        opens = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if both.size else np.zeros(0, np.intp)
        found = ordered[opens]
        times = np.add.reduceat(counts[order], opens) if both.size else counts
    return _Side(found // (2 * KEY_BIAS), found % (2 * KEY_BIAS) - KEY_BIAS, times.astype(np.int64))


def _too_wide(side: _Side) -> bool:
    """Return whether some group has more bins than a sketch keeps; such a one is collapsed by `Sketch` itself."""
    if not side.group.size:
        return False
    opens = np.flatnonzero(np.append(True, side.group[1:] != side.group[:-1]))
    closes = np.append(opens[1:], side.group.size) - 1
    return bool((side.key[closes] - side.key[opens] >= MAX_BINS).any())


def _assembled(zeros: Ints, up: _Side, down: _Side, accuracy: float) -> list[bytes]:
    """Write all sketches as one row of numbers, encode it, and cut it."""
    groups = zeros.size
    ups, downs = (np.bincount(side.group, minlength=groups) for side in (up, down))
    lengths = HEAD + 2 * SIDE + 2 * (ups + downs)
    begin = np.cumsum(lengths) - lengths
    row = np.zeros(int(lengths.sum()), np.int64)
    row[begin], row[begin + 2], row[begin + 3] = VERSION, round(accuracy / UNIT), zeros
    _place(row, begin + HEAD, ups, up)
    _place(row, begin + HEAD + SIDE + 2 * ups, downs, down)
    cuts = np.append(0, np.cumsum(varints.widths(row)))[np.append(begin, row.size)].tolist()
    raw = varints.encode(row)
    return [raw[start:end] for start, end in pairwise(cuts)]


def _place(row: Ints, at: Ints, many: Ints, side: _Side) -> None:
    """Write one side of every sketch: how many bins, first key and gaps, counts."""
    row[at] = many
    rank = _ranks(many)
    gaps = np.diff(side.key, prepend=0)
    place = at[side.group] + SIDE + rank
    row[place] = np.where(rank == 0, varints.zigzag(side.key), gaps)
    row[place + many[side.group]] = side.count


def _ranks(many: Ints) -> Ints:
    """Return 0, 1, 2 … for each of several runs, one after the other."""
    total = int(many.sum())
    return np.arange(total) - np.repeat(np.cumsum(many) - many, many)


def _ends(starts: npt.NDArray[np.intp], size: int) -> Ints:
    ends = np.append(starts[1:], size).astype(np.int64)
    if (size and not len(starts)) or (len(starts) and starts[0] != 0) or (ends <= starts).any():
        raise Invalid("Starts are ascending positions, the first of them 0.", field="starts")
    return ends


def _one(values: Floats, accuracy: float) -> bytes:
    sketch = Sketch(accuracy)
    sketch.add_many(values)
    return sketch.to_bytes(summary=False)


def _merged_one(raws: Sequence[bytes]) -> bytes:
    everything = (0.0, -1.0, 1.0)  # the summary is not written again
    return merged(Sketch.from_bytes(raw, summary=everything) for raw in raws).to_bytes(summary=False)


def _broken() -> Invalid:
    return Invalid("These bytes are no quantile sketch.", field="bytes")
