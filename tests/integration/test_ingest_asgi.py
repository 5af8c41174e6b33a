"""The road of samples past the framework: what is refused early, what is bounded, what a revoked token may."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from channels.db import database_sync_to_async

from subsystems.kernel.errors import TransientError
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services
from subsystems.telemetry.columns import Columns
from subsystems.telemetry.memory import MemoryHotTier
from subsystems.telemetry.store import hot_tier, use_tier
from tests.support.factories import bearer, make_token
from vsm_site.api import grants
from vsm_site.doors import DOORS
from vsm_site.ingest_asgi import IngestDoors, Load

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "/api/v1/ingest/"


@dataclass
class Sender:
    """A client of the doors, with a token."""

    client: httpx.AsyncClient
    headers: dict[str, str]

    async def push(self, body: Any = None, **headers: str) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(rows() if body is None else body).encode()
        given = {"content-type": "application/json", **self.headers}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(ADDRESS, content=raw, headers=given)


def rows() -> dict[str, Any]:
    return {"source": "billing-1", "samples": [{"metric": "cpu", "value": 0.3}]}


async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"elsewhere"})


@pytest.fixture
def token() -> Any:
    root_system()
    services._agents.clear()
    grants.forget_grants()
    return make_token(["ingest"])


MakeSender = Callable[..., Sender]


@pytest.fixture
async def make_sender(token: Any) -> Any:
    clients: list[httpx.AsyncClient] = []

    def make(load: Load | None = None) -> Sender:
        transport = httpx.ASGITransport(IngestDoors(elsewhere, DOORS, load))
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://test"))
        return Sender(clients[-1], bearer(token[1]))

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def sender(make_sender: MakeSender) -> Sender:
    return make_sender()


async def test_rows_and_packed_columns_are_recorded(sender: Sender) -> None:
    """The two ends of what senders send: a shell script's row and a fleet's doubles."""
    now = time.time()
    columns = {
        "source": "b", "metrics": ["cpu", "mem"], "at": np.array([now - 1, now]).tobytes(),
        "values": np.arange(4.0).tobytes(),
    }  # fmt: skip
    packed = gzip.compress(msgspec.msgpack.encode(columns))

    first = await sender.push()
    second = await sender.push(packed, content_type="application/msgpack", content_encoding="gzip")

    assert (first.status_code, first.json()) == (202, {"accepted": 1, "rejected": []})
    assert (second.status_code, second.json()) == (202, {"accepted": 4, "rejected": []})
    assert hot_tier().size() == 5


async def test_other_addresses_are_left_to_the_rest(sender: Sender) -> None:
    """The doors stand in front of everything."""
    answer = await sender.client.get("/api/v1/units/")

    assert answer.text == "elsewhere"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        pytest.param({"authorization": "Bearer wrong"}, 401, "authentication_failed", id="a token nobody has"),
        pytest.param({"authorization": "Basic eDp5"}, 401, "authentication_failed", id="a password"),
        pytest.param({"content_length": "999999999"}, 413, "too_large", id="a large body, announced"),
        pytest.param({"content_type": "text/csv"}, 415, "unsupported_media_type", id="another format"),
        pytest.param({"content_encoding": "br"}, 415, "unsupported_media_type", id="another packing"),
    ],
)
async def test_what_is_refused_is_a_problem(sender: Sender, headers: dict[str, str], status: int, code: str) -> None:
    """The same documents as everywhere in the API."""
    answer = await sender.push(**headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_without_a_token_the_answer_says_what_is_wanted(sender: Sender) -> None:
    """And the body is not even read."""
    sender.headers = {}

    answer = await sender.push()

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="vsm"')


async def test_only_post_is_answered(sender: Sender) -> None:
    """Somebody opens the address in a browser."""
    answer = await sender.client.get(ADDRESS)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_revoked_token_is_refused_once_its_grant_is_old(
    sender: Sender, token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token is remembered, but never for longer than a moment."""
    assert (await sender.push()).status_code == 202
    await database_sync_to_async(token[0].delete)()
    monkeypatch.setattr(grants, "REMEMBERED_SECONDS", 0.0)

    assert (await sender.push()).status_code == 401


async def test_a_body_in_pieces_is_bounded_too(sender: Sender, settings: Any) -> None:
    """Without an announced length only counting helps."""
    settings.INGEST_MAX_BYTES = 1000

    async def pieces() -> Any:
        for _ in range(20):
            yield b" " * 100

    answer = await sender.client.post(ADDRESS, content=pieces(), headers=sender.headers)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "load", [Load(max_requests=0), Load(max_bytes=10)], ids=["too many requests", "too many bytes"]
)
async def test_too_much_at_once_is_told_to_wait_and_counted(make_sender: MakeSender, load: Load) -> None:
    """Back-pressure: memory stays bounded, and the operator sees that senders were turned away."""
    answer = await make_sender(load).push()
    load.max_requests, load.max_bytes = 10, 10_000
    later = await make_sender(load).push()

    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "busy", "1")
    assert later.status_code == 202
    assert hot_tier().counters()["refused_busy"] == 1
    assert (load.requests, load.bytes) == (0, 0)


async def test_who_hangs_up_leaves_nothing_behind(token: Any) -> None:
    """A sender that dies in the middle must not hold the room of others."""
    load = Load()
    doors = IngestDoors(elsewhere, DOORS, load)
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    headers = [(name.encode(), value.encode()) for name, value in bearer(token[1]).items()]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    send: Callable[[Any], Awaitable[None]] = lambda message: asyncio.sleep(0, sent.append(message))  # noqa: E731
    await doors({"type": "http", "method": "POST", "path": ADDRESS, "headers": headers}, receive, send)

    assert sent == []
    assert (load.requests, load.bytes) == (0, 0)


class AwayTier(MemoryHotTier):
    """A tier whose server does not answer."""

    def append(self, samples: Columns) -> None:
        raise TransientError("away")


async def test_a_store_that_is_away_makes_the_sender_try_again(sender: Sender) -> None:
    """A sender that is told 202 would throw its buffer away."""
    use_tier(AwayTier(10))
    try:
        answer = await sender.push()
    finally:
        use_tier(None)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
