"""How tasks of one name and queue ended in five minutes: counts, and sketches of how long they waited and ran."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from subsystems.fleets.ended import Ended
from subsystems.fleets.states import State
from subsystems.telemetry.sketch import Sketch

STEP_SECONDS = 300
_SUCCESS, _FAILURE = int(State.SUCCESS), int(State.FAILURE)


class Ends(msgspec.Struct, array_like=True, gc=False):
    """How some tasks of one name and queue ended within the same five minutes."""

    at: int
    name: str
    queue: str
    succeeded: int = 0
    failed: int = 0
    others: int = 0
    retried: int = 0
    runtimes: list[float] = []
    waits: list[float] = []


def ends_of(ended: Iterable[Ended]) -> list[Ends]:
    """Return the ends of tasks by what they share."""
    found: dict[tuple[int, str, str], Ends] = {}
    for each in ended:
        key = (slot_of(each.finished_at), each.name, each.queue)
        ends = found.get(key)
        if ends is None:
            ends = found[key] = Ends(*key)
        if each.state == _SUCCESS:
            ends.succeeded += 1
        elif each.state == _FAILURE:
            ends.failed += 1
        else:
            ends.others += 1
        ends.retried += each.retries
        if each.runtime is not None:
            ends.runtimes.append(each.runtime)
        if each.wait is not None and each.wait >= 0:  # clocks that differ by more than the wait tell nothing of it
            ends.waits.append(each.wait)
    return list(found.values())


def slot_of(at: float) -> int:
    """Return the start of the five minutes in which *at* lies."""
    return int(at // STEP_SECONDS * STEP_SECONDS)


@dataclass
class Tally:
    """One row of roll-ups, its sketches opened only when something is added to them."""

    succeeded: int = 0
    failed: int = 0
    others: int = 0
    retried: int = 0
    runtimes: bytes | Sketch | None = None
    waits: bytes | Sketch | None = None

    @classmethod
    def from_row(cls, *numbers: Any) -> Tally:
        *counts, runtimes, waits = numbers
        return cls(*counts, *(None if raw is None else bytes(raw) for raw in (runtimes, waits)))

    def to_row(self) -> tuple[Any, ...]:
        packed = (sketch.to_bytes() if isinstance(sketch, Sketch) else sketch for sketch in (self.runtimes, self.waits))
        return (self.succeeded, self.failed, self.others, self.retried, *packed)

    def add(self, ends: Ends) -> None:
        """Count tasks that ended."""
        self.succeeded += ends.succeeded
        self.failed += ends.failed
        self.others += ends.others
        self.retried += ends.retried
        if ends.runtimes:
            self.runtimes = opened(self.runtimes)
            self.runtimes.add_many(ends.runtimes)
        if ends.waits:
            self.waits = opened(self.waits)
            self.waits.add_many(ends.waits)

    def merge(self, other: Tally) -> None:
        """Count all that *other* counted."""
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.others += other.others
        self.retried += other.retried
        for field in ("runtimes", "waits"):
            theirs = getattr(other, field)
            if theirs is not None:
                mine = opened(getattr(self, field))
                mine.merge(opened(theirs))
                setattr(self, field, mine)


def opened(sketch: bytes | Sketch | None) -> Sketch:
    """Return a sketch to add to."""
    if isinstance(sketch, Sketch):
        return sketch
    return Sketch() if sketch is None else Sketch.from_bytes(sketch)
