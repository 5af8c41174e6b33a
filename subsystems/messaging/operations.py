"""Operations of S1 that projects add: what can be asked for, who can do it, and who does it this time."""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from typing import Any

from pydantic import BaseModel, ValidationError

from subsystems.kernel import plug_ins
from subsystems.kernel.errors import Invalid, NotListed
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import TYPE, Envelope
from subsystems.messaging.selection import Candidate, Strategy, choose

ENTRY_POINTS = "vsm.operations"
REQUESTED, REQUESTED_LONG = "operation.requested", "operation.requested.long"
MAX_NAME = 80


@dataclass(frozen=True, slots=True)
class Operation:
    """What a handler is asked to do. *id* is the message's: the same when it comes a second time."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    handler: str = ""
    state_key: str = ""
    capabilities: tuple[str, ...] = ()
    system_id: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result with the variety, in bits, that the handler itself measured; without it they are unknown (004-18)."""

    result: Any
    input_variety: float | None = None
    output_variety: float | None = None


@dataclass(frozen=True, slots=True)
class OperationHandler:
    """One of those who can do an operation."""

    name: str
    operation: str
    function: Callable[[Operation], Any]
    capabilities: frozenset[str] = frozenset()
    strategy: Strategy = Strategy.ROUND_ROBIN
    state_key: str = ""  # the argument that says whose state it is
    arguments: type[BaseModel] | None = None
    load: Callable[[], float] | None = None  # what it says of its own load; else what it does right now counts
    long: bool = False


_handlers: dict[str, dict[str, OperationHandler]] = defaultdict(dict)
_turns: dict[str, Iterator[int]] = defaultdict(count)
_running: Counter[tuple[str, str]] = Counter()
_running_lock = threading.Lock()


def add(handler: OperationHandler) -> None:
    """Offer *handler*, in place of an earlier one of its name. Raises Invalid where it does not fit its fellows."""
    for name in (handler.operation, handler.name):
        if not TYPE.fullmatch(name):
            raise Invalid(
                f"{name!r:.100} must start with a letter and hold letters, digits and _ . / - only.", field="name"
            )
    if handler.strategy is Strategy.CONSISTENT_HASH and not handler.state_key:
        raise Invalid("consistent_hash needs state_key: the argument that says whose state it is.", field="state_key")
    for fellow in _handlers[handler.operation].values():
        if fellow.name != handler.name and _terms(fellow) != _terms(handler):
            raise Invalid(
                f"The handlers of {handler.operation} must agree on strategy, state_key, arguments and long;"
                f" {handler.name} and {fellow.name} do not.",
                field="strategy",
            )
    _handlers[handler.operation][handler.name] = handler


def remove(operation: str, name: str = "") -> None:
    """Forget one handler of *operation*, or all."""
    for each in [name] if name else list(_handlers.get(operation, ())):
        _handlers[operation].pop(each, None)
    if not _handlers.get(operation):
        _handlers.pop(operation, None)


def handlers_of(operation: str) -> Sequence[OperationHandler]:
    """Return who can do *operation*. Raises NotListed when nobody can."""
    load_plug_ins()
    found = list(_handlers.get(operation, {}).values())
    if not found:
        raise NotListed(f"There is no operation named {operation!r:.100}.", field="operation")
    return found


def listed() -> dict[str, list[OperationHandler]]:
    """Return every operation and who can do it, by name."""
    load_plug_ins()
    return {name: sorted(_handlers[name].values(), key=lambda each: each.name) for name in sorted(_handlers)}


@cache
def load_plug_ins() -> None:
    """Load the operations of installed projects, once per process: importing their modules offers them."""
    plug_ins.load(ENTRY_POINTS)


def chosen_for(operation: Operation) -> tuple[OperationHandler, Operation]:
    """Return who does *operation* this time, and the operation with its arguments checked. Raises Refused."""
    handlers = {each.name: each for each in handlers_of(operation.name)}
    terms = next(iter(handlers.values()))
    arguments = checked(terms.arguments, operation.arguments)
    key = operation.state_key or (str(arguments[terms.state_key]) if terms.state_key in arguments else "")
    candidate = choose(
        terms.strategy,
        [Candidate(each.name, each.capabilities) for each in handlers.values()],
        # Numbers of messages would not do: where each request has an answer, requests have only odd ones.
        turn=next(_turns[operation.name]) + os.getpid(),
        loads={each.name: load_of(each) for each in handlers.values()},
        required=operation.capabilities,
        key=key,
    )
    return handlers[candidate.name], replace(operation, arguments=arguments, handler=candidate.name, state_key=key)


def load_of(handler: OperationHandler) -> float:
    """Return the load of a handler: its own word, or how many operations it carries out in this process."""
    return handler.load() if handler.load else float(_running[handler.operation, handler.name])


@contextmanager
def counted(handler: OperationHandler) -> Iterator[None]:
    """Count an operation as load of *handler* while it runs."""
    key = (handler.operation, handler.name)
    with _running_lock:
        _running[key] += 1
    try:
        yield
    finally:
        with _running_lock:
            _running[key] -= 1


def checked(model: type[BaseModel] | None, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *arguments* as *model* understands them. Raises Invalid naming the one at fault."""
    if model is None:
        return arguments
    try:
        return model.model_validate(dict(arguments)).model_dump()
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(["arguments", *(str(step) for step in mistake["loc"])])
        raise Invalid(f"{place}: {mistake['msg']}", field=place) from None


def operation_requested(
    name: str, arguments: Mapping[str, Any] | None = None, *, capabilities: Sequence[str] = (), state_key: str = ""
) -> Envelope:
    """Return the message by which S3 asks S1 for an operation: `publish` it. Raises NotListed, or Invalid."""
    chosen = handlers_of(name)[0]
    checked(chosen.arguments, arguments or {})
    payload = {"operation": name, "arguments": dict(arguments or {})}
    payload |= {"capabilities": list(capabilities)} if capabilities else {}
    payload |= {"state_key": state_key} if state_key else {}
    type_ = REQUESTED_LONG if chosen.long else REQUESTED
    return Envelope(channel=Channel.COMMAND, sender=Party.S3, recipient=Party.S1, type=type_, payload=payload)


def _terms(handler: OperationHandler) -> tuple[object, ...]:
    return handler.strategy, handler.state_key, handler.arguments, handler.long
