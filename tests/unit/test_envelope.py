"""The envelope: what goes out comes back in, and what cannot travel is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import MAX_BYTES, MAX_HOPS, Envelope, check

WIRE: dict[str, Any] = {"from": "s3", "to": "s1", "channel": "resource_bargain", "type": "resources.offered"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=5)


@given(payload=OBJECTS, metadata=OBJECTS, priority=st.integers(0, 10), hops=st.integers(0, MAX_HOPS))
def test_an_envelope_survives_the_wire(
    payload: dict[str, Any], metadata: dict[str, Any], priority: int, hops: int
) -> None:
    """JSON is all that two programs share."""
    sent = Envelope(
        channel=Channel.COMMAND, sender=Party.S3, recipient=Party.S1, type="t", payload=payload, metadata=metadata,
        priority=priority, hop_count=hops, expires_at=datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=UTC),
    )  # fmt: skip

    assert Envelope.from_wire(json.loads(json.dumps(sent.to_wire()))) == sent


def test_fields_of_a_later_version_are_kept() -> None:
    """A relay of today must not lose what a program of tomorrow says."""
    came = Envelope.from_wire({**WIRE, "version": "1.7", "mood": "fine"})

    assert (came.extra, came.to_wire()["mood"]) == ({"mood": "fine"}, "fine")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        pytest.param({"from": "s9"}, "from", id="party"),
        pytest.param({"from": None}, "from", id="no sender"),
        pytest.param({"to": ["s1"]}, "to", id="list for a party"),
        pytest.param({"channel": "gossip"}, "channel", id="channel"),
        pytest.param({"type": ""}, "type", id="no type"),
        pytest.param({"type": "a b"}, "type", id="space in the type"),
        pytest.param({"type": "x" * 81}, "type", id="long type"),
        pytest.param({"id": "x" * 65}, "id", id="long id"),
        pytest.param({"id": "a\nb"}, "id", id="line break in the id"),
        pytest.param({"payload": [1]}, "payload", id="list for a payload"),
        pytest.param({"payload": {"n": float("nan")}}, "payload", id="nan"),
        pytest.param({"payload": {"n": float("inf")}}, "payload", id="infinity"),
        pytest.param({"payload": {"t": "\ud800"}}, "payload", id="half a surrogate pair"),
        pytest.param({"payload": {"t": "a\0b"}}, "payload", id="nul"),
        pytest.param({"payload": {"t": "x" * MAX_BYTES}}, "payload", id="too large"),
        pytest.param({"metadata": 3}, "metadata", id="number for metadata"),
        pytest.param({"priority": 11}, "priority", id="priority"),
        pytest.param({"priority": True}, "priority", id="true for a number"),
        pytest.param({"hop_count": -1}, "hop_count", id="hops below none"),
        pytest.param({"hop_count": MAX_HOPS + 1}, "hop_count", id="loop"),
        pytest.param({"expires_at": "tomorrow"}, "expires_at", id="time in words"),
        pytest.param({"expires_at": "2026-11-21T12:00:00"}, "expires_at", id="time without zone"),
        pytest.param({"version": "2.0"}, "version", id="version"),
    ],
)
def test_what_cannot_travel_names_its_field(wrong: dict[str, Any], field: str) -> None:
    """Whoever sent it should not have to guess."""
    with pytest.raises(Invalid) as refused:
        Envelope.from_wire({**WIRE, **wrong})

    assert refused.value.field == field


def test_a_pit_of_brackets_is_refused() -> None:
    """Nesting without end has broken parsers, databases and browsers."""
    pit: Any = {}
    for _ in range(2_000):
        pit = {"deeper": pit}

    with pytest.raises(Invalid, match="nested"):
        Envelope.from_wire({**WIRE, "payload": pit})


def test_an_answer_goes_back_and_a_passed_message_one_hop_on() -> None:
    """Correlation ties a conversation together; hops end one that goes in circles."""
    asked = check(Envelope.from_wire(WIRE))

    answer, passed = asked.reply("resources.taken", {}), asked.forwarded(Party.S1, Party.S3)

    assert (answer.sender, answer.recipient, answer.correlation_id) == (Party.S1, Party.S3, asked.id)
    assert (passed.hop_count, passed.correlation_id, passed.id == asked.id) == (1, asked.id, False)
