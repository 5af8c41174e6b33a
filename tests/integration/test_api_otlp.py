"""OTLP over HTTP: the answers that its specification asks for."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest
from django.test import Client
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services
from subsystems.s1_operations.models import Unit
from subsystems.telemetry import queries
from tests.support.factories import bearer, make_token

pytestmark = pytest.mark.django_db
PROTOBUF = "application/x-protobuf"


@pytest.fixture
def headers() -> dict[str, str]:
    services._agents.clear()
    root_system()
    return bearer(make_token(["ingest"])[1])


def message(*values: float, at: float | None = None) -> ExportMetricsServiceRequest:
    found = ExportMetricsServiceRequest()
    each = found.resource_metrics.add()
    each.resource.attributes.add(key="service.name").value.string_value = "shop"
    metric = each.scope_metrics.add().metrics.add(name="depth")
    moment = int((time.time() if at is None else at) * 1e9)
    for n, value in enumerate(values):
        point = metric.gauge.data_points.add(time_unix_nano=moment, as_double=value)
        point.attributes.add(key="queue").value.int_value = n
    return found


def send(client: Client, body: bytes, headers: dict[str, str], content_type: str = PROTOBUF) -> Any:
    return client.post("/v1/metrics", body, content_type=content_type, headers=headers)


def test_points_are_recorded_and_the_service_becomes_a_unit(client: Client, headers: dict[str, str]) -> None:
    """An OpenTelemetry exporter needs an address and a token, nothing else."""
    packed = gzip.compress(message(1.5, 2.5).SerializeToString())

    answer = send(client, packed, {**headers, "Content-Encoding": "gzip"})

    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"", PROTOBUF)
    assert Unit.objects.get(name="shop").kind == "agent"
    latest = queries.latest(root_system().pk)["shop"]
    assert {name: value for name, (_, value) in latest.items()} == {'depth{queue="0"}': 1.5, 'depth{queue="1"}': 2.5}


@pytest.mark.parametrize("kind", [PROTOBUF, "application/json"])
def test_what_is_refused_is_a_partial_success(client: Client, headers: dict[str, str], kind: str) -> None:
    """The exporter must not send it again, and its log says why."""
    body = message(1.5, float("inf"))
    raw = body.SerializeToString()
    if kind == "application/json":
        raw = json.dumps(
            {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "d", "gauge": {"dataPoints": [
                {"timeUnixNano": str(time.time_ns()), "asDouble": value} for value in (1, "Infinity")
            ]}}]}]}]}
        ).encode()  # fmt: skip

    answer = send(client, raw, headers, kind)

    if kind == PROTOBUF:
        partial = ExportMetricsServiceResponse.FromString(answer.content).partial_success
        rejected, told = partial.rejected_data_points, partial.error_message
    else:
        partial = answer.json()["partialSuccess"]
        rejected, told = int(partial["rejectedDataPoints"]), partial["errorMessage"]
    assert (answer.status_code, rejected) == (200, 1)
    assert told.startswith("bad_value: ")


@pytest.mark.parametrize(
    ("raw", "kind", "status"),
    [
        pytest.param(b"\xff\xff", PROTOBUF, 400, id="no protobuf"),
        pytest.param(b"{", "application/json", 400, id="no JSON"),
        pytest.param(b"", "text/plain", 415, id="another format"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_with_a_status(
    client: Client, headers: dict[str, str], raw: bytes, kind: str, status: int
) -> None:
    """The specification wants google.rpc.Status in the sender's own format."""
    answer = send(client, raw, headers, kind)

    assert answer.status_code == status
    if kind == "application/json":
        assert answer.json()["code"] == 3
    else:
        assert Status.FromString(answer.content).code == 3


def test_without_a_token_nothing_is_taken(client: Client) -> None:
    """Strangers get nothing."""
    assert send(client, message(1.0).SerializeToString(), {}).status_code == 401
