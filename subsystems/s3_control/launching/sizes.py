"""How many workers a launcher may have, which instance comes next, and what became of a start."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

RUNNING, STARTING, STOPPING, ENDED, FAILED = "running", "starting", "stopping", "ended", "failed"
HERE = frozenset({RUNNING, STARTING})  # what counts for the size; who is stopping has left already


@dataclass(frozen=True, slots=True)
class Instance:
    """One worker as its launcher sees it: the process, unit, container or pod, and the worker's node name."""

    name: str
    node: str
    state: str
    detail: str = ""

    def body(self) -> dict[str, Any]:
        return {"name": self.name, "node": self.node, "state": self.state, "detail": self.detail}


def here(seen: Iterable[Instance]) -> list[Instance]:
    """Return the instances that run or are about to."""
    return [each for each in seen if each.state in HERE]


def refusal(size: int, change: int, least: int, most: int) -> str:
    """Return why *size* workers may not become *change* more (or fewer, below zero); empty when they may."""
    if change > 0 and size + change > most:
        return f"{size} run, and {most} are the most: {max(0, most - size)} more can be started."
    if change < 0 and size + change < least:
        return f"{size} run, and {least} are the fewest: {max(0, size - least)} can be stopped."
    return ""


def next_names(launcher: str, seen: Iterable[Instance], count: int) -> list[str]:
    """Return names for *count* new instances, the lowest free numbers first."""
    taken = {each.name for each in seen if each.state not in (ENDED, FAILED)}
    found: list[str] = []
    number = 0
    while len(found) < count:
        number += 1
        name = numbered(launcher, number)
        if name not in taken:
            found.append(name)
    return found


def numbered(launcher: str, number: int) -> str:
    """Return the name of an instance: four digits, by which Celery's roles know a number that is made up."""
    return f"{launcher}-{number:04d}" if launcher else f"{number:04d}"


@dataclass(frozen=True, slots=True)
class Start:
    """How far a start has come: who is new and answers, who is new and does not yet, and who did not come up."""

    up: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    down: tuple[str, ...] = ()  # in words

    @property
    def new(self) -> int:
        return len(self.up) + len(self.waiting)


def progress(
    before: Collection[str], wanted: Sequence[str], seen: Iterable[Instance], answering: Collection[str]
) -> Start:
    """Return how far a start has come, by what was there *before* it and the names that it *wanted*.

    A launcher that names its instances itself has no wanted names: what was not there before is new.
    """
    up: list[str] = []
    waiting: list[str] = []
    down: list[str] = []
    known = {each.name: each for each in seen}
    for name in wanted or [name for name in known if name not in before]:
        each = known.get(name)
        if each is None or each.state in (ENDED, FAILED, STOPPING):
            told = "is not there" if each is None else each.detail or each.state
            down.append(f"{name}: {told}")
        else:
            (up if each.state == RUNNING and each.node in answering else waiting).append(name)
    return Start(tuple(up), tuple(waiting), tuple(down))


@dataclass(frozen=True, slots=True)
class Supply:
    """How many workers a launcher has by the names of those that answer, and how many it may have."""

    name: str
    queues: tuple[str, ...]
    slots: int
    running: int
    least: int
    most: int

    def started(self, slots: int) -> int:
        """Return how many workers more give *slots*, as far as it may."""
        return max(0, min(math.ceil(slots / self.slots), self.most - self.running))

    def stopped(self, slots: int) -> int:
        """Return how many workers fewer take no more than *slots* away, as far as it may."""
        return max(0, min(slots // self.slots, self.running - self.least))
