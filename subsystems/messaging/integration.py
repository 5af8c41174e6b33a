"""How a project beside the platform takes part (requirement 003-14; `docs/integration.md` has an example of each).

    @s1_operation("invoice.total")            an operation of S1: the work that the system is there for
    @event_handler(streams=["vsm-…"])         hears the event log, in order, without gaps
    @channel_subscriber("coordination", …)    hears the messages of a channel
    @telemetry_handler("my-metrics", …)       hears what subsystems tell while they work, in its process

Importing a module registers what is decorated in it; entry points tell the platform which modules to import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

from pydantic import BaseModel

from subsystems.event_log.recorded import Recorded
from subsystems.event_log.registry import Reset, Start, projects
from subsystems.event_log.streams import Stream
from subsystems.kernel import telemetry_events
from subsystems.kernel.errors import Invalid
from subsystems.messaging import operations
from subsystems.messaging.channels import parse_channel
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered, handles
from subsystems.messaging.operations import Operation, OperationHandler, Outcome, operation_requested
from subsystems.messaging.selection import Strategy

__all__ = [
    "Delivered", "Envelope", "Operation", "Outcome", "Recorded", "Strategy", "channel_subscriber", "event_handler",
    "operation_requested", "s1_operation", "telemetry_handler",
]  # fmt: skip
T = TypeVar("T", bound=Callable[..., Any])
Subscriber = TypeVar("Subscriber", bound=Callable[[Envelope, Delivered], Mapping[str, Any] | None])


def s1_operation(
    name: str,
    *,
    handler: str = "",
    capabilities: Iterable[str] = (),
    strategy: str = "",
    state_key: str = "",
    arguments: type[BaseModel] | None = None,
    load: Callable[[], float] | None = None,
    long: bool = False,
) -> Callable[[T], T]:
    """Offer the decorated function, or class with `handle_operation`, as a handler of the operation *name*.

    It is given an `Operation` and returns plain JSON, or an `Outcome`. Several handlers of one operation have names of
    their own (*handler*) and agree on the *strategy* by which one is chosen: `round_robin`, `least_loaded` (by *load*,
    or by what it does right now), `capability`, or `consistent_hash` by the argument named *state_key*.

    It runs in one transaction with the record that it ran, so that its effect in the database happens exactly once.
    With *long* it may take minutes; it then runs in none, and must be safe to run twice.
    """

    def register(target: T) -> T:
        function = target().handle_operation if isinstance(target, type) else target
        by = _strategy(strategy or (Strategy.CONSISTENT_HASH if state_key else Strategy.ROUND_ROBIN))
        named = handler or _name_of(target)
        operations.add(
            OperationHandler(named, name, function, frozenset(capabilities), by, state_key, arguments, load, long)
        )
        return target

    return register


def event_handler(
    *,
    streams: Iterable[str] = Stream,
    types: Iterable[str] = (),
    name: str = "",
    start: Start = "current",
    reset: Reset | None = None,
) -> Callable[[T], T]:
    """Let the decorated function hear each event of *streams* (of *types*; of all when none is named), in order.

    *name* marks how far it has heard: keep it. It begins with what comes next, or with `start="beginning"`; with
    *reset*, which empties what it made, a replay can build the same again. Its effect in the database happens exactly
    once. One that raises is tried again and hears nothing further until it succeeds.
    """
    heard = [_stream(each) for each in streams]
    wanted = frozenset(types)

    def register(function: T) -> T:
        @wraps(function)
        def effect(events: Sequence[Recorded]) -> None:
            for event in events:
                if not wanted or event.type in wanted:
                    function(event)

        projects(name or _name_of(function), streams=heard, start=start, reset=reset)(effect)
        return function

    return register


def channel_subscriber(
    channel: str, recipient: str, type_: str = "*", *, name: str = "", own_transaction: bool = False, long: bool = False
) -> Callable[[Subscriber], Subscriber]:
    """Let the decorated function hear the messages of *type_* that go to *recipient* on *channel*.

    It is given the `Envelope` and what was `Delivered`; what it returns answers a message that asked. *name* marks what
    it has heard: keep it. Its effect in the database happens exactly once, unless it asks for its *own_transaction*.
    """
    try:
        only = parse_channel(channel)
    except ValueError:
        raise Invalid(f"There is no channel named {channel!r:.40}.", field="channel") from None

    def register(function: Subscriber) -> Subscriber:
        @wraps(function)
        def hear(envelope: Envelope, context: Delivered) -> Mapping[str, Any] | None:
            return function(envelope, context) if envelope.channel is only else None

        handles(
            recipient, type_, name=name or _name_of(function), own_transaction=own_transaction, long=long
        )(hear)  # fmt: skip
        return function

    return register


def telemetry_handler(name: str, events: str | Iterable[str] = telemetry_events.EVERY) -> Callable[[T], T]:
    """Call the decorated function, or class with `handle_event`, with (event, measurements, metadata) at each event.

    It is called in the process and thread of the work that it hears of, and should be done in microseconds. One that
    raises five times in a row is detached.
    """

    def register(target: T) -> T:
        function = target().handle_event if isinstance(target, type) else target
        telemetry_events.attach(name, events, function)
        return target

    return register


def _name_of(target: Any) -> str:
    return f"{target.__module__}.{target.__qualname__}".replace("<locals>.", "")[-operations.MAX_NAME :].lstrip(
        "._0123456789"
    )


def _strategy(text: str) -> Strategy:
    try:
        return Strategy(text)
    except ValueError:
        offered = ", ".join(Strategy)
        raise Invalid(f"The strategies are {offered}; got {text!r:.40}.", field="strategy") from None


def _stream(text: str) -> Stream:
    try:
        return Stream(text)
    except ValueError:
        raise Invalid(f"There is no stream named {text!r:.60}.", field="streams") from None
