"""Columns in MessagePack: numbers as arrays, or as the bytes of little-endian doubles, which are taken as they lie."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.columns import Floats
from subsystems.telemetry.doors.batches import LAYOUTS, MAX_SAMPLES, Batch, check_source, layout_of, remember, too_many
from subsystems.telemetry.doors.careful import table_of_columns
from subsystems.telemetry.samples import Rejection
from subsystems.telemetry.tables import Layout

Numbers = bytes | list[float]
ABSENT = msgspec.Raw(b"")
NIL = b"\xc0"
DOUBLE = np.dtype("<f8")


class Columns(msgspec.Struct, forbid_unknown_fields=True):
    """A body; what tells its series apart stays as it came until it is seen to be new."""

    source: str
    metrics: msgspec.Raw
    at: Numbers
    values: bytes | list[Any]
    labels: msgspec.Raw = ABSENT
    system: str | None = None


_body = msgspec.msgpack.Decoder(Columns)
_metrics = msgspec.msgpack.Decoder(list[str])
_labels = msgspec.msgpack.Decoder(list[dict[str, str]])


def read_msgpack(raw: bytes) -> Batch:
    """Return the batch of a MessagePack body. Raises Invalid naming the field that is wrong, or `malformed_msgpack`."""
    try:
        body = _body.decode(raw)
        layout = _layout_of(body)
        at = _numbers(body.at, "at")
        values, rejected = _values_of(body, len(layout.names), len(at))
    except msgspec.ValidationError as error:
        raise Invalid(f"The body does not fit: {error}", field=_field_of(error), code="invalid") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The body is not MessagePack: {error}", code="malformed_msgpack") from None
    return Batch(table_of_columns(layout, at, values, rejected), body.system)


def _layout_of(body: Columns) -> Layout:
    source = check_source(body.source)
    labels_raw = bytes(body.labels)
    key = ("msgpack", source, bytes(body.metrics), labels_raw)
    layout = LAYOUTS.get(key)
    if layout is None:
        layout = _new_layout(source, key[2], labels_raw)
        remember(key, layout, len(key[2]) + len(labels_raw))
    return layout


def _new_layout(source: str, metrics_raw: bytes, labels_raw: bytes) -> Layout:
    metrics = _metrics.decode(metrics_raw)
    labels = _labels.decode(labels_raw) if labels_raw and labels_raw != NIL else None
    if len(metrics) > MAX_SAMPLES:
        raise too_many("metrics")
    if labels is not None and len(labels) != len(metrics):
        raise Invalid("Labels need one map per metric.", field="labels")
    return layout_of(source, metrics, labels)


def _values_of(body: Columns, rows: int, columns: int) -> tuple[Floats, list[Rejection]]:
    """Return the values, NaN where there is none, and those among the bytes that are none but were given."""
    if rows * columns > MAX_SAMPLES:
        raise too_many("values")
    if isinstance(body.values, bytes):
        values = _numbers(body.values, "values")
        _check(len(values) == rows * columns)
        return values, _no_numbers(values, 0)
    _check(len(body.values) == rows)
    found, rejected = np.empty((rows, columns)), []
    for place, row in enumerate(body.values):
        numbers = _numbers(row, "values") if isinstance(row, bytes) else _listed(row)
        _check(len(numbers) == columns)
        found[place] = numbers
        if isinstance(row, bytes):
            rejected += _no_numbers(numbers, place * columns)
    return found.ravel(), rejected


def _listed(row: Any) -> Floats:
    return np.array(msgspec.convert(row, list[float | None]), np.float64)


def _no_numbers(values: Floats, start: int) -> list[Rejection]:
    """Return a refusal of each NaN: among bytes there is no other way to say that a value is missing, nor is it one."""
    detail = "The value must be a finite number; got nan."
    return [Rejection(start + place, "bad_value", detail) for place in np.flatnonzero(np.isnan(values)).tolist()]


def _numbers(given: Numbers, field: str) -> Floats:
    if not isinstance(given, bytes):
        return np.array(given, np.float64)
    if len(given) % DOUBLE.itemsize:
        raise Invalid(f"{field} must be doubles of 8 bytes, one after another.", field=field)
    return np.frombuffer(given, DOUBLE)


def _check(fits: bool) -> None:
    if not fits:
        raise Invalid("Values need one row per metric and one value per time.", field="values")


def _field_of(error: msgspec.ValidationError) -> str:
    """Return the field that msgspec's message ends with: `… - at `$.metrics``."""
    return str(error).rpartition("`$.")[2].rstrip("`").split("[")[0] if "`$." in str(error) else ""
