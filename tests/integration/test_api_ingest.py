"""Batches from agents: both shapes, packed or not, taken in part where one sample is wrong."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services
from subsystems.s1_operations.models import Unit
from subsystems.telemetry import queries
from tests.support.factories import bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_agents_remembered() -> None:
    """Agents that this process heard in other tests had the same ids."""
    services._agents.clear()


@pytest.fixture
def headers() -> dict[str, str]:
    root_system()
    return bearer(make_token(["ingest"])[1])


def send(client: Client, body: Any, headers: dict[str, str], **more: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post("/api/v1/ingest/", raw, content_type="application/json", headers={**headers, **more})


def rows(**changes: Any) -> dict[str, Any]:
    return {"source": "billing-1", "samples": [{"metric": "cpu", "value": 0.3, **changes}]}


def test_rows_are_recorded_and_the_agent_becomes_a_unit(client: Client, headers: dict[str, str]) -> None:
    """Pushing is all that an agent has to do to be watched."""
    answer = send(client, rows(), headers)

    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "rejected": []})
    assert Unit.objects.get(name="billing-1").kind == "agent"
    assert queries.latest(root_system().pk)["billing-1"]["cpu"][1] == 0.3


def test_columns_are_recorded(client: Client, headers: dict[str, str]) -> None:
    """The shape for agents with many metrics."""
    now = time.time()
    body = {"source": "b", "metrics": ["cpu", "memory"], "at": [now - 1, now], "values": [[1, 2], [3, None]]}

    answer = send(client, body, headers)

    assert answer.json() == {"accepted": 3, "rejected": []}
    assert {name: value for name, (_, value) in queries.latest(root_system().pk)["b"].items()} == {
        "cpu": 2,
        "memory": 3,
    }


def test_one_bad_sample_does_not_spoil_the_batch(client: Client, headers: dict[str, str]) -> None:
    """Rejections tell which one and why; all others are kept."""
    samples = [
        {"metric": "cpu", "value": 1},
        {"metric": "no good", "value": 1},
        {"metric": "cpu", "value": "x"},
        {"metric": "cpu", "value": 1, "at": time.time() + 3600},
        {"metric": "cpu", "value": 1, "at": time.time() - 7200},
        {"metric": "memory", "value": 2},
    ]

    body = send(client, {"source": "billing-1", "samples": samples}, headers).json()

    assert body["accepted"] == 2
    found = [(each["index"], each["code"]) for each in body["rejected"]]
    assert found == [(1, "bad_metric"), (2, "bad_value"), (3, "future"), (4, "too_old")]


def test_a_packed_body_is_unpacked(client: Client, headers: dict[str, str]) -> None:
    """Batches over slow lines."""
    answer = send(client, gzip.compress(json.dumps(rows()).encode()), headers, **{"Content-Encoding": "gzip"})

    assert answer.json()["accepted"] == 1


@pytest.mark.parametrize(
    ("raw", "encoding", "status", "code"),
    [
        pytest.param(b"x" * 100, "gzip", 400, "malformed_gzip", id="not gzip at all"),
        pytest.param(gzip.compress(b"x" * 100)[:-12], "gzip", 400, "malformed_gzip", id="cut off"),
        pytest.param(b"{}", "br", 415, "unsupported_media_type", id="another packing"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_refused(
    client: Client, headers: dict[str, str], raw: bytes, encoding: str, status: int, code: str
) -> None:
    """The sender must learn that it is the packing, not the content."""
    answer = send(client, raw, headers, **{"Content-Encoding": encoding})

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_bomb_is_refused_before_it_is_unpacked(client: Client, headers: dict[str, str]) -> None:
    """A kilobyte that becomes a gigabyte must cost no more than the limit."""
    bomb = gzip.compress(b" " * (settings.INGEST_MAX_BYTES * 4))

    answer = send(client, bomb, headers, **{"Content-Encoding": "gzip"})

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_body_over_the_limit_is_refused(client: Client, headers: dict[str, str]) -> None:
    """The limit is the same for all."""
    answer = send(client, b" " * (settings.INGEST_MAX_BYTES + 1), headers)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_only_post_is_offered(client: Client) -> None:
    """Somebody opens the address in a browser."""
    answer = client.get("/api/v1/ingest/")

    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_a_bound_token_writes_into_its_system(client: Client) -> None:
    """A customer's agents need not know the slug of their system."""
    system = make_system("customer")
    headers = bearer(make_token(["ingest"], system=system)[1])

    send(client, rows(), headers)

    assert Unit.objects.get(name="billing-1").system == system


def test_who_belongs_to_two_systems_must_name_one(client: Client) -> None:
    """A guess would put samples where nobody looks for them."""
    first = make_system("first")
    user = make_user(role="operator", system=first)
    user.memberships.create(system=make_system("second"), role="operator")
    headers = bearer(make_token(["ingest"], user=user)[1])

    without = send(client, rows(), headers)
    named = send(client, {**rows(), "system": "first"}, headers)

    assert without.status_code == 400
    assert without.json()["errors"][0]["field"] == "system"
    assert named.status_code == 202


def test_a_role_that_was_lost_closes_the_token(client: Client) -> None:
    """A token never does more than its person may now."""
    user = make_user(role="operator")
    headers = bearer(make_token(["ingest"], user=user)[1])
    user.memberships.all().delete()

    assert send(client, rows(), headers).status_code == 403


def test_a_later_batch_costs_few_queries(
    client: Client, headers: dict[str, str], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """A thousand agents push every five seconds; each query counts two hundred times a second."""
    send(client, rows(), headers)

    with django_assert_max_num_queries(6):
        send(client, {**rows(), "samples": rows()["samples"] * 50}, headers)
