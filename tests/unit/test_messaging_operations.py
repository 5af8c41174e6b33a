"""Operations that projects offer: who is registered, who is chosen, what is refused before anything begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from subsystems.kernel.errors import Invalid, NotListed
from subsystems.messaging import operations
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.operations import (
    REQUESTED,
    REQUESTED_LONG,
    Operation,
    OperationHandler,
    add,
    chosen_for,
    counted,
    load_of,
    operation_requested,
)
from subsystems.messaging.selection import Strategy

PRINT = "test.print"


class Page(BaseModel):
    copies: int = 1


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    operations.remove(PRINT)


def printer(name: str, **terms: Any) -> OperationHandler:
    handler = OperationHandler(name, PRINT, lambda operation: name, **terms)
    add(handler)
    return handler


def chosen(**asked: Any) -> str:
    return chosen_for(Operation(PRINT, **asked))[0].name


def test_handlers_take_turns() -> None:
    """Round robin unless somebody asks for another strategy (requirement 2-40)."""
    for name in ["a", "b", "c"]:
        printer(name)

    assert Counter(chosen() for _ in range(9)) == {"a": 3, "b": 3, "c": 3}


def test_what_a_handler_does_right_now_is_its_load() -> None:
    """Without a measure of its own the platform knows only this."""
    busy = printer("busy", strategy=Strategy.LEAST_LOADED)
    printer("idle", strategy=Strategy.LEAST_LOADED)

    with counted(busy):
        during = {chosen() for _ in range(4)}
    after = {chosen() for _ in range(4)}

    assert (during, after) == ({"idle"}, {"busy", "idle"})


def test_a_load_is_counted_down_when_an_operation_raises() -> None:
    """Or a handler that failed often would never be asked again."""
    handler = printer("a")

    with pytest.raises(KeyError), counted(handler):
        raise KeyError

    assert load_of(handler) == 0


def test_a_handler_may_know_its_own_load() -> None:
    """What it drives may have work from elsewhere."""
    printer("a", strategy=Strategy.LEAST_LOADED, load=lambda: 7.5)
    printer("b", strategy=Strategy.LEAST_LOADED, load=lambda: 0.5)

    assert {chosen() for _ in range(3)} == {"b"}


def test_a_key_always_finds_the_handler_with_its_state() -> None:
    """Whether it is an argument or stands in the message."""
    for name in ["a", "b", "c"]:
        printer(name, strategy=Strategy.CONSISTENT_HASH, state_key="customer")

    by_argument = {chosen(arguments={"customer": 4711}) for _ in range(5)}
    by_message = {chosen(state_key="4711") for _ in range(5)}

    assert len(by_argument | by_message) == 1
    assert len({chosen(state_key=str(number)) for number in range(50)}) == 3


def test_the_chosen_handler_is_told_who_it_is_and_gets_checked_arguments() -> None:
    """Defaults are filled in, so that a handler reads what its model says."""
    printer("a", arguments=Page)

    _, operation = chosen_for(Operation(PRINT, {}))

    assert (operation.handler, operation.arguments) == ("a", {"copies": 1})


@pytest.mark.parametrize(
    ("asked", "error", "field"),
    [
        pytest.param(Operation("test.unknown"), NotListed, "operation", id="no such operation"),
        pytest.param(Operation(PRINT, {"copies": "x"}), Invalid, "arguments.copies", id="bad argument"),
        pytest.param(Operation(PRINT, capabilities=("colour",)), NotListed, "capability", id="nobody can"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(asked: Operation, error: type[Exception], field: str) -> None:
    """A refusal goes to the dead letters at once, with its reason."""
    printer("a", arguments=Page)

    with pytest.raises(error) as caught:
        chosen_for(asked)

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        pytest.param({"strategy": Strategy.LEAST_LOADED}, "strategy", id="another strategy"),
        pytest.param({"arguments": Page}, "strategy", id="other arguments"),
        pytest.param({"long": True}, "strategy", id="long beside short"),
        pytest.param({"strategy": Strategy.CONSISTENT_HASH}, "state_key", id="state without a key"),
    ],
)
def test_handlers_of_one_operation_must_agree(terms: dict[str, Any], field: str) -> None:
    """Otherwise which rule holds would depend on the order of imports."""
    printer("a")

    with pytest.raises(Invalid) as caught:
        printer("b", **terms)

    assert caught.value.field == field
    assert [each.name for each in operations.handlers_of(PRINT)] == ["a"]


def test_a_name_that_cannot_travel_is_refused() -> None:
    """It becomes part of messages, events and metrics."""
    with pytest.raises(Invalid):
        add(OperationHandler("a b", PRINT, lambda operation: None))


def test_registering_again_replaces() -> None:
    """A module that is loaded twice must not get work twice as often."""
    printer("a")
    printer("a", capabilities=frozenset({"colour"}))

    assert [each.capabilities for each in operations.handlers_of(PRINT)] == [{"colour"}]


@pytest.mark.parametrize(("long", "type_"), [(False, REQUESTED), (True, REQUESTED_LONG)])
def test_s3_asks_s1_on_the_command_channel(long: bool, type_: str) -> None:
    """Long operations go where they hold up nothing else."""
    printer("a", long=long)

    envelope = operation_requested(PRINT, {"copies": 2}, capabilities=["colour"], state_key="k")

    assert (envelope.channel, envelope.sender, envelope.recipient) == (Channel.COMMAND, Party.S3, Party.S1)
    assert envelope.type == type_
    assert envelope.payload == {
        "operation": PRINT, "arguments": {"copies": 2}, "capabilities": ["colour"], "state_key": "k",
    }  # fmt: skip


def test_a_request_that_nobody_could_fulfil_is_not_sent() -> None:
    """The mistake shows where it is made."""
    printer("a", arguments=Page)

    with pytest.raises(Invalid, match="arguments.copies"):
        operation_requested(PRINT, {"copies": None})
