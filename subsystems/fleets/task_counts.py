"""Counting what happened to tasks by name, role and queue: counters that only grow, and histograms of seconds.

A histogram is a counter for each of its buckets. Who counts by worker makes a series of each pod: here its role counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from subsystems.fleets.ended import Ended
from subsystems.fleets.fingerprints import split
from subsystems.fleets.folding import Batch
from subsystems.fleets.states import State
from subsystems.s1_operations.roles import role_of

RUNTIME_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
WAIT_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
RUNTIME, WAIT = 100, 200  # the event of a histogram's first bucket
CLIENT = "generic"  # who sends has a name of its own for each process, which tells nothing
MAX_KINDS = 2_000  # names with their role and queue, of one fleet
OTHERS = "(others)"


class Event(IntEnum):
    """What is counted."""

    SENT = 0
    RECEIVED = 1
    STARTED = 2
    SUCCEEDED = 3
    FAILED = 4
    REJECTED = 5
    REVOKED = 6
    RETRIED = 7


class Kind(NamedTuple):
    """What shares a number."""

    event: int
    name: str
    role: str
    queue: str
    exception: str = ""


ENDS = {
    int(State.SUCCESS): Event.SUCCEEDED,
    int(State.FAILURE): Event.FAILED,
    int(State.REJECTED): Event.REJECTED,
    int(State.REVOKED): Event.REVOKED,
}
role = lru_cache(4_096)(role_of)


def unplaced(batch: Batch, ended: Sequence[Ended]) -> list[str]:
    """Return the tasks of a batch of which neither it nor their end tells name and queue."""
    known = {each.uuid for each in ended}
    retried = {retry.uuid for retry in batch.retries}
    return [
        uuid
        for uuid, facts in batch.tasks.items()
        if uuid not in known
        and not (facts.name and facts.queue)
        and (facts.received_at is not None or facts.started_at is not None or uuid in retried)
    ]


def counted(
    batch: Batch, ended: Sequence[Ended], places: Mapping[str, tuple[str, str]]
) -> dict[Kind, tuple[int, float]]:
    """Return by kind how much a batch adds: a number, and for histograms the seconds. *places* are name and queue."""
    found: dict[Kind, list[float]] = defaultdict(lambda: [0, 0.0])
    known = {**places, **{each.uuid: (each.name, each.queue) for each in ended}}
    for uuid, facts in batch.tasks.items():
        name, queue = known.get(uuid) or (facts.name, facts.queue)
        if facts.sent_at is not None:
            found[Kind(Event.SENT, name, CLIENT, queue)][0] += 1
        if facts.received_at is not None:
            found[Kind(Event.RECEIVED, name, role(facts.worker), queue)][0] += 1
        if facts.started_at is not None:
            found[Kind(Event.STARTED, name, role(facts.worker), queue)][0] += 1
    for retry in batch.retries:
        name, queue = known.get(retry.uuid) or (batch.tasks[retry.uuid].name, batch.tasks[retry.uuid].queue)
        found[Kind(Event.RETRIED, name, role(retry.worker), queue)][0] += 1
    for each in ended:
        _count_end(found, each)
    return {kind: (int(n), seconds) for kind, (n, seconds) in found.items()}


def _count_end(found: dict[Kind, list[float]], each: Ended) -> None:
    event = ENDS.get(each.state)
    if event is None:
        return
    place = (each.name, role(each.worker), each.queue)
    exception = split(each.exception or "")[0][:100] if event is Event.FAILED else ""
    found[Kind(event, *place, exception)][0] += 1
    if event is Event.SUCCEEDED and each.runtime is not None:
        _observe(found, Kind(RUNTIME + bisect_left(RUNTIME_BOUNDS, each.runtime), *place), each.runtime)
    if each.wait is not None and each.wait >= 0:  # clocks that differ by more than the wait tell nothing of it
        _observe(found, Kind(WAIT + bisect_left(WAIT_BOUNDS, each.wait), *place), each.wait)


def _observe(found: dict[Kind, list[float]], kind: Kind, seconds: float) -> None:
    found[kind][0] += 1
    found[kind][1] += seconds


def bounded(
    increments: Mapping[Kind, tuple[int, float]], known: set[tuple[str, str, str]]
) -> dict[Kind, tuple[int, float]]:
    """Put together what is beyond the bound on kinds; *known* kinds, to which new ones are added, keep their own."""
    found: dict[Kind, tuple[int, float]] = {}
    for kind, (n, seconds) in increments.items():
        place = (kind.name, kind.role, kind.queue)
        if place not in known:
            if len(known) >= MAX_KINDS:
                kind = Kind(kind.event, OTHERS, "", "", kind.exception and OTHERS)
            else:
                known.add(place)
        before = found.get(kind, (0, 0.0))
        found[kind] = (before[0] + n, before[1] + seconds)
    return found


def cumulative(buckets: Mapping[int, int], bounds: Sequence[float]) -> tuple[float, ...]:
    """Return counts of up to each bound and of all, from the counts of each bucket."""
    total, found = 0, []
    for place in range(len(bounds) + 1):
        total += buckets.get(place, 0)
        found.append(float(total))
    return tuple(found)
