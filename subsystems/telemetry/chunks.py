"""Roll-ups of one series over a day or a month as a few bytes, and back: many chunks are unpacked at once.

A row of numbers in a table costs PostgreSQL 119 bytes and SQLite 42; here it costs about five. Whole numbers (see
`scaled`) are written as differences of a byte or two, doubles byte by byte in columns, and all of it deflated.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from subsystems.kernel.errors import Invalid
from subsystems.telemetry import varints
from subsystems.telemetry.columns import Floats, Ids, Pieces, Sketches, joined_pieces, runs
from subsystems.telemetry.scaled import VALUES, restored, scaled

VERSION = 1
HEAD = 4  # version, rows, places + 1, first step
COLUMNS = 6  # gaps, counts and the four values
DEFLATE = 6  # 9 takes five times as long for two hundredths less
SAFE = 1 << 61  # beyond it the difference of two numbers may not be written
_SIZE = struct.Struct("<I")


class Chunk(NamedTuple):
    """The packed roll-ups of one series, and their quantile sketches apart: who needs no quantile leaves them."""

    series: int
    data: bytes
    sketches: bytes | None


def pack(pieces: Pieces, step: int) -> list[Chunk]:
    """Return ordered *pieces* of *step* seconds as one chunk for each series."""
    return [_packed(pieces.where(np.arange(low, high)), step) for low, high in runs(pieces.series)]


def unpack(chunks: Sequence[Chunk], step: int) -> Pieces:
    """Return the pieces of *chunks*, with their sketches if they carry them. Raises Invalid for other bytes."""
    if not chunks:
        return joined_pieces([])
    numbers, begin, floats = _sections(chunks)
    if (numbers[begin] != VERSION).any():
        raise _broken()
    many, places = numbers[begin + 1], numbers[begin + 2] - 1
    if (np.append(begin[1:], numbers.size) - begin != HEAD + COLUMNS * many).any():
        raise _broken()
    owner = np.repeat(np.arange(len(chunks)), many)
    rank = np.arange(owner.size) - np.repeat(np.cumsum(many) - many, many)

    def column(place: int) -> Ids:
        found: Ids = numbers[(begin + HEAD + place * many)[owner] + rank]
        return found

    at = _added_up(column(0), rank) + numbers[begin + 3][owner]
    count = column(1).astype(np.float64)
    whole = {"min": _added_up(varints.unzigzag(column(2)), rank), "max": column(3), "last": column(4)}
    whole["sum"] = varints.unzigzag(column(5))
    values = restored(whole, count, places[owner], _doubles(floats, many, places))
    series = np.array([chunk.series for chunk in chunks], np.int64)[owner]
    sketches = _unpacked_sketches(chunks, many) if any(chunk.sketches for chunk in chunks) else None
    return Pieces(series, (at * step).astype(np.float64), count, **values, sketch=sketches)


def _packed(pieces: Pieces, step: int) -> Chunk:
    small = scaled(pieces)
    whole = small.whole
    if small.places >= 0 and any(len(column) and int(np.abs(column).max()) >= SAFE for column in whole.values()):
        small = small._replace(places=-1, plain={name: getattr(pieces, name) for name in VALUES})
    n, at = len(pieces), (pieces.at // step).astype(np.int64)
    if small.places < 0:
        zeros = np.zeros(n, np.int64)
        whole = dict.fromkeys(VALUES, zeros)
    numbers = np.concatenate(
        [
            np.array([VERSION, n, small.places + 1, at[0]], np.int64),
            np.diff(at, prepend=at[0]),
            pieces.count.astype(np.int64),
            varints.zigzag(np.diff(whole["min"], prepend=0)),
            whole["max"],
            whole["last"],
            varints.zigzag(whole["sum"]),
        ]
    )
    body = varints.encode(numbers)
    floats = b"" if small.places >= 0 else _sliced(np.stack([small.plain[name] for name in VALUES]))
    data = zlib.compress(_SIZE.pack(len(body)) + body + floats, DEFLATE)
    return Chunk(int(pieces.series[0]), data, _packed_sketches(pieces.sketch))


def _packed_sketches(sketches: Sketches | None) -> bytes | None:
    if sketches is None or not any(sketches):
        return None
    raws = [raw or b"" for raw in sketches]
    lengths = varints.encode(np.fromiter(map(len, raws), np.int64, len(raws)))
    return zlib.compress(lengths + b"".join(raws), DEFLATE)


def _unpacked_sketches(chunks: Sequence[Chunk], many: Ids) -> Sketches:
    found: list[bytes | None] = []
    for chunk, n in zip(chunks, many.tolist(), strict=True):
        found += _one_row_of_sketches(chunk.sketches, n) if chunk.sketches else [None] * n
    made = np.empty(len(found), np.object_)
    made[:] = found
    return made


def _one_row_of_sketches(packed: bytes, n: int) -> list[bytes | None]:
    raw = _inflated(packed)
    last = np.flatnonzero(np.frombuffer(raw, np.uint8) < 0x80)
    if len(last) < n:
        raise _broken()
    body = int(last[n - 1]) + 1
    ends = np.append(0, np.cumsum(varints.decode(raw[:body]))) + body
    if ends[-1] != len(raw):
        raise _broken()
    cuts = ends.tolist()
    return [raw[low:high] or None for low, high in pairwise(cuts)]


def _sections(chunks: Sequence[Chunk]) -> tuple[Ids, Ids, list[bytes]]:
    """Return all numbers of all chunks, where each chunk's begin, and each one's doubles."""
    bodies, floats = [], []
    for chunk in chunks:
        raw = _inflated(chunk.data)
        end = _SIZE.size + _SIZE.unpack_from(raw)[0] if len(raw) >= _SIZE.size else -1
        if not _SIZE.size + HEAD <= end <= len(raw):
            raise _broken()
        bodies.append(raw[_SIZE.size : end])
        floats.append(raw[end:])
    joined = b"".join(bodies)
    numbers = varints.decode(joined)
    sizes = np.fromiter(map(len, bodies), np.int64, len(bodies))
    first = np.cumsum(sizes) - sizes
    upto = np.cumsum(np.frombuffer(joined, np.uint8) < 0x80)
    begin = np.append(0, upto[first[1:] - 1]).astype(np.int64)
    if (np.append(begin[1:], numbers.size) - begin < HEAD).any():
        raise _broken()
    return numbers, begin, floats


def _added_up(steps: Ids, rank: Ids) -> Ids:
    """Return the running sums of several rows of *steps*, each beginning where *rank* is 0."""
    upto = np.cumsum(steps)
    opens = np.flatnonzero(rank == 0)
    before = (upto - steps)[opens]
    added: Ids = upto - np.repeat(before, np.diff(np.append(opens, rank.size)))
    return added


def _sliced(table: Floats) -> bytes:
    """Return doubles byte by byte: first bytes of all of a column, then second ones, for they are alike."""
    bytes_of = np.ascontiguousarray(table, "<f8").view(np.uint8).reshape(len(table), -1, 8)
    return bytes_of.transpose(0, 2, 1).tobytes()


def _doubles(floats: Sequence[bytes], many: Ids, places: Ids) -> dict[str, Floats]:
    tables = []
    for raw, n, has in zip(floats, many.tolist(), (places < 0).tolist(), strict=True):
        if len(raw) != has * len(VALUES) * n * 8:
            raise _broken()
        if has:
            octets = np.frombuffer(raw, np.uint8).reshape(len(VALUES), 8, n)
            tables.append(np.ascontiguousarray(octets.transpose(0, 2, 1)).view("<f8").reshape(len(VALUES), n))
        else:
            tables.append(np.zeros((len(VALUES), n)))
    table = np.concatenate(tables, axis=1)
    return {name: table[place] for place, name in enumerate(VALUES)}


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompress(packed)
    except zlib.error:
        raise _broken() from None


def _broken() -> Invalid:
    return Invalid("These bytes are no packed roll-ups.", field="bytes")
