"""Roll-ups in PostgreSQL's binary COPY format, packed and unpacked as arrays."""

from __future__ import annotations

import numpy as np

from subsystems.telemetry.columns import Pieces

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


def packed(pieces: Pieces) -> bytes:
    """Return *pieces*, and no sketches, as COPY ... FROM STDIN (FORMAT BINARY) reads them."""
    rows = np.empty(len(pieces), _ROW_AND_SKETCH)
    rows["fields"] = len(FIELDS) + 1
    rows["sketch_"] = -1
    for name in FIELDS:
        rows[f"{name}_"] = 8
        rows[name] = getattr(pieces, name)
    return _HEADER + rows.tobytes() + _END


def unpacked(copied: bytes) -> Pieces:
    """Return what COPY ... TO STDOUT (FORMAT BINARY) wrote of the seven fields."""
    rows = np.frombuffer(copied, _ROW, count=(len(copied) - len(_HEADER) - len(_END)) // _ROW.itemsize, offset=19)
    return Pieces(rows["series"].astype(np.int64), *(rows[name].astype(np.float64) for name in FIELDS[1:]))
