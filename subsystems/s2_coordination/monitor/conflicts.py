"""Who acts against whom, and which schedules get in each other's way; pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median

OPPOSED_SECONDS = 600.0  # opposite acts of two writers so close undo each other
NEAR_SECONDS = 60.0  # due so close together is due at once
LONG_SECONDS = 30.0  # what ends sooner is in nobody's way
LEAST_MEETINGS = 2
LEAST_SHARE = 0.5  # of the rarer one's due times


@dataclass(frozen=True)
class Act:
    """One act on a subject, or with *held_by* the wish for one while another writer had it."""

    subject: str
    writer: str
    direction: int
    at: float
    held_by: str = ""
    times: int = 1


@dataclass
class Clash:
    """A subject on which writers act against each other, or that they want at the same time."""

    subject: str
    writers: set[str] = field(default_factory=set)
    opposed: int = 0
    refused: int = 0
    last_at: float = 0.0


@dataclass(frozen=True)
class Due:
    """A schedule with its coming due times (epoch seconds) and how long its runs usually take; None is not known."""

    id: int
    name: str
    task: str
    queue: str
    runtime_seconds: float | None
    times: Sequence[float]


@dataclass(frozen=True)
class Collision:
    """Two schedules with long runs that are due at the same moments and use the same task or queue."""

    first: Due
    second: Due
    shared: str  # task or queue
    meetings: int
    shift_seconds: float  # by so much the second would be out of the way


def clashes(acts: Iterable[Act]) -> list[Clash]:
    """Return the subjects on which different writers undid each other's acts, or were refused for each other's sake."""
    found: dict[str, Clash] = {}
    last: dict[str, Act] = {}
    for act in sorted(acts, key=lambda each: each.at):
        if act.held_by:
            clash = found.setdefault(act.subject, Clash(act.subject))
            clash.writers |= {act.writer, act.held_by}
            clash.refused += act.times
            clash.last_at = act.at
            continue
        before = last.get(act.subject)
        if before is not None and _opposed(before, act):
            clash = found.setdefault(act.subject, Clash(act.subject))
            clash.writers |= {before.writer, act.writer}
            clash.opposed += 1
            clash.last_at = act.at
        last[act.subject] = act
    return list(found.values())


def _opposed(before: Act, act: Act) -> bool:
    return (
        before.writer != act.writer
        and before.direction * act.direction < 0
        and act.at - before.at <= OPPOSED_SECONDS
    )  # fmt: skip


def collisions(dues: Iterable[Due]) -> list[Collision]:
    """Return the pairs of schedules that meet; a schedule whose runtime nobody knows meets none."""
    long = [due for due in dues if due.runtime_seconds is not None and due.runtime_seconds >= LONG_SECONDS]
    found: dict[tuple[int, int], Collision] = {}
    for shared in ("task", "queue"):
        groups: dict[str, list[Due]] = defaultdict(list)
        for due in long:
            groups[getattr(due, shared)].append(due)
        for first, second in (pair for name, group in groups.items() if name for pair in combinations(group, 2)):
            met = _meetings(first.times, second.times)
            rarer = min(len(first.times), len(second.times))
            if met >= LEAST_MEETINGS and met >= LEAST_SHARE * rarer:
                found.setdefault((first.id, second.id), Collision(first, second, shared, met, _shift(first)))
    return list(found.values())


def _meetings(first: Sequence[float], second: Sequence[float]) -> int:
    return sum(any(abs(one - other) <= NEAR_SECONDS for other in second) for one in first)


def _shift(due: Due) -> float:
    return 60.0 * math.ceil((due.runtime_seconds or 0.0) / 60.0 + 1e-9)


def usual_runtime(runtimes: Sequence[float]) -> float | None:
    """Return how long a run usually takes: the median, of three runs at least."""
    return float(median(runtimes)) if len(runtimes) >= 3 else None
