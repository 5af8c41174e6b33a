"""Roll-ups in PostgreSQL's binary COPY format, packed and unpacked as arrays."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np

from subsystems.telemetry.columns import Pieces, Sketches

FIELDS = ("series", "at", "count", "sum", "min", "max", "last")
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_TYPES = {name: ">i8" if name in ("series", "at", "count") else ">f8" for name in FIELDS}
# Each field has its length before it; the sketch, where there is none, is only a length of -1.
_WITHOUT = [
    ("fields", ">i2"),
    *((part, kind) for name in FIELDS for part, kind in ((f"{name}_", ">i4"), (name, _TYPES[name]))),
]
_ROW = np.dtype(_WITHOUT)
_ROW_AND_SKETCH = np.dtype([*_WITHOUT, ("sketch_", ">i4")])
_LENGTH = struct.Struct(">i")


def packed(pieces: Pieces) -> bytes:
    """Return *pieces* with their sketches as COPY ... FROM STDIN (FORMAT BINARY) reads them."""
    rows = np.empty(len(pieces), _ROW_AND_SKETCH)
    rows["fields"] = len(FIELDS) + 1
    rows["sketch_"] = -1
    for name in FIELDS:
        rows[f"{name}_"] = 8
        rows[name] = getattr(pieces, name)
    if pieces.sketch is None:
        return _HEADER + rows.tobytes() + _END
    return _HEADER + _with_sketches(rows, pieces.sketch) + _END


def unpacked(copied: bytes, *, sketches: bool = False) -> Pieces:
    """Return what COPY ... TO STDOUT (FORMAT BINARY) wrote of the seven fields, and of the sketch as the eighth."""
    if sketches:
        return _with_lengths(copied)
    rows = np.frombuffer(copied, _ROW, count=(len(copied) - len(_HEADER) - len(_END)) // _ROW.itemsize, offset=19)
    return _pieces(rows)


def _with_sketches(rows: Any, sketches: Sketches) -> bytes:
    """Return the rows with each one's sketch after it, without an object for each."""
    raws = [raw or b"" for raw in sketches]
    lengths = np.fromiter(map(len, raws), np.int64, len(raws))
    rows["sketch_"] = np.where(lengths > 0, lengths, -1)
    size = rows.dtype.itemsize
    begin = np.cumsum(lengths) - lengths + size * np.arange(len(raws))
    out = np.empty(int(lengths.sum()) + size * len(raws), np.uint8)
    fixed = np.zeros(out.size, np.bool_)
    fixed[begin[:, None] + np.arange(size)] = True
    out[fixed] = rows.view(np.uint8)
    out[~fixed] = np.frombuffer(b"".join(raws), np.uint8)
    return out.tobytes()


def _with_lengths(copied: bytes) -> Pieces:
    """Return rows of different lengths: where each begins only the one before it tells."""
    size, at, begin, found = _ROW.itemsize, len(_HEADER), [], []
    end = len(copied) - len(_END)
    while at < end:
        begin.append(at)
        (length,) = _LENGTH.unpack_from(copied, at + size)
        at += size + _LENGTH.size
        found.append(copied[at : at + length] if length > 0 else None)
        at += max(0, length)
    octets = np.frombuffer(copied, np.uint8)
    fixed = octets[np.array(begin, np.int64)[:, None] + np.arange(size)] if begin else np.empty((0, size), np.uint8)
    sketch = np.empty(len(found), np.object_)
    sketch[:] = found
    return _pieces(np.ascontiguousarray(fixed).reshape(-1).view(_ROW), sketch)


def _pieces(rows: Any, sketch: Sketches | None = None) -> Pieces:
    numbers = (rows[name].astype(np.float64) for name in FIELDS[1:])
    return replace(Pieces(rows["series"].astype(np.int64), *numbers), sketch=sketch)
