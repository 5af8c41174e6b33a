"""The two shapes in which samples arrive, rows and columns, as samples. Nothing here knows HTTP or the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.samples import Outcome, Rejection, Sample
from vsm_site.api.moments import moment_of

MAX_SAMPLES = 100_000  # of one request


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request brings: its source, the readable samples with the index each came at, and the others."""

    source: str
    samples: list[Sample]
    indexes: Sequence[int]
    rejected: list[Rejection]

    def with_outcome(self, outcome: Outcome) -> dict[str, Any]:
        """Return the answer's body: *outcome* counts in readable samples, the sender in what was sent."""
        later = [Rejection(self.indexes[each.index], each.code, each.detail) for each in outcome.rejected]
        rejected = sorted([*self.rejected, *later], key=lambda each: each.index)
        wire = [{"index": each.index, "code": each.code, "detail": each.detail} for each in rejected]
        return {"accepted": outcome.accepted, "rejected": wire}


def batch_of(body: Any, *, now: float) -> Batch:
    """Return the batch of a request's *body*. Raises Invalid naming the field when its shape is wrong."""
    if not isinstance(body, dict):
        raise Invalid("The body must be an object.", code="not_an_object")
    source = body.get("source")
    if not isinstance(source, str) or not source.strip():
        raise Invalid("The source must be a text that is not empty.", field="source")
    if "samples" in body:
        return _of_rows(source, body["samples"], now)
    if "metrics" in body:
        return _of_columns(source, body)
    raise Invalid("Samples are missing: give `samples`, or `metrics` with `at` and `values`.", field="samples")


def _of_rows(source: str, rows: Any, now: float) -> Batch:
    """Read rows; the index of a sample is its row's."""
    _list(rows, "samples", "samples", lambda _: True)
    samples: list[Sample] = []
    indexes: list[int] = []
    rejected: list[Rejection] = []
    for index, row in enumerate(rows):
        found = _row(row, now)
        if isinstance(found, Sample):
            samples.append(found)
            indexes.append(index)
        else:
            rejected.append(Rejection(index, *found))
    return Batch(source, samples, indexes, rejected)


def _row(row: Any, now: float) -> Sample | tuple[str, str]:
    """Return the sample of one row, or the code and the reason why it cannot be read."""
    if not isinstance(row, dict):
        return "bad_sample", "A sample must be an object with metric and value."
    metric, value, labels = row.get("metric"), row.get("value"), row.get("labels")
    at = now if row.get("at") is None else moment_of(row["at"])
    if not isinstance(metric, str):
        return "bad_metric", "The metric must be a text."
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "bad_value", "The value must be a number."
    if at is None:
        return "bad_time", "A time is RFC 3339 with a zone (2026-11-20T09:00:00Z) or epoch seconds."
    if labels is not None and not isinstance(labels, dict):
        return "bad_labels", "Labels must be an object of texts."
    return Sample(metric, at, float(value), labels or {})


def _of_columns(source: str, body: dict[str, Any]) -> Batch:
    """Read columns; the index of a sample is its place when the rows of values are read one after another."""
    metrics = _list(body.get("metrics"), "metrics", "texts", lambda each: isinstance(each, str))
    at = _list(body.get("at"), "at", "epoch seconds", _is_number)
    values = _list(body.get("values"), "values", "lists, one per metric", lambda each: isinstance(each, list))
    if len(values) != len(metrics) or any(len(row) != len(at) for row in values):
        raise Invalid("Values need one row per metric and one value per time.", field="values")
    if len(metrics) * len(at) > MAX_SAMPLES:
        raise Invalid(f"A request may bring {MAX_SAMPLES} samples.", field="values", code="too_many")
    return _of_table(source, metrics, at, values)


def _of_table(source: str, metrics: list[str], at: list[float], values: list[list[Any]]) -> Batch:
    samples: list[Sample] = []
    indexes: list[int] = []
    rejected: list[Rejection] = []
    index = 0
    for metric, row in zip(metrics, values, strict=True):
        for moment, value in zip(at, row, strict=True):
            if _is_number(value):
                samples.append(Sample(metric, moment, float(value)))
                indexes.append(index)
            elif value is not None:  # null says that there was no value at this time
                rejected.append(
                    Rejection(index, "bad_value", "The value must be a number, or null where there is none.")
                )
            index += 1
    return Batch(source, samples, indexes, rejected)


def _list(given: Any, field: str, of: str, fits: Callable[[Any], bool]) -> list[Any]:
    """Return *given* when it is a list of not too many items that fit. Raises Invalid naming *field*."""
    if not isinstance(given, list) or not all(map(fits, given)):
        raise Invalid(f"{field} must be a list of {of}.", field=field)
    if len(given) > MAX_SAMPLES:
        raise Invalid(f"A request may bring {MAX_SAMPLES} samples.", field=field, code="too_many")
    return given


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
