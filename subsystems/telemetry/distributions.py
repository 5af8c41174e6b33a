"""Roll-ups with the sketch of their values: made of samples, summed up from finer ones, and read as values again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from subsystems.telemetry.columns import Columns, Floats, Ids, Pieces, Sketches, as_pieces, grouped
from subsystems.telemetry.sketch import ACCURACY
from subsystems.telemetry.sketch_batches import bins, merge_packed, pack_groups

Mask = npt.NDArray[np.bool_]


def of_samples(samples: Columns, step: float) -> Pieces:
    """Return ordered *samples* summed up per series and step, with a sketch for each summary that is not plain."""
    pieces = grouped(as_pieces(samples), step)
    wanted = ~pieces.is_plain
    if not wanted.any():
        return pieces
    counts = pieces.count.astype(np.int64)
    values = samples.values[np.repeat(wanted, counts)]
    return replace(pieces, sketch=_placed(wanted, pack_groups(values, _starts_of(counts[wanted]))))


def summed_up(pieces: Pieces, step: float) -> Pieces:
    """Return ordered *pieces* summed up per series and step; a sketch that one of them lacks, the whole lacks too."""
    coarse = grouped(pieces, step)
    if not len(coarse):
        return coarse
    many = members(pieces, coarse, step)
    known = np.logical_and.reduceat(_is_known(pieces), _starts_of(many))
    wanted = ~coarse.is_plain & known
    if not wanted.any():
        return coarse
    parts = pieces.where(np.repeat(wanted, many))
    merged = merge_packed(_sketches_of(parts), _starts_of(many[wanted]))
    return replace(coarse, sketch=_placed(wanted, merged))


def with_hours(minutes: Pieces, hours: Pieces) -> Pieces:
    """Return ordered *minutes* with the sketch of each hour at the last minute of it (see `hours_of`)."""
    if hours.sketch is None:
        return minutes
    of_minutes = grouped(minutes, 3600)
    last = np.cumsum(members(minutes, of_minutes, 3600)) - 1
    by_key = {
        key: raw
        for key, raw in zip(zip(hours.series.tolist(), hours.at.tolist(), strict=True), hours.sketch, strict=True)
        if raw
    }
    sketch = np.full(len(minutes), None, np.object_)
    for place, key in zip(
        last.tolist(), zip(of_minutes.series.tolist(), of_minutes.at.tolist(), strict=True), strict=True
    ):
        sketch[place] = by_key.get(key)
    return replace(minutes, sketch=sketch)


def hours_of(minutes: Pieces) -> Pieces:
    """Return ordered *minutes* that carry the sketches of their hours as those hours."""
    hours = grouped(minutes, 3600)
    if minutes.sketch is None or not len(hours):
        return hours
    last = np.cumsum(members(minutes, hours, 3600)) - 1
    return replace(hours, sketch=minutes.sketch[last])


def spread(pieces: Pieces) -> tuple[Ids, Floats, Floats]:
    """Return (place of the piece, value, weight) of the values that stand for each piece.

    Those of a plain piece are its values. Those of a sketch are within its accuracy of them. Of a summary without one
    the minimum, the maximum and the mean of the rest stand for all.
    """
    has = np.zeros(len(pieces), np.bool_) if pieces.sketch is None else np.fromiter(map(bool, pieces.sketch), np.bool_)
    rest = np.flatnonzero(~has)
    owner, values, weights = _few_values(pieces.where(rest))
    if pieces.sketch is None or not has.any():
        return rest[owner], values, weights
    sketched = np.flatnonzero(has)
    place, binned, counts = bins(pieces.sketch[has].tolist())
    held = np.clip(binned, pieces.min[sketched][place], pieces.max[sketched][place])
    return (
        np.concatenate([rest[owner], sketched[place]]),
        np.concatenate([values, held]),
        np.concatenate([weights, counts]),
    )


def error_bound(pieces: Pieces) -> float | None:
    """Return how far a quantile of *pieces* may be from that of the samples, as a share of it; None: nobody knows."""
    plain = bool(pieces.is_plain.all())
    return 0.0 if plain else (ACCURACY if bool(_is_known(pieces).all()) else None)


def members(pieces: Pieces, coarse: Pieces, step: float) -> Ids:
    """Return how many of the ordered *pieces* each of their summaries *coarse* of *step* is made of."""
    steps = np.floor(pieces.at / step) * step
    changed = (pieces.series[1:] != pieces.series[:-1]) | (steps[1:] != steps[:-1])
    many = np.diff(np.append(np.flatnonzero(np.append(True, changed)), len(pieces))).astype(np.int64)
    return many if len(coarse) else np.zeros(0, np.int64)


def _is_known(pieces: Pieces) -> Mask:
    if pieces.sketch is None:
        return pieces.is_plain
    return pieces.is_plain | np.fromiter(map(bool, pieces.sketch), np.bool_, len(pieces))


def _sketches_of(pieces: Pieces) -> list[bytes]:
    """Return a sketch of every piece, made here where it is plain."""
    found: list[bytes] = [b""] * len(pieces) if pieces.sketch is None else [raw or b"" for raw in pieces.sketch]
    missing = np.flatnonzero([not raw for raw in found])
    plain = pieces.where(missing)
    two = (plain.count == 2) & (plain.min != plain.max)
    many = np.where(two, 2, 1)
    starts = _starts_of(many)
    values = np.repeat(plain.min, many)
    values[starts[two] + 1] = plain.max[two]
    times = np.repeat(np.where(two, 1, plain.count).astype(np.int64), many)
    if len(missing):
        for place, raw in zip(missing.tolist(), pack_groups(values, starts, times=times), strict=True):
            found[place] = raw
    return found


def _few_values(pieces: Pieces) -> tuple[Ids, Floats, Floats]:
    several, more = pieces.count > 1, pieces.count > 2
    rest = (pieces.sum - pieces.min - pieces.max)[more] / (pieces.count[more] - 2)
    rest = np.clip(rest, pieces.min[more], pieces.max[more])
    place = np.arange(len(pieces))
    owner = np.concatenate([place, place[several], place[more]])
    values = np.concatenate([pieces.min, pieces.max[several], rest])
    weights = np.concatenate([np.ones(len(pieces) + int(several.sum())), pieces.count[more] - 2])
    return owner, values, weights


def _starts_of(many: Ids) -> npt.NDArray[np.intp]:
    starts: npt.NDArray[np.intp] = np.cumsum(many) - many
    return starts


def _placed(wanted: Mask, raws: Sequence[bytes]) -> Sketches:
    placed = np.full(len(wanted), None, np.object_)
    placed[wanted] = raws
    return placed
