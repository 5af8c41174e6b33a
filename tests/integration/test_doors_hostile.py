"""The same bad samples through every door: each costs only itself, or its request, and never more than that."""

from __future__ import annotations

import gzip
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cramjam
import msgspec
import pytest
from django.test import Client
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services
from subsystems.telemetry import queries
from subsystems.telemetry.doors.prometheus_text import Page, read_page
from subsystems.telemetry.doors.statsd import Sums
from subsystems.telemetry.services import record_table
from tests.support.factories import bearer, make_token
from tests.support.write_request import write_request

pytestmark = pytest.mark.django_db
SOURCE = "sender"
MANY_LABELS = {f"label_{n}": "x" for n in range(10_000)}


@dataclass(frozen=True)
class Given:
    """One sample as a sender means it."""

    metric: str
    value: Any
    at: float
    labels: dict[str, str]


def given(metric: str = "bad", value: Any = 1.0, age: float = 0.0, labels: dict[str, str] | None = None) -> Given:
    return Given(metric, value, time.time() - age, labels or {})


# --- Doors: samples as a body, and how it is sent
Body = tuple[str, str, bytes, dict[str, str]]  # path, content type, body, more headers


def rows(samples: Sequence[Given]) -> Body:
    told = [{"metric": s.metric, "value": s.value, "at": s.at, "labels": s.labels} for s in samples]
    return "/api/v1/ingest/", "application/json", json.dumps({"source": SOURCE, "samples": told}).encode(), {}


def columns(samples: Sequence[Given]) -> dict[str, Any]:
    """Return a column for each time, in which only one metric has a value."""
    values = [[s.value if n == m else None for n in range(len(samples))] for m, s in enumerate(samples)]
    return {
        "source": SOURCE, "metrics": [s.metric for s in samples], "labels": [s.labels for s in samples],
        "at": [s.at for s in samples], "values": values,
    }  # fmt: skip


def json_columns(samples: Sequence[Given]) -> Body:
    return "/api/v1/ingest/", "application/json", json.dumps(columns(samples)).encode(), {}


def packed_columns(samples: Sequence[Given]) -> Body:
    return "/api/v1/ingest/", "application/msgpack", msgspec.msgpack.encode(columns(samples)), {}


def otlp(samples: Sequence[Given]) -> Body:
    request = ExportMetricsServiceRequest()
    each = request.resource_metrics.add()
    each.resource.attributes.add(key="service.name").value.string_value = SOURCE
    metrics = each.scope_metrics.add().metrics
    for sample in samples:
        moment = int(sample.at * 1e9) % 2**64  # a time of this protocol has no sign
        point = metrics.add(name=sample.metric).gauge.data_points.add(time_unix_nano=moment, as_double=sample.value)
        for key, value in sample.labels.items():
            point.attributes.add(key=key).value.string_value = value
    return "/v1/metrics", "application/x-protobuf", request.SerializeToString(), {}


SPELLED = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def otlp_json(samples: Sequence[Given]) -> Body:
    metrics = [
        {"name": s.metric, "gauge": {"dataPoints": [{
            "timeUnixNano": str(int(s.at * 1e9)), "asDouble": SPELLED.get(str(s.value), s.value),
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in s.labels.items()],
        }]}}
        for s in samples
    ]  # fmt: skip
    service = {"key": "service.name", "value": {"stringValue": SOURCE}}
    body = {"resourceMetrics": [{"resource": {"attributes": [service]}, "scopeMetrics": [{"metrics": metrics}]}]}
    return "/v1/metrics", "application/json", json.dumps(body).encode(), {}


def remote_write(samples: Sequence[Given]) -> Body:
    request = write_request(*(({"__name__": s.metric, "job": SOURCE, **s.labels}, [(s.at, s.value)]) for s in samples))
    body = bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
    return "/api/v1/write", "application/x-protobuf", body, {"Content-Encoding": "snappy"}


DOORS = [rows, json_columns, packed_columns, otlp, otlp_json, remote_write]
every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
Door = Callable[[Sequence[Given]], Body]


@pytest.fixture
def headers() -> dict[str, str]:
    services._agents.clear()
    root_system()
    return bearer(make_token(["ingest"])[1])


def send(client: Client, headers: dict[str, str], body: Body) -> Any:
    path, content_type, raw, more = body
    return client.post(path, raw, content_type=content_type, headers={**headers, **more})


def kept() -> dict[str, float]:
    return {name: value for name, (_, value) in queries.latest(root_system().pk).get(SOURCE, {}).items()}


@every_door
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"value": math.nan}, id="NaN"),
        pytest.param({"value": math.inf}, id="infinity"),
        pytest.param({"value": -math.inf}, id="minus infinity"),
        pytest.param({"age": 3e9}, id="a negative time"),
        pytest.param({"age": 7200}, id="two hours ago"),
        pytest.param({"age": -7200}, id="in two hours"),
        pytest.param({"labels": MANY_LABELS}, id="ten thousand labels"),
        pytest.param({"labels": {"long": "x" * 5_000}}, id="a label of five thousand letters"),
    ],
)
def test_a_bad_sample_costs_only_itself(
    client: Client, headers: dict[str, str], door: Door, bad: dict[str, Any]
) -> None:
    """It is told or counted, and the good one beside it is kept; only what is no JSON takes its whole request along."""
    answer = send(client, headers, door([given("good"), given(**bad)]))

    whole = answer.status_code == 400 and answer.json()["code"] in {"malformed_json", "parse_error"}
    told = answer.status_code in {200, 202, 204, 400}
    assert told, answer.content
    assert kept() == ({} if _is_no_json(door, bad) and whole else {"good": 1.0})


def _is_no_json(door: Door, bad: dict[str, Any]) -> bool:
    return door in {rows, json_columns} and not math.isfinite(bad.get("value", 0.0))


@every_door
def test_what_comes_twice_and_in_any_order_is_kept_as_it_is(
    client: Client, headers: dict[str, str], door: Door
) -> None:
    """The newest sample is the newest, whenever it came."""
    new, old = given("depth", 2.0), given("depth", 1.0, age=60)

    answers = [send(client, headers, door([each])) for each in (new, old, new)]

    assert {answer.status_code for answer in answers} <= {200, 202, 204}
    assert kept() == {"depth": 2.0}


@every_door
def test_an_unknown_packing_is_refused_by_name(client: Client, headers: dict[str, str], door: Door) -> None:
    """Guessing would read noise."""
    path, content_type, raw, _ = door([given("good")])

    answer = send(client, headers, (path, content_type, raw, {"Content-Encoding": "br"}))

    assert answer.status_code == 415
    assert kept() == {}


@pytest.mark.parametrize("door", DOORS[:-1], ids=lambda door: door.__name__)
@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        pytest.param(lambda raw: gzip.compress(raw)[:-12], 400, id="cut off"),
        pytest.param(lambda raw: b"\x1f\x8b" + raw, 400, id="not gzip"),
        pytest.param(lambda raw: gzip.compress(bytes(50_000_000)), 413, id="a bomb"),
    ],
)
def test_a_spoilt_package_is_refused_whole(
    client: Client, headers: dict[str, str], door: Door, spoil: Callable[[bytes], bytes], status: int
) -> None:
    """Nothing is half taken, and nothing large is unpacked."""
    path, content_type, raw, _ = door([given("good")])

    answer = send(client, headers, (path, content_type, spoil(raw), {"Content-Encoding": "gzip"}))

    assert answer.status_code == status
    assert kept() == {}


def test_a_page_with_bad_lines_gives_its_good_ones() -> None:
    """An exporter is not believed either."""
    labels = ",".join(f'{name}="{value}"' for name, value in MANY_LABELS.items())
    page = f"good 1\nbad NaN\nbad +Inf\nbad{{{labels}}} 1\nbad one\n".encode()

    read = read_page(page, Page(SOURCE), now=time.time())
    outcome = record_table(read.table, system_id=root_system().pk)

    assert kept() == {"good": 1.0}
    assert read.bad >= 1
    assert {each.code for each in outcome.rejected} == {"bad_labels", "bad_value"}


def test_packets_of_statsd_that_mean_harm_are_counted() -> None:
    """Nobody answers them, so what was lost must be seen elsewhere."""
    lines = Sums()
    tags = ",".join(f"{name}:{value}" for name, value in MANY_LABELS.items())
    for packet in (b"good:1|g", b"bad:nan|c", b"bad:inf|g", b"bad:x|c", f"bad:1|c|#{tags}".encode()[:65_000]):
        lines.add(packet)

    record_table(lines.take(time.time()), system_id=root_system().pk)

    assert set(queries.latest(root_system().pk)["statsd"]) == {"good"}
    assert lines.take_counted()["dropped_statsd_bad"] >= 3
