"""Which functions hear the events of which streams: the rooms' own and those of other projects.

A room declares its handlers in a module `projections`; a project installed beside the platform names a module under the
entry point `vsm.event_handlers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from django.apps import apps

from subsystems.event_log.recorded import Recorded
from subsystems.event_log.streams import Stream
from subsystems.kernel import plug_ins
from subsystems.kernel.errors import NotListed

ENTRY_POINTS = "vsm.event_handlers"
Effect = Callable[[Sequence[Recorded]], None]
Reset = Callable[[], object]
Start = Literal["current", "beginning"]


@dataclass(frozen=True)
class EventHandler:
    """A function that makes something of events, and where it begins when it is new.

    *reset* empties what it has made, so that a replay builds the same again; without it there is no replay.
    """

    name: str
    streams: frozenset[str]
    effect: Effect
    start: Start = "current"
    reset: Reset | None = None


_handlers: dict[str, EventHandler] = {}


def projects(
    name: str, *, streams: Iterable[Stream] = Stream, start: Start = "current", reset: Reset | None = None
) -> Callable[[Effect], Effect]:
    """Register a function that hears the events of *streams* in order, many at a time.

    It runs in the transaction that moves its checkpoint: its effect in the database happens exactly once.
    """
    if len(name) > 80:
        raise ValueError(f"The name of an event handler has at most 80 characters: {name}")

    def register(effect: Effect) -> Effect:
        if name in _handlers and _handlers[name].effect is not effect:
            raise ValueError(f"There is an event handler named {name!r} already")
        _handlers[name] = EventHandler(name, frozenset(str(each) for each in streams), effect, start, reset)
        return effect

    return register


def handlers() -> dict[str, EventHandler]:
    """Return every handler by name."""
    _load()
    return _handlers


def find(name: str) -> EventHandler:
    """Return the handler of *name*. Raises NotListed."""
    try:
        return handlers()[name]
    except KeyError:
        raise NotListed(f"There is no event handler named {name!r}.", field="name") from None


def forget(name: str) -> None:
    """Forget a handler."""
    _handlers.pop(name, None)


@cache
def _load() -> None:
    plug_ins.load_modules("projections", [config.name for config in apps.get_app_configs()])
    plug_ins.load(ENTRY_POINTS)
