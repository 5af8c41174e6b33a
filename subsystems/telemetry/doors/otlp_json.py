"""OTLP metrics in JSON: the same messages in the JSON mapping of Protocol Buffers, whole numbers also as texts."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.doors import otlp
from subsystems.telemetry.doors.otlp import NANOSECONDS, Point, Shape
from subsystems.telemetry.tables import Table

Whole = int | Annotated[str, msgspec.Meta(max_length=20, pattern=r"^-?[0-9]+$")]
Number = float | str  # "NaN" and "Infinity" come as texts
_TEMPORALITIES = {
    "AGGREGATION_TEMPORALITY_DELTA": otlp.DELTA,
    "AGGREGATION_TEMPORALITY_CUMULATIVE": otlp.CUMULATIVE,
}


class _Message(msgspec.Struct, rename="camel", gc=False):
    """Unknown fields are left alone: a newer sender may say more."""


class KeyValue(_Message):
    key: str = ""
    value: dict[str, Any] | None = None


class NumberPoint(_Message):
    attributes: list[KeyValue] = []
    time_unix_nano: Whole = 0
    as_double: Number | None = None
    as_int: Whole | None = None
    flags: int = 0


class HistogramPoint(_Message):
    attributes: list[KeyValue] = []
    time_unix_nano: Whole = 0
    count: Whole = 0
    sum: Number | None = None
    bucket_counts: list[Whole] = []
    explicit_bounds: list[Number] = []
    flags: int = 0
    min: Number | None = None
    max: Number | None = None


class Quantile(_Message):
    quantile: Number = 0.0
    value: Number = 0.0


class SummaryPoint(_Message):
    attributes: list[KeyValue] = []
    time_unix_nano: Whole = 0
    count: Whole = 0
    sum: Number = 0.0
    quantile_values: list[Quantile] = []
    flags: int = 0


class Gauge(_Message):
    data_points: list[NumberPoint] = []


class Sum(_Message):
    data_points: list[NumberPoint] = []
    aggregation_temporality: int | str = 0
    is_monotonic: bool = False


class Histogram(_Message):
    data_points: list[HistogramPoint] = []
    aggregation_temporality: int | str = 0


class Summary(_Message):
    data_points: list[SummaryPoint] = []


class Metric(_Message):
    name: str = ""
    gauge: Gauge | None = None
    sum: Sum | None = None
    histogram: Histogram | None = None
    exponential_histogram: Histogram | None = None
    summary: Summary | None = None


class ScopeMetrics(_Message):
    metrics: list[Metric] = []


class Resource(_Message):
    attributes: list[KeyValue] = []


class ResourceMetrics(_Message):
    resource: Resource | None = None
    scope_metrics: list[ScopeMetrics] = []


class Request(_Message):
    resource_metrics: list[ResourceMetrics] = []


_decoder = msgspec.json.Decoder(Request)


def read_json(raw: bytes) -> Table:
    """Return the samples of a request; an index is the number of a data point. Raises Invalid."""
    try:
        request = _decoder.decode(raw)
        shape = _shape_of(request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The body is no OTLP request: {error}", code="malformed_json") from None
    layout = shape.layout()
    values = otlp.heaped(np.array(shape.values, np.float64), np.array(shape.runs, np.int64))
    return Table(
        layout.names, np.array(shape.codes, np.int32), np.array(shape.times, np.float64), values, layout.labels,
        kinds=shape.kinds, indexes=np.array(shape.points, np.int64),
    )  # fmt: skip


def _shape_of(request: Request) -> Shape[float]:
    shape: Shape[float] = Shape()
    for each in request.resource_metrics:
        resource = _attributes(each.resource.attributes if each.resource else [])
        for scope in each.scope_metrics:
            for metric in scope.metrics:
                _add(shape, resource, metric)
    return shape


def _add(shape: Shape[float], resource: otlp.Attributes, metric: Metric) -> None:
    if metric.gauge:
        shape.add(resource, metric.name, "gauge", map(_number, metric.gauge.data_points))
    if metric.sum:
        kind = otlp.kind_of(_temporality(metric.sum.aggregation_temporality), monotonic=metric.sum.is_monotonic)
        shape.add(resource, metric.name, kind, map(_number, metric.sum.data_points))
    for histogram in (metric.histogram, metric.exponential_histogram):
        if histogram:
            kind = otlp.kind_of(_temporality(histogram.aggregation_temporality), monotonic=True)
            shape.add(resource, metric.name, kind, map(_histogram, histogram.data_points))
    if metric.summary:
        shape.add(resource, metric.name, "counter", map(_summary, metric.summary.data_points))


def _number(given: NumberPoint) -> Point[float]:
    value = _float(given.as_double) if given.as_double is not None else _whole(given.as_int)
    values = {} if value is None else {"": value}
    return Point(_attributes(given.attributes), _time(given.time_unix_nano), values, flags=given.flags)


def _histogram(given: HistogramPoint) -> Point[float]:
    values = {"_count": float(int(given.count))}
    named = {"_sum": given.sum, "_min": given.min, "_max": given.max}
    values |= {suffix: _float(value) for suffix, value in named.items() if value is not None}
    return Point(
        _attributes(given.attributes), _time(given.time_unix_nano), values, flags=given.flags,
        buckets=[float(int(count)) for count in given.bucket_counts],
        bounds=[_float(bound) for bound in given.explicit_bounds],
    )  # fmt: skip


def _summary(given: SummaryPoint) -> Point[float]:
    return Point(
        _attributes(given.attributes), _time(given.time_unix_nano), flags=given.flags,
        values={"_count": float(int(given.count)), "_sum": _float(given.sum)},
        quantiles=[(_float(each.quantile), _float(each.value)) for each in given.quantile_values],
    )  # fmt: skip


def _attributes(given: list[KeyValue]) -> dict[str, str]:
    return {each.key: _text(each.value or {}) for each in given}


def _text(value: dict[str, Any]) -> str:
    """Return an attribute's value as text."""
    for kind, given in value.items():
        if kind == "boolValue":
            return "true" if given else "false"
        if kind == "doubleValue" and isinstance(given, (int, float, str)):
            return format(_float(given), "g")  # infinities and NaN come as texts
        return given if isinstance(given, str) else msgspec.json.encode(given).decode()
    return ""


def _time(given: Whole) -> float:
    return int(given) / NANOSECONDS


def _whole(given: Whole | None) -> float | None:
    return None if given is None else float(int(given))


def _float(given: Number) -> float:
    """Return a number; a text that is none becomes NaN, which is refused with its point."""
    try:
        return float(given)
    except ValueError:
        return float("nan")


def _temporality(given: int | str) -> int:
    return given if isinstance(given, int) else _TEMPORALITIES.get(given, 0)
