"""OTLP by places against the library that knows the format, in both of its spellings."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict, MessageToJson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.doors import otlp_protobuf
from subsystems.telemetry.doors.otlp_json import read_json
from subsystems.telemetry.doors.otlp_protobuf import read_protobuf
from subsystems.telemetry.tables import Table

NOW = 1_800_000_000
SECOND = 10**9
patient = settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)


def pairs(given: dict[str, Any]) -> list[KeyValue]:
    def value(of: Any) -> AnyValue:
        if isinstance(of, bool):
            return AnyValue(bool_value=of)
        if isinstance(of, int):
            return AnyValue(int_value=of)
        return AnyValue(double_value=of) if isinstance(of, float) else AnyValue(string_value=of)

    return [KeyValue(key=name, value=value(of)) for name, of in given.items()]


def request(*metrics: pb.Metric, resource: dict[str, Any] | None = None) -> ExportMetricsServiceRequest:
    found = ExportMetricsServiceRequest()
    each = found.resource_metrics.add()
    each.resource.attributes.extend(pairs({"service.name": "shop"} if resource is None else resource))
    each.scope_metrics.add().metrics.extend(metrics)
    return found


def number(value: float, at: int = NOW, **attributes: Any) -> pb.NumberDataPoint:
    given = {"as_int": value} if isinstance(value, int) else {"as_double": value}
    return pb.NumberDataPoint(attributes=pairs(attributes), start_time_unix_nano=7, time_unix_nano=at * SECOND, **given)  # type: ignore[arg-type]


def gauge(name: str, *points: pb.NumberDataPoint) -> pb.Metric:
    return pb.Metric(name=name, gauge=pb.Gauge(data_points=points))


def told(table: Table) -> list[tuple[Any, ...]]:
    names = [table.names[code] for code in table.codes]
    points = [table.index(place) for place in range(len(table))]
    return list(zip(names, table.at.tolist(), table.values.tolist(), points, strict=True))


def short(table: Table) -> dict[str, float]:
    """Return the values by metric and labels."""
    return {f"{n[1]}{{{n[2]}}}": value for n, _, value, _ in told(table)}


def test_gauges_and_sums_become_series() -> None:
    """The service is the source; attributes are labels; what a sum counts is kept."""
    points = [number(1.5, route="/a", ok=True), number(-3, route="/b", n=4)]
    delta = pb.Sum(data_points=[number(2)], aggregation_temporality=1, is_monotonic=True)
    total = pb.Sum(data_points=[number(9)], aggregation_temporality=2, is_monotonic=True)
    message = request(
        gauge("queue.depth", *points), pb.Metric(name="sold", sum=total), pb.Metric(name="sold-now", sum=delta)
    )

    table = read_protobuf(message.SerializeToString())

    assert told(table) == [
        (("shop", "queue.depth", 'ok="true",route="/a"'), NOW, 1.5, 0),
        (("shop", "queue.depth", 'n="4",route="/b"'), NOW, -3.0, 1),
        (("shop", "sold", ""), NOW, 9.0, 2),
        (("shop", "sold_now", ""), NOW, 2.0, 3),
    ]
    assert table.kinds == ["gauge", "gauge", "counter", "delta"]


def test_a_histogram_counts_what_lies_below_each_bound() -> None:
    """As Prometheus does, so that the same queries work."""
    point = pb.HistogramDataPoint(
        time_unix_nano=NOW * SECOND, count=6, sum=12.5, bucket_counts=[1, 2, 3], explicit_bounds=[0.5, 1], max=9
    )
    twice = pb.Histogram(data_points=[point, point], aggregation_temporality=2)
    twice.data_points[1].attributes.extend(pairs({"a": "b"}))

    found = short(read_protobuf(request(pb.Metric(name="t", histogram=twice)).SerializeToString()))

    assert found == {
        "t_count{}": 6, "t_sum{}": 12.5, "t_max{}": 9,
        't_bucket{le="0.5"}': 1, 't_bucket{le="1"}': 3, 't_bucket{le="+Inf"}': 6,
        't_count{a="b"}': 6, 't_sum{a="b"}': 12.5, 't_max{a="b"}': 9,
        't_bucket{a="b",le="0.5"}': 1, 't_bucket{a="b",le="1"}': 3, 't_bucket{a="b",le="+Inf"}': 6,
    }  # fmt: skip


def test_a_summary_has_a_series_for_each_quantile() -> None:
    """Old instrumentation still sends them."""
    point = pb.SummaryDataPoint(time_unix_nano=NOW * SECOND, count=2, sum=3)
    point.quantile_values.add(quantile=0.5, value=1.5)
    metric = pb.Metric(name="s", summary=pb.Summary(data_points=[point]))

    assert short(read_protobuf(request(metric).SerializeToString())) == {
        "s_count{}": 2, "s_sum{}": 3, 's{quantile="0.5"}': 1.5,
    }  # fmt: skip


def test_of_a_resource_only_what_tells_instances_apart_becomes_a_label() -> None:
    """Resources carry thirty attributes, of which a series needs three."""
    resource = {"service.name": "shop", "host.name": "h1", "telemetry.sdk.language": "python", "process.pid": 7}

    table = read_protobuf(request(gauge("g", number(1.0)), resource=resource).SerializeToString())

    assert table.names == [("shop", "g", 'host_name="h1"')]
    assert (
        read_protobuf(request(gauge("g", number(1.0)), resource={}).SerializeToString()).names[0][0]
        == "unknown_service"
    )


def test_a_point_without_a_value_is_no_sample() -> None:
    """Exporters mark that a series has ended."""
    gone = pb.NumberDataPoint(time_unix_nano=NOW * SECOND, flags=1)

    assert short(read_protobuf(request(gauge("g", gone, number(2.0, a="b"))).SerializeToString())) == {'g{a="b"}': 2}


def test_the_next_body_of_the_same_series_is_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter sends the same series every few seconds; only the numbers change."""
    bodies = [
        request(gauge("again", *(number(n + k / 2, at=NOW + n, series=str(k)) for k in range(5)))).SerializeToString()
        for n in range(1, 3)
    ]
    first = read_protobuf(bodies[0])
    monkeypatch.setattr(otlp_protobuf, "_walked", None)

    second = read_protobuf(bodies[1])

    assert first.layout is second.layout
    assert second.at.tolist() == [NOW + 2] * 5
    assert second.values.tolist() == [2 + k / 2 for k in range(5)]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
values = st.one_of(texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
attributes = st.dictionaries(texts, values, max_size=3)
doubles = st.floats(allow_nan=False)
counts = st.integers(0, 2**40)
moments = st.integers(0, 2 * NOW)
flags = st.sampled_from([0, 0, 1])


@st.composite
def metrics(draw: st.DrawFn) -> pb.Metric:
    kind = draw(st.sampled_from(["gauge", "sum", "histogram", "summary"]))
    metric = pb.Metric(name=draw(texts), description=draw(texts), unit="1")
    data = getattr(metric, kind)
    data.SetInParent()
    for _ in range(draw(st.integers(0, 3))):
        point = data.data_points.add(time_unix_nano=draw(moments) * SECOND, flags=draw(flags))
        point.attributes.extend(pairs(draw(attributes)))
        _fill(draw, kind, point)
    if kind == "sum":
        data.is_monotonic = draw(st.booleans())
    if kind in {"sum", "histogram"}:
        data.aggregation_temporality = draw(st.integers(0, 2))
    return metric


def _fill(draw: st.DrawFn, kind: str, point: Any) -> None:
    if kind in {"gauge", "sum"}:
        if draw(st.booleans()):
            point.as_double = draw(doubles)
        else:
            point.as_int = draw(st.integers(-(2**63), 2**63 - 1))
        return
    point.count, point.sum = draw(counts), draw(doubles)
    if kind == "summary":
        for quantile in draw(st.lists(st.sampled_from([0.5, 0.99]), max_size=2)):
            point.quantile_values.add(quantile=quantile, value=draw(doubles))
        return
    bounds = draw(st.lists(st.integers(-5, 5), max_size=3, unique=True))
    point.explicit_bounds.extend(sorted(bounds))
    point.bucket_counts.extend(draw(counts) for _ in range(len(bounds) + 1))
    if draw(st.booleans()):
        point.max = draw(doubles)


@patient
@example(found=[gauge("g", number(1.0, a=float("inf")))], resource={})
@given(found=st.lists(metrics(), max_size=3), resource=attributes)
def test_both_spellings_say_the_same(found: list[pb.Metric], resource: dict[str, Any]) -> None:
    """The library writes JSON and bytes from one message; two readers of ours must agree on it."""
    message = request(*found, resource=resource)

    by_place = read_protobuf(message.SerializeToString())
    again = read_protobuf(message.SerializeToString())
    by_name = read_json(MessageToJson(message).encode())

    np.testing.assert_equal(told(by_place), told(by_name))
    np.testing.assert_equal(told(by_place), told(again))
    assert by_place.kinds == by_name.kinds


good = request(gauge("g", number(1.0, a="b")), pb.Metric(name="h", histogram=pb.Histogram(
    data_points=[pb.HistogramDataPoint(bucket_counts=[1, 2], explicit_bounds=[1.0])]))).SerializeToString()  # fmt: skip


@patient
@given(raw=st.binary(max_size=80), cut=st.integers(0, len(good)), place=st.integers(0, len(good) - 1))
@example(raw=b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", cut=0, place=0)
@example(raw=b"\x0a" + b"\xff" * 20, cut=0, place=0)
def test_no_bytes_make_it_stumble(raw: bytes, cut: int, place: int) -> None:
    """Invalid protobuf, cut off or changed in the middle: Invalid or a table, nothing else."""
    for body in (raw, good[:cut] + raw, good[:place] + raw[:1] + good[place + 1 :]):
        for read in (read_protobuf, read_json):
            try:
                table = read(body)
            except Invalid:
                continue
            assert len(table.codes) == len(table.at) == len(table.values)


@patient
@given(
    change=st.dictionaries(
        st.sampled_from(["name", "gauge", "sum", "histogram", "summary"]),
        st.recursive(st.one_of(st.none(), st.floats(), texts), lambda inner: st.lists(inner, max_size=2), max_leaves=3),
    ),
    point=st.dictionaries(
        st.sampled_from(["timeUnixNano", "asInt", "asDouble", "attributes", "flags"]),
        st.one_of(st.none(), st.floats(), st.integers(), texts, st.just("9" * 19), st.lists(st.none(), max_size=1)),
    ),
)
def test_no_json_makes_it_stumble(change: dict[str, Any], point: dict[str, Any]) -> None:
    """Types that do not fit, numbers no float holds."""
    body = MessageToDict(request(gauge("g", number(1))))
    metric = body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
    metric["gauge"]["dataPoints"][0].update(point)
    metric.update(change)
    with suppress(Invalid):
        read_json(json.dumps(body).encode())


def test_a_request_cannot_bring_samples_without_end() -> None:
    """A bucket takes eight bytes to send and a hundred times as much to keep."""
    point = pb.HistogramDataPoint(
        time_unix_nano=NOW * SECOND, bucket_counts=[1] * 60_000, explicit_bounds=[1.0] * 59_999
    )
    metric = pb.Metric(name="h", histogram=pb.Histogram(data_points=[point, point]))

    with pytest.raises(Invalid) as caught:
        read_protobuf(request(metric).SerializeToString())

    assert caught.value.code == "too_many"
