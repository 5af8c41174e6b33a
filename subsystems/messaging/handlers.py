"""Who hears what: the handlers of this platform's rooms and of projects that were installed beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.apps import apps

from subsystems.kernel import plug_ins
from subsystems.messaging.channels import Party, parse_party
from subsystems.messaging.envelope import Envelope

ENTRY_POINTS = "vsm.handlers"
ANY = "*"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a handler is told beside the message. *items* are the payloads of a batch, for a handler that takes one."""

    message_number: int
    system_id: int | None
    now: datetime
    worker: str
    items: Sequence[Mapping[str, Any]] = ()


Function = Callable[[Envelope, Delivered], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that hears messages of one type to one recipient."""

    name: str
    recipient: Party
    type: str
    function: Function
    batch: bool = False  # takes a whole batch at once, in `Delivered.items`
    own_transaction: bool = False  # is idempotent by itself and must not be held in a transaction
    long: bool = False  # may take minutes: runs in a task with longer limits


_handlers: dict[tuple[Party, str], list[Handler]] = defaultdict(list)


def handles(
    recipient: str,
    type_: str,
    *,
    name: str,
    batch: bool = False,
    own_transaction: bool = False,
    long: bool = False,
) -> Callable[[Function], Function]:
    """Let the decorated function hear messages of *type_* (`"*"`: of every type) to *recipient*.

    It runs in one transaction with its claim of the message, so that its effect in the database happens exactly once.
    What it returns answers a message that asked. Raising tries again, three times in all, then the message is a dead
    letter; `Refused` goes there at once. With *own_transaction* (or *long*) it runs in none and must itself be safe to
    run twice.
    """

    def register(function: Function) -> Function:
        handler = Handler(name, parse_party(recipient), type_, function, batch, own_transaction or long, long)
        add(handler)
        return function

    return register


def add(handler: Handler) -> None:
    """Register *handler*, in place of an earlier one of its name. Its name marks what it has heard: keep it."""
    listed = _handlers[handler.recipient, handler.type]
    listed[:] = [each for each in listed if each.name != handler.name] + [handler]


def remove(name: str) -> None:
    """Forget the handler called *name*."""
    for listed in _handlers.values():
        listed[:] = [each for each in listed if each.name != name]


def handlers_of(recipient: Party, type_: str) -> list[Handler]:
    """Return who hears messages of *type_* to *recipient*."""
    discover()
    return [*_handlers.get((recipient, type_), ()), *_handlers.get((recipient, ANY), ())]


def all_handlers() -> list[Handler]:
    """Return every handler there is, by name."""
    discover()
    return sorted((each for listed in _handlers.values() for each in listed), key=lambda each: each.name)


@cache
def discover() -> None:
    """Load the `handlers` module of each room and the entry points of installed projects, once per process."""
    plug_ins.load_modules("handlers", [config.name for config in apps.get_app_configs()])
    plug_ins.load(ENTRY_POINTS)
