"""Which tier answers which part of a range: each moment exactly one, the coarsest that loses nothing of the question.

A roll-up sums up its step without loss for every aggregate, and with one small error for quantiles. So when the step
asked for is a multiple of an hour, rows of an hour give the answer that minutes would give, sixty times as fast; where
nothing fits into the step, or the edge of the range cuts through one, the finest that is left answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from subsystems.telemetry.steps import DAY, FIVE_MINUTES, HOUR, MINUTE, floor

RECENT = "recent"  # samples and the minutes of what has left the hot tier already, side by side
WARM = "warm"
COLD = "cold"
NEAR_SECONDS = 3600  # what lies between two parts may be read with them: less work than asking once more


class Part(NamedTuple):
    """[start, end) of a range, and who answers it: a tier and its step."""

    tier: str
    step_seconds: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Reach:
    """What is where: *recent* is the moment from which on samples are asked for too.

    Minutes are in the database from *minutes_from* on, and on days since *archived_from* that are not among *moved*,
    the days (their first second) whose minutes are in the archive alone.
    """

    now: float
    recent: float
    minutes_from: float
    moved: frozenset[int] = field(default_factory=frozenset)
    archived_from: float = math.inf

    @property
    def earliest(self) -> float:
        """The first moment that any tier could hold."""
        return min(floor(self.now - HOUR.keep_seconds, DAY), self.minutes_from, self.archived_from, *self.moved)

    def options(self, day: int) -> list[tuple[str, int]]:
        """Return the tiers that hold *day*, the finest first."""
        found = []
        if day in self.moved:
            found.append((COLD, MINUTE.seconds))
        elif day >= min(self.minutes_from, self.archived_from):
            found.append((WARM, MINUTE.seconds))
        for step in (FIVE_MINUTES, HOUR):
            if day >= floor(self.now - step.keep_seconds, DAY):
                found.append((WARM, step.seconds))
        if day in self.moved and (WARM, HOUR.seconds) not in found:
            found.append((COLD, HOUR.seconds))  # beside the minutes the archive keeps the sketches of hours
        return found


def parts(start: float, end: float, step: float, reach: Reach) -> list[Part]:
    """Return who answers [start, end] for points every *step* seconds."""
    after = math.nextafter(end, math.inf)
    older = [
        part
        for options, low, high in _stretches(start, min(after, reach.recent), reach)
        for part in _tiles(low, high, _choice(options, step))
    ]
    recent = [Part(RECENT, MINUTE.seconds, max(start, reach.recent), end)] if end >= reach.recent else []
    return _merged(older) + recent


def neighbours(parts: Iterable[Part]) -> list[list[Part]]:
    """Return *parts* in groups to be read at once: of one tier and step, and each of a group near the next."""
    groups: list[list[Part]] = []
    reached = -math.inf
    for part in sorted(parts):
        if groups and groups[-1][0][:2] == part[:2] and part.start < reached + NEAR_SECONDS:
            groups[-1].append(part)
        else:
            groups.append([part])
            reached = -math.inf
        reached = max(reached, part.end)
    return groups


def around(parts: Sequence[Part]) -> Part:
    """Return the part that holds all *parts* of one tier and step."""
    return parts[0]._replace(start=min(part.start for part in parts), end=max(part.end for part in parts))


def missing_before(start: float, reach: Reach) -> bool:
    """Return whether *start* lies where no tier reaches."""
    return start < reach.recent and not reach.options(floor(start, DAY))


def _stretches(start: float, end: float, reach: Reach) -> Iterator[tuple[list[tuple[str, int]], float, float]]:
    """Yield (options, start, end) for each run of days that the same tiers hold."""
    run: tuple[list[tuple[str, int]], float, float] | None = None
    at = max(start, floor(reach.earliest, DAY))  # not day by day through the centuries before
    while at < end:
        day = floor(at, DAY)
        following = min(float(day + DAY), end)
        options = reach.options(day)
        if run is not None and run[0] == options:
            run = (options, run[1], following)
        else:
            if run is not None:
                yield run
            run = (options, at, following)
        at = following
    if run is not None:
        yield run


def _choice(options: Sequence[tuple[str, int]], step: float) -> list[tuple[str, int]]:
    """Return what may be used, the coarsest first: all that fit into *step*, else the finest alone."""
    fitting = [option for option in options if step % option[1] == 0]
    if not fitting:
        return list(options[:1])
    return fitting[::-1]


def _tiles(start: float, end: float, options: Sequence[tuple[str, int]]) -> Iterator[Part]:
    """Yield the coarsest where whole steps fit, and finer ones at the edges."""
    if not options or start >= end:
        return
    (tier, seconds), finer = options[0], options[1:]
    low, high = math.ceil(start / seconds) * seconds, floor(end, seconds)
    if not finer:  # a step that the edge cuts through counts whole
        yield Part(tier, seconds, floor(start, seconds), math.ceil(end / seconds) * seconds)
    elif low >= high:
        yield from _tiles(start, end, finer)
    else:
        yield from _tiles(start, low, finer)
        yield Part(tier, seconds, low, high)
        yield from _tiles(high, end, finer)


def _merged(found: Sequence[Part]) -> list[Part]:
    merged: list[Part] = []
    for part in found:
        if merged and merged[-1][:2] == part[:2] and merged[-1].end == part.start:
            merged[-1] = merged[-1]._replace(end=part.end)
        else:
            merged.append(part)
    return merged
