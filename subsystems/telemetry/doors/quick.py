"""The ordinary JSON batch at speed: typed by msgspec, its series recognised, its numbers straight into arrays.

Only what the careful reader would take without a word is read here; at anything odd these functions return None, and
the careful reader decides and explains. An object's key that comes twice is seen by counting: in a text without
escaped letters, and without blanks before colons, the bytes `":` end keys and nothing else.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from subsystems.kernel import strict_json
from subsystems.kernel.moments import moment_of
from subsystems.telemetry.columns import Floats
from subsystems.telemetry.doors import careful
from subsystems.telemetry.doors.batches import LAYOUTS, MAX_SAMPLES, Batch, layout_of, remember
from subsystems.telemetry.samples import labels_text
from subsystems.telemetry.tables import Layout, Table

LARGEST = float(2**63)  # beyond it strict JSON takes no whole number
ABSENT = msgspec.Raw(b"")
BLANKS = (b" ", b"\t", b"\n", b"\r")
FEW_COLONS = 1_000  # are looked at one by one; where there are more, other letters between them are few
Labels = dict[str, str]
_FAILED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)


class Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One sample as a row."""

    metric: str
    value: float
    at: float | str | msgspec.UnsetType = msgspec.UNSET
    labels: Labels | msgspec.UnsetType = msgspec.UNSET


class Rows(msgspec.Struct, forbid_unknown_fields=True):
    """A body of rows."""

    source: str
    samples: list[Row]
    system: str | msgspec.UnsetType = msgspec.UNSET


class Columns(msgspec.Struct, forbid_unknown_fields=True):
    """A body of columns; what tells its series apart stays as it came until it is seen to be new."""

    source: str
    metrics: msgspec.Raw
    at: list[float]
    values: list[list[float | None]]
    labels: msgspec.Raw = ABSENT
    system: str | msgspec.UnsetType = msgspec.UNSET


_rows = msgspec.json.Decoder(Rows)
_columns = msgspec.json.Decoder(Columns)
_metrics = msgspec.json.Decoder(list[str])
_labels = msgspec.json.Decoder(list[Labels])


def read_json(raw: bytes, *, now: float) -> Batch:
    """Return the batch of a JSON body. Raises Invalid naming the field that is wrong, or `malformed_json`."""
    keys = None if b"\\" in raw and b"\\u" in raw else count_keys(raw)
    batch = None if keys is None else _read(raw, keys, now)
    return batch or careful.batch_of(strict_json.loads(raw), now=now)


def count_keys(raw: bytes) -> int | None:
    """Return how many bytes `":` there are; None when a blank stands before a colon, so that they need not be all keys.

    A text of columns is long and has few colons: to look for one byte is many times faster than for two.
    """
    if raw.count(b":") > FEW_COLONS:
        return None if any(blank + b":" in raw for blank in BLANKS) else raw.count(b'":')
    keys, at = 0, raw.find(b":")
    while at >= 0:
        before = raw[at - 1 : at] if at else b""
        if before in BLANKS:
            return None
        keys += before == b'"'
        at = raw.find(b":", at + 1)
    return keys


def _read(raw: bytes, keys: int, now: float) -> Batch | None:
    """Return the batch of an ordinary body, or None."""
    columns_first = b'"metrics"' in raw
    try:
        return _read_columns(raw, keys) if columns_first else _read_rows(raw, keys, now)
    except _FAILED:
        return None


def _read_rows(raw: bytes, found: int, now: float) -> Batch | None:
    body = _rows.decode(raw)
    rows = body.samples
    if len(rows) > MAX_SAMPLES or not body.source.strip():
        return None
    times = [row.at for row in rows]
    values = np.array([row.value for row in rows], np.float64)
    keys = 2 + _is_set(body.system) + 2 * len(rows) + len(times) - times.count(msgspec.UNSET)
    at = _moments(times, now)
    if at is None or _too_large(values) or _too_large(at):
        return None
    layout, codes, label_keys = _series_of(body.source, rows)
    if keys + label_keys != found:
        return None
    table = Table(layout.names, codes, at, values, layout.labels, layout=None)
    return Batch(table, _given(body.system))


def _series_of(source: str, rows: list[Row]) -> tuple[Layout, Any, int]:
    """Return the distinct series of *rows*, which of them each row is of, and how many keys their labels have."""
    known: dict[Any, int] = {}
    names, given, keys = [], [], 0
    codes = []
    for row in rows:
        labels = row.labels
        key: Any = row.metric
        if labels is not msgspec.UNSET:
            keys += 1 + len(labels)
            if labels:
                key = (key, *labels.items())
        code = known.get(key)
        if code is None:
            code = known[key] = len(known)
            of = labels or {}
            names.append((source, row.metric, labels_text(of)))
            given.append(of)
        codes.append(code)
    return Layout(names, given), np.array(codes, np.int32), keys


def _moments(times: list[Any], now: float) -> Floats | None:
    if set(map(type, times)) == {float}:
        return np.array(times, np.float64)
    found = [now if each is msgspec.UNSET else moment_of(each) for each in times]
    return None if None in found else np.array(found, np.float64)


def _read_columns(raw: bytes, found: int) -> Batch | None:
    body = _columns.decode(raw)
    at = np.array(body.at, np.float64)
    values = np.array(body.values, np.float64)
    if not body.source.strip() or values.size > MAX_SAMPLES or _too_large(values) or _too_large(at):
        return None
    layout, keys = _known_layout(body)
    keys += 4 + bool(bytes(body.labels)) + _is_set(body.system)
    if values.shape != (len(layout.names), len(at)) or keys != found:
        return None
    return Batch(careful.table_of_columns(layout, at, values.ravel(), []), _given(body.system))


def _known_layout(body: Columns) -> tuple[Layout, int]:
    """Return the layout of a body's series, built when it is met first, and how many keys its labels have."""
    labels_raw = bytes(body.labels)
    raw_metrics = bytes(body.metrics)
    key = ("json", body.source, raw_metrics, labels_raw)
    layout = LAYOUTS.get(key)
    if layout is None:
        labels = _labels.decode(labels_raw) if labels_raw else None
        layout = layout_of(body.source, _metrics.decode(raw_metrics), labels)
        remember(key, layout, len(raw_metrics) + len(labels_raw))
    return layout, sum(map(len, layout.labels)) if labels_raw else 0


def _too_large(numbers: Floats) -> bool:
    """Return whether a number may be one that strict JSON refuses; a missing one is none."""
    return bool((np.abs(numbers) >= LARGEST).any())


def _is_set(field: object) -> int:
    return int(field is not msgspec.UNSET)


def _given(system: str | msgspec.UnsetType) -> str | None:
    return None if isinstance(system, msgspec.UnsetType) else system
