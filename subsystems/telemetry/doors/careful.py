"""The two shapes of JSON batches, rows and columns, read with care: what is wrong is named, sample by sample.

This reader decides what a body means. `quick` reads the same bodies faster, and leaves to this one whatever is odd.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import numpy as np

from subsystems.kernel.errors import Invalid
from subsystems.kernel.moments import moment_of
from subsystems.telemetry.doors.batches import MAX_SAMPLES, Batch, check_source, layout_of, too_many
from subsystems.telemetry.samples import Rejection, Sample
from subsystems.telemetry.tables import Gathering, Table


def batch_of(body: Any, *, now: float) -> Batch:
    """Return the batch of a request's *body*. Raises Invalid naming the field when its shape is wrong."""
    if not isinstance(body, dict):
        raise Invalid("The body must be an object.", code="not_an_object")
    source = check_source(body.get("source"))
    if "samples" in body:
        return Batch(_of_rows(source, body["samples"], now), body.get("system"))
    if "metrics" in body:
        return Batch(_of_columns(source, body), body.get("system"))
    raise Invalid("Samples are missing: give `samples`, or `metrics` with `at` and `values`.", field="samples")


def _of_rows(source: str, rows: Any, now: float) -> Table:
    """Read rows; the index of a sample is its row's."""
    _list(rows, "samples", "samples", lambda _: True)
    gathering = Gathering()
    for index, row in enumerate(rows):
        found = _row(row, now)
        if isinstance(found, Sample):
            gathering.add(source, found, index)
        else:
            gathering.rejected.append(Rejection(index, *found))
    return gathering.table()


def _row(row: Any, now: float) -> Sample | tuple[str, str]:
    """Return the sample of one row, or the code and the reason why it cannot be read."""
    if not isinstance(row, dict):
        return "bad_sample", "A sample must be an object with metric and value."
    metric, value, labels = row.get("metric"), row.get("value"), row.get("labels")
    at = now if row.get("at") is None else moment_of(row["at"])
    if not isinstance(metric, str):
        return "bad_metric", "The metric must be a text."
    if not is_number(value):
        return "bad_value", "The value must be a number."
    if at is None:
        return "bad_time", "A time is RFC 3339 with a zone (2026-11-20T09:00:00Z) or epoch seconds."
    if labels is not None and not _are_labels(labels):
        return "bad_labels", "Labels must be an object of texts."
    return Sample(metric, at, value, labels or {})


def _of_columns(source: str, body: Mapping[str, Any]) -> Table:
    """Read columns; the index of a sample is its place when the rows of values are read one after another."""
    metrics = _list(body.get("metrics"), "metrics", "texts", lambda each: isinstance(each, str))
    at = _list(body.get("at"), "at", "epoch seconds", is_number)
    values = _list(body.get("values"), "values", "lists, one per metric", lambda each: isinstance(each, list))
    labels = body.get("labels")
    if labels is not None and len(_list(labels, "labels", "objects of texts", _are_labels)) != len(metrics):
        raise Invalid("Labels need one object per metric.", field="labels")
    if len(values) != len(metrics) or any(len(row) != len(at) for row in values):
        raise Invalid("Values need one row per metric and one value per time.", field="values")
    if len(metrics) * len(at) > MAX_SAMPLES:
        raise too_many("values")
    layout = layout_of(source, metrics, labels)
    flat = [value for row in values for value in row]
    wrong = [index for index, value in enumerate(flat) if not is_number(value) and value is not None]
    detail = "The value must be a number, or null where there is none."
    rejected = [Rejection(index, "bad_value", detail) for index in wrong]
    numbers = [value if is_number(value) else np.nan for value in flat]
    return table_of_columns(layout, np.array(at, np.float64), np.array(numbers, np.float64), rejected)


def table_of_columns(layout: Any, at: Any, values: Any, rejected: list[Rejection]) -> Table:
    """Return columns as a table: *values* metric by metric, one for each of *at*; NaN where there is none."""
    codes = np.repeat(np.arange(len(layout.names), dtype=np.int32), len(at))
    times = np.tile(at, len(layout.names))
    missing = np.isnan(values)
    if not missing.any():
        return Table(layout.names, codes, times, values, layout.labels, rejected=rejected, layout=layout)
    there = np.flatnonzero(~missing)
    return Table(
        layout.names, codes[there], times[there], values[there], layout.labels,
        rejected=rejected, indexes=there, layout=layout,
    )  # fmt: skip


def is_number(value: object) -> TypeGuard[float]:
    """Return whether *value* is a number of JSON; a truth is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _are_labels(given: object) -> bool:
    return isinstance(given, dict) and all(isinstance(value, str) for value in given.values())


def _list(given: Any, field: str, of: str, fits: Callable[[Any], bool]) -> list[Any]:
    """Return *given* when it is a list of not too many items that fit. Raises Invalid naming *field*."""
    if not isinstance(given, list) or not all(map(fits, given)):
        raise Invalid(f"{field} must be a list of {of}.", field=field)
    if len(given) > MAX_SAMPLES:
        raise too_many(field)
    return given
