"""Batches from the broker, over kombu's own transport in memory."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from kombu import Connection, Producer
from kombu.message import Message as Delivered

from subsystems.kernel.errors import TransientError
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.topology import TELEMETRY
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services
from subsystems.telemetry.memory import MemoryHotTier
from subsystems.telemetry.store import hot_tier, use_tier
from tests.support.factories import make_token
from vsm_site.amqp_ingest import REFUSED, receive

pytestmark = pytest.mark.django_db
ROWS = json.dumps({"source": "a", "samples": [{"metric": "cpu", "value": 1}]}).encode()


@pytest.fixture
def channel() -> Iterator[Any]:
    with Connection("memory://") as connection:
        channel = connection.channel()
        TELEMETRY(channel).declare()
        TELEMETRY(channel).purge()
        yield channel


@pytest.fixture
def authorization() -> str:
    root_system()
    services._agents.clear()
    return f"Bearer {make_token(['ingest'])[1]}"


def delivered(
    channel: Any, body: bytes, content_type: str = "application/json", message_id: str | None = None, **headers: str
) -> Delivered:
    """Send a message through the broker and return it as it arrives."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    Producer(channel, TELEMETRY.exchange, "telemetry").publish(
        body, content_type=content_type, content_encoding="binary", headers=given, message_id=message_id
    )
    message = TELEMETRY(channel).get()
    assert message is not None
    return message


def test_batches_of_every_format_are_recorded(channel: Any, authorization: str) -> None:
    """The same bodies as over HTTP."""
    columns = msgspec.msgpack.encode({"source": "a", "metrics": ["m"], "at": [time.time()], "values": [[1.0]]})
    messages = [
        delivered(channel, ROWS, authorization=authorization),
        delivered(channel, gzip.compress(ROWS), authorization=authorization, content_encoding="gzip"),
        delivered(channel, columns, "application/msgpack", authorization=authorization),
    ]

    for message in messages:
        receive(message)

    assert hot_tier().size() == 3
    assert [message._state for message in messages] == ["ACK"] * 3


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(ROWS, {}, id="no token"),
        pytest.param(ROWS, {"authorization": "Bearer wrong"}, id="a token nobody has"),
        pytest.param(b"{", None, id="no JSON"),
        pytest.param(b"x", {"content_encoding": "gzip"}, id="no gzip"),
    ],
)
def test_what_can_never_be_taken_is_rejected_and_counted(
    channel: Any, authorization: str, body: bytes, headers: dict[str, str] | None
) -> None:
    """The broker keeps it among the dead letters."""
    given = {"authorization": authorization} if headers is None or "content_encoding" in headers else {}
    message = delivered(channel, body, **given, **(headers or {}))

    receive(message)

    assert message._state == "REJECTED"
    assert hot_tier().counters() == {REFUSED: 1}


class AwayTier(MemoryHotTier):
    """A tier whose server does not answer."""

    def append(self, samples: Any) -> None:
        raise TransientError("away")


def test_what_cannot_be_taken_now_stays_in_the_queue(channel: Any, authorization: str, settings: Any) -> None:
    """The broker is the buffer of its senders."""
    settings.INGEST_RATE, settings.INGEST_BURST = 1, 1
    first, second = (delivered(channel, ROWS, authorization=authorization) for _ in range(2))
    use_tier(AwayTier(10))
    try:
        with pytest.raises(TransientError):
            receive(first)
    finally:
        use_tier(None)
    with pytest.raises(RateLimited):
        receive(second)

    assert [first._state, second._state] == ["RECEIVED", "RECEIVED"]


def test_a_batch_with_an_id_counts_once(channel: Any, authorization: str) -> None:
    """What a crash left unacknowledged comes again; counted twice, it would weigh double in every sum."""
    other = f"Bearer {make_token(['ingest'])[1]}"
    tokens = [authorization, authorization, other]
    messages = [delivered(channel, ROWS, authorization=token, message_id="batch-1") for token in tokens]

    for message in messages:
        receive(message)

    assert hot_tier().size() == 2  # another sender's ids are its own
    assert [message._state for message in messages] == ["ACK"] * 3


def test_a_batch_that_could_not_be_kept_may_come_again_under_its_id(channel: Any, authorization: str) -> None:
    """An id that was used up by a failure would lose the samples for good."""
    first, again = (delivered(channel, ROWS, authorization=authorization, message_id="batch-2") for _ in range(2))
    use_tier(AwayTier(10))
    try:
        with pytest.raises(TransientError):
            receive(first)
    finally:
        use_tier(None)

    receive(again)

    assert hot_tier().size() == 1
