"""What is looked for in the history of tasks, and where a page of it begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from subsystems.fleets.states import OPEN, State
from subsystems.kernel.errors import Invalid

NEWEST, SLOWEST = "newest", "slowest"
ORDERS = {NEWEST: "seen_at", SLOWEST: "runtime_seconds"}
NAMES = {state.name.lower(): state for state in State}
GROUPS = {"open": OPEN, "ended": (State.REJECTED, State.REVOKED, State.FAILURE, State.SUCCESS)}


@dataclass(frozen=True)
class Wanted:
    """All that is given must fit. Moments are epoch seconds; *text* is any part of id, name, arguments or outcome."""

    states: Sequence[State] = ()
    name: str = ""
    worker: str = ""
    queue: str = ""
    uuid: str = ""
    root: str = ""
    fingerprint: int | None = None
    text: str = ""
    since: float | None = None
    until: float | None = None
    min_runtime: float | None = None
    max_runtime: float | None = None
    min_wait: float | None = None
    order: str = NEWEST


@dataclass(frozen=True)
class Position:
    """Where a page ended: the value that the list is ordered by, and the row's id."""

    value: float
    id: int

    def __str__(self) -> str:
        return f"{self.value!r}_{self.id}"

    @classmethod
    def of(cls, text: str) -> Position:
        """Return the position that *text* names. Raises Invalid naming `cursor`."""
        value, _, pk = text.partition("_")
        try:
            found = cls(float(value), int(pk))
        except ValueError:
            raise Invalid("This is no cursor of the history.", field="cursor") from None
        if not math.isfinite(found.value) or not 0 <= found.id < 1 << 63:
            raise Invalid("This is no cursor of the history.", field="cursor")
        return found


def states_of(text: str) -> tuple[State, ...]:
    """Return the states that *text* names: `failure,revoked`, or the groups `open` and `ended`. Raises Invalid."""
    found: list[State] = []
    for word in filter(None, (part.strip().lower() for part in text.split(","))):
        if word not in NAMES and word not in GROUPS:
            raise Invalid(f"States are {', '.join([*NAMES, *GROUPS])}; got {word!r:.40}.", field="state")
        found += [NAMES[word]] if word in NAMES else GROUPS[word]
    return tuple(dict.fromkeys(found))
