"""Operations asked for by message: carried out, answered, recorded; and refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from subsystems.event_log.models import PendingEvent
from subsystems.kernel import telemetry_events
from subsystems.messaging import operations
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered
from subsystems.messaging.integration import Operation, Outcome, operation_requested, s1_operation
from subsystems.messaging.models import DeadLetter, Message
from subsystems.messaging.receiving import receive
from subsystems.messaging.services import publish
from subsystems.s1_operations.handlers import execute_long

pytestmark = pytest.mark.django_db
NAME = "test.double"


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    operations.remove(NAME)


@pytest.fixture
def heard() -> Iterator[list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]]:
    """The telemetry of the test's own operation."""
    heard: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []

    def hear(event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        if metadata.get("operation") == NAME:
            heard.append((event, measurements, metadata))

    telemetry_events.attach("test.ear", "vsm.s1.operation.*", hear)
    yield heard
    telemetry_events.detach("test.ear")


def offer(function: Callable[[Operation], Any], **terms: Any) -> None:
    s1_operation(NAME, handler="doubler", **terms)(function)


def double(operation: Operation) -> int:
    return int(2 * operation.arguments["number"])


def ask(envelope: Envelope | None = None) -> Message:
    """Publish a request as S3 would, and let it be received."""
    message = publish(envelope or operation_requested(NAME, {"number": 21}), reply_within=timedelta(minutes=1))
    receive([message.number], worker="w1")
    message.refresh_from_db()
    return message


def executed() -> list[dict[str, Any]]:
    return [
        json.loads(data)
        for data in PendingEvent.objects.filter(type="OperationExecuted")
        .order_by("number")
        .values_list("data", flat=True)
    ]


def test_an_operation_is_carried_out_recorded_and_answered() -> None:
    """Who did it and how long it took is part of the record (requirement 004-18)."""
    offer(double)

    message = ask()

    [event] = executed()
    answer = Message.objects.get(correlation_id=message.id)
    assert (message.state, message.reply_state, answer.type) == ("handled", "answered", "operation.requested.reply")
    assert answer.payload == event
    assert event["execution_time"] >= 0
    assert {name: event[name] for name in ("operation_id", "operation", "handler", "result")} == {
        "operation_id": message.id, "operation": NAME, "handler": "doubler", "result": 42,
    }  # fmt: skip


def test_an_answer_that_was_asked_for_needs_nobody_else_to_hear_it() -> None:
    """Whoever asked finds it by its correlation; it must not fill the dead letters."""
    offer(double)
    answer = Message.objects.get(correlation_id=ask().id)

    receive([answer.number], worker="w1")

    answer.refresh_from_db()
    assert (answer.state, DeadLetter.objects.count()) == ("handled", 0)


def test_variety_that_nobody_measured_is_unknown() -> None:
    """No number is made up; a handler that measured says so."""
    offer(double)
    ask()
    offer(lambda operation: Outcome(1, input_variety=3.0, output_variety=1.0))
    ask()

    assert [(each["input_variety"], each["output_variety"]) for each in executed()] == [(None, None), (3.0, 1.0)]


def test_a_second_delivery_does_nothing() -> None:
    """Brokers deliver at least once."""
    offer(double)
    message = ask()

    receive([message.number], worker="w2", redelivered=True)

    assert len(executed()) == 1


def test_start_and_stop_are_told(heard: list[Any]) -> None:
    """With who does it and what."""
    offer(double)

    ask()

    assert [name for name, _, _ in heard] == ["vsm.s1.operation.start", "vsm.s1.operation.stop"]
    assert (heard[1][1]["success"], heard[1][2]["unit_id"]) == (True, "doubler")


def test_an_operation_that_raises_leaves_nothing_behind_and_tells_why(heard: list[Any]) -> None:
    """It is tried again; what it wrote before it failed is undone."""

    def fail(operation: Operation) -> None:
        Message.objects.filter(type="operation.requested").update(last_error="half done")
        raise RuntimeError("out of paper")

    offer(fail)

    message = ask()

    name, measurements, metadata = heard[-1]
    assert (name, metadata["error_type"]) == ("vsm.s1.operation.exception", "RuntimeError")
    assert measurements["duration"] >= 0
    assert (message.state, executed()) == ("waiting", [])
    assert "out of paper" in message.last_error


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        pytest.param({"operation": "test.unknown"}, "no operation named", id="unknown operation"),
        pytest.param({"operation": NAME, "capability": "colour"}, "capability colour", id="nobody can"),
        pytest.param({"arguments": {}}, "payload.operation", id="no operation"),
        pytest.param({"operation": NAME, "arguments": []}, "payload.arguments", id="arguments are no object"),
        pytest.param({"operation": NAME, "argument": {}}, "payload.argument", id="unknown field"),
        pytest.param({"operation": NAME, "arguments": {"number": 0}}, "cannot be written as JSON", id="no JSON"),
    ],
)
def test_what_cannot_be_done_goes_to_the_dead_letters_at_once(payload: dict[str, Any], says: str) -> None:
    """With the reason; three tries would not help."""
    offer(lambda operation: object())
    envelope = operation_requested(NAME)
    wrong = Envelope(
        channel=envelope.channel, sender=envelope.sender, recipient=envelope.recipient, type=envelope.type,
        payload=payload,
    )  # fmt: skip

    message = ask(wrong)

    assert message.state == "dead"
    assert says in DeadLetter.objects.get(message=message).detail


def test_a_long_operation_is_not_done_again_once_it_is_recorded() -> None:
    """It runs outside the transaction of its message, and a worker may die between its record and its claim."""
    calls: list[str] = []

    def take_long(operation: Operation) -> int:
        calls.append(operation.id)
        return 1

    offer(take_long, long=True)
    envelope = operation_requested(NAME)
    context = Delivered(1, None, datetime(2026, 11, 20, tzinfo=UTC), "w1")

    first, second = execute_long(envelope, context), execute_long(envelope, context)

    assert first == second
    assert len(calls) == len(executed()) == 1
