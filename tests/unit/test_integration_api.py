"""The four decorators with which a project takes part, and that a broken project harms nobody."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from subsystems.event_log import registry
from subsystems.kernel import plug_ins, telemetry_events
from subsystems.kernel.errors import Invalid, NotListed
from subsystems.messaging import handlers, operations
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered
from subsystems.messaging.integration import (
    Operation,
    Recorded,
    channel_subscriber,
    event_handler,
    s1_operation,
    telemetry_handler,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """What a test registers must not meet the next one."""
    yield
    operations.remove("test.add")
    handlers.remove("test.subscriber")
    registry.forget("test.events")
    telemetry_events.detach("test.telemetry")


def recorded(type_: str) -> Recorded:
    return Recorded(1, 1, "vsm-system1-operations", type_, 1, None, "{}", "", "", "", NOON)


def test_a_function_becomes_an_operation() -> None:
    """And stays the function that it was, so that it can be tested as one."""

    @s1_operation("test.add", capabilities=["numbers"])
    def handle_operation(operation: Operation) -> int:
        return sum(operation.arguments["numbers"])

    handler, operation = operations.chosen_for(Operation("test.add", {"numbers": [1, 2]}, capabilities=("numbers",)))

    assert handler.function(operation) == handle_operation(operation) == 3
    assert handler.name.endswith("handle_operation")


def test_a_class_becomes_an_operation_made_once() -> None:
    """For a handler that keeps a connection or a state (requirement 003-14 names the method)."""

    @s1_operation("test.add", handler="counter", state_key="who")
    class Counter:
        def __init__(self) -> None:
            self.calls = 0

        def handle_operation(self, operation: Operation) -> int:
            self.calls += 1
            return self.calls

    handler, operation = operations.chosen_for(Operation("test.add", {"who": "anna"}))

    assert [handler.function(operation), handler.function(operation)] == [1, 2]
    assert handler.strategy == "consistent_hash"


def test_an_unknown_strategy_is_named() -> None:
    """With those that there are."""
    with pytest.raises(Invalid, match="round_robin"):
        s1_operation("test.add", strategy="fastest")(lambda operation: None)


def test_an_event_handler_hears_the_types_it_asked_for_one_by_one() -> None:
    """The log hands them over in lots; most handlers want one after the other."""
    heard: list[str] = []

    @event_handler(streams=["vsm-system1-operations"], types=["B", "C"], name="test.events")
    def hear(event: Recorded) -> None:
        heard.append(event.type)

    handler = registry.find("test.events")
    handler.effect([recorded(type_) for type_ in "ABCAB"])

    assert heard == ["B", "C", "B"]
    assert handler.streams == {"vsm-system1-operations"}


def test_an_unknown_stream_is_refused() -> None:
    """A handler that hears nothing for ever would pass for one that works."""
    with pytest.raises(Invalid, match="vsm-system9"):
        event_handler(streams=["vsm-system9"])


def test_a_subscriber_hears_its_channel_alone() -> None:
    """The same type may travel on two channels and mean two things."""
    heard: list[Channel] = []

    @channel_subscriber("coordination_channel", "system1", "test.pace", name="test.subscriber")
    def hear(envelope: Envelope, context: Delivered) -> Mapping[str, Any]:
        heard.append(envelope.channel)
        return {"ok": True}

    [handler] = [each for each in handlers.handlers_of(Party.S1, "test.pace") if each.name == "test.subscriber"]
    answers = [
        handler.function(
            Envelope(channel=channel, sender=sender, recipient=Party.S1, type="test.pace"),
            Delivered(1, None, NOON, "worker"),
        )
        for channel, sender in [(Channel.COORDINATION, Party.S2), (Channel.COMMAND, Party.S3)]
    ]

    assert (heard, answers) == ([Channel.COORDINATION], [{"ok": True}, None])


def test_an_unknown_channel_is_refused() -> None:
    """At the line where it is written."""
    with pytest.raises(Invalid, match="gossip"):
        channel_subscriber("gossip", "s1")


def test_a_telemetry_handler_hears_events_under_any_spelling() -> None:
    """Requirement 003-14 names the method."""
    heard: list[tuple[str, float]] = []

    @telemetry_handler("test.telemetry", ["vsm_core.variety.calculated"])
    class Custom:
        def handle_event(self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
            heard.append((event, measurements["variety"]))

    telemetry_events.emit("vsm.variety.calculated", {"variety": 2.0}, {"subsystem": "s1"})

    assert heard == [("vsm.variety.calculated", 2.0)]


def test_a_telemetry_handler_of_nothing_is_refused() -> None:
    """A misspelt event would never be heard."""
    with pytest.raises(NotListed):
        telemetry_handler("test.telemetry", "vsm.variety.guessed")(lambda *_: None)


@pytest.fixture
def _none_broken() -> Iterator[None]:
    plug_ins.forget_broken()
    yield
    plug_ins.forget_broken()


@pytest.mark.usefixtures("_none_broken")
def test_a_broken_project_is_named_and_left_out(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """One bad package must not keep the platform from starting."""
    points = [
        EntryPoint(name, value, "vsm.operations") for name, value in [("bad", "nowhere.at_all"), ("good", "json")]
    ]
    monkeypatch.setattr(plug_ins, "entry_points", lambda group: points)

    with caplog.at_level(logging.ERROR):
        found = [name for name, _ in plug_ins.loaded("vsm.operations")]

    assert found == ["good"]
    assert "bad (nowhere.at_all)" in caplog.text
    assert list(plug_ins.broken()) == ["vsm.operations: bad (nowhere.at_all)"]


@pytest.mark.usefixtures("_none_broken")
def test_a_module_that_breaks_does_not_silence_those_behind_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One application whose handlers cannot be imported must not take everybody's with it."""
    for package, body in {"breaks": "1 / 0", "lacks": None, "works": "heard = True"}.items():
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        if body is not None:
            (tmp_path / package / "handlers.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)

    plug_ins.load_modules("handlers", ["breaks", "lacks", "works"])

    assert sys.modules["works.handlers"].heard
    assert plug_ins.broken() == {"breaks.handlers": "ZeroDivisionError: division by zero"}
