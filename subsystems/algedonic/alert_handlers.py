"""Programs that want to hear of signals besides S3, S4 and S5 (requirements 000-41): pagers, horns, other systems.

A handler is a function of one `Told`. Installed projects name theirs under the entry point group `vsm.alert_handlers`;
code beside the platform calls `add`. Each is called after the commit, in the worker that recorded the signal, and one
that fails is logged and keeps nobody else from hearing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from subsystems.kernel import plug_ins

logger = logging.getLogger(__name__)
ENTRY_POINTS = "vsm.alert_handlers"


@dataclass(frozen=True, slots=True)
class Told:
    """What a handler hears: the signal as the API shows it, who recorded it, and at which level of escalation."""

    signal: Mapping[str, Any]
    party: str
    level: int
    repeat: bool = False


AlertHandler = Callable[[Told], object]
_handlers: dict[str, AlertHandler] = {}


def add(name: str, handler: AlertHandler) -> None:
    """Let *handler* hear of every signal, in place of an earlier one of this name."""
    _handlers[name] = handler


def remove(name: str) -> None:
    """Forget the handler called *name*."""
    _handlers.pop(name, None)


def names() -> list[str]:
    """Return the names of all handlers."""
    discover()
    return sorted(_handlers)


def tell(told: Told) -> None:
    """Call every handler."""
    for name in names():
        try:
            _handlers[name](told)
        except Exception:  # the door of other people's code: one that fails must not keep the others from hearing
            logger.exception("The alert handler %s failed.", name)


@cache
def discover() -> None:
    """Load the handlers of installed projects, once per process."""
    for name, handler in plug_ins.loaded(ENTRY_POINTS):
        _handlers.setdefault(name, cast(AlertHandler, handler))
