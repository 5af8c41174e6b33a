"""`/api/v1/write`: the answers that Prometheus' remote write asks for, and bodies that mean harm."""

from __future__ import annotations

import time
from typing import Any

import cramjam
import pytest
from django.test import Client

from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services
from subsystems.s1_operations.models import Unit
from subsystems.telemetry import queries
from tests.support.factories import bearer, make_token
from tests.support.write_request import write_request

pytestmark = pytest.mark.django_db
UP = {"__name__": "up", "job": "node", "instance": "a:9100"}
TYPE = "application/x-protobuf"


@pytest.fixture
def headers() -> dict[str, str]:
    services._agents.clear()
    root_system()
    return bearer(make_token(["ingest"])[1])


def packed(raw: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(raw))


def send(client: Client, body: bytes, headers: dict[str, str], *, kind: str = TYPE, encoding: str = "snappy") -> Any:
    return client.post("/api/v1/write", body, content_type=kind, headers={**headers, "Content-Encoding": encoding})


def test_samples_are_recorded_and_the_job_becomes_a_unit(client: Client, headers: dict[str, str]) -> None:
    """A Prometheus needs an address and a token, nothing else."""
    request = write_request((UP, [(time.time(), 1.0)]))

    answer = send(client, packed(request.SerializeToString()), headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["X-Prometheus-Remote-Write-Samples-Written"] == "1"
    assert Unit.objects.get(name="node").kind == "agent"
    assert queries.latest(root_system().pk)["node"]['up{instance="a:9100"}'][1] == 1.0


def test_what_is_refused_is_said_and_not_asked_for_again(client: Client, headers: dict[str, str]) -> None:
    """400 keeps Prometheus from sending it for ever; what could be kept is kept."""
    now = time.time()
    request = write_request((UP, [(now, 1.0), (now - 7200, 1.0)]), ({"job": "node"}, [(now, 1.0)]))

    answer = send(client, packed(request.SerializeToString()), headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "too_old")
    assert "2 samples were refused, 1 kept" in answer.json()["detail"]
    assert answer["X-Prometheus-Remote-Write-Samples-Written"] == "1"


@pytest.mark.parametrize(
    ("body", "kind", "encoding", "status", "code"),
    [
        pytest.param(b"\xff\xff\xff\xff\xff\xff", TYPE, "snappy", 400, "malformed_snappy", id="not snappy"),
        pytest.param(b"\x80", TYPE, "snappy", 400, "malformed_snappy", id="half a number"),
        pytest.param(packed(b"\x0a\xff"), TYPE, "snappy", 400, "malformed_protobuf", id="not protobuf"),
        pytest.param(packed(bytes(20_000_000)), TYPE, "snappy", 413, "too_large", id="a bomb"),
        pytest.param(b"\xff\xff\xff\xff\x0f\x00", TYPE, "snappy", 413, "too_large", id="claims four gigabytes"),
        pytest.param(packed(b""), TYPE, "gzip", 415, "unsupported_media_type", id="packed otherwise"),
        pytest.param(
            packed(b""), f"{TYPE};proto=io.prometheus.write.v2.Request", "snappy", 415, "unsupported_media_type",
            id="version 2",
        ),
        pytest.param(packed(b""), "application/json", "snappy", 415, "unsupported_media_type", id="JSON"),
    ],
)  # fmt: skip
def test_bodies_that_cannot_be_read_are_refused_whole(
    client: Client, headers: dict[str, str], body: bytes, kind: str, encoding: str, status: int, code: str
) -> None:
    """Each with a code; none is unpacked before its size is known."""
    answer = send(client, body, headers, kind=kind, encoding=encoding)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_thousand_labels_cost_only_their_own_series(client: Client, headers: dict[str, str]) -> None:
    """A bomb of labels is one refusal, and no row."""
    many = {f"label_{n}": "x" for n in range(10_000)}
    request = write_request((UP | many, [(time.time(), 1.0)]), (UP, [(time.time(), 1.0)]))

    answer = send(client, packed(request.SerializeToString()), headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_labels")
    assert set(queries.latest(root_system().pk)["node"]) == {'up{instance="a:9100"}'}


def test_strangers_are_sent_away(client: Client) -> None:
    """Before the body is unpacked."""
    root_system()

    assert send(client, b"", {}).status_code == 401
    assert send(client, b"", bearer(make_token(["read"])[1])).status_code == 403
