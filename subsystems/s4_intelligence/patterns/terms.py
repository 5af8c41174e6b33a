"""What the operators of patterns remember of one key, and whether they hold.

Each is given the events that it asked for in the order of their time and answers about the moment of the newest one.
All windows include their ends: an event just as old as the window still counts. What is remembered is bounded, and
where the bound cuts, `holds` is the same as if it did not (trends and correlations look at steps of time instead).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh, ceil, erf, isfinite, sqrt
from typing import Any, ClassVar, Protocol

from subsystems.s4_intelligence.patterns.conditions import is_number

Seen = tuple[float, int]  # when, and which event
STEPS = 64  # of time in the window of a trend
KEPT_EVIDENCE = 50


class Term(Protocol):
    """The memory of one operator for one key."""

    def take(self, which: int, at: float, value: Any, ref: int) -> None: ...
    def holds(self, now: float) -> bool: ...
    def share(self, now: float) -> float: ...
    def confidence(self, now: float) -> float: ...
    def evidence(self, now: float) -> list[Seen]: ...
    def due(self) -> float | None: ...
    def dump(self) -> Any: ...
    def load(self, wire: Any) -> None: ...


class Observed:
    """What operators have in common whose answer is a fact, not an estimate, and who wait for no moment."""

    __slots__ = ()

    def confidence(self, now: float) -> float:
        return 1.0

    def due(self) -> float | None:
        return None


# --- recent, concurrent -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Together:
    """Each of *count* kinds of events happened within the window; one kind alone is `recent`."""

    count: int
    within: float
    last_first: ClassVar[bool] = False

    def new(self) -> Term:
        return _Together(self)


class _Together(Observed):
    __slots__ = ("_last", "_spec")

    def __init__(self, spec: Together) -> None:
        self._spec = spec
        self._last: list[Seen | None] = [None] * spec.count

    def take(self, which: int, at: float, value: Any, ref: int) -> None:
        self._last[which] = (at, ref)

    def holds(self, now: float) -> bool:
        since = now - self._spec.within
        return all(seen is not None and seen[0] >= since for seen in self._last)

    def share(self, now: float) -> float:
        return len(self.evidence(now)) / self._spec.count

    def evidence(self, now: float) -> list[Seen]:
        return [seen for seen in self._last if seen is not None and seen[0] >= now - self._spec.within]

    def dump(self) -> Any:
        return self._last

    def load(self, wire: Any) -> None:
        self._last = [tuple(seen) if seen else None for seen in wire]


# --- frequency --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Frequency:
    """At least *needed* events within the window; no more than that many are remembered."""

    needed: int
    within: float
    last_first: ClassVar[bool] = False

    def new(self) -> Term:
        return _Frequency(self)


class _Frequency(Observed):
    __slots__ = ("_needed", "_seen", "_within")

    def __init__(self, spec: Frequency) -> None:
        self._needed, self._within = spec.needed, spec.within
        self._seen: deque[Seen] = deque(maxlen=spec.needed)

    def take(self, which: int, at: float, value: Any, ref: int) -> None:
        seen, within = self._seen, self._within
        while seen and at - seen[0][0] > within:
            seen.popleft()
        seen.append((at, ref))

    def holds(self, now: float) -> bool:
        seen = self._seen
        return len(seen) == self._needed and now - seen[0][0] <= self._within

    def share(self, now: float) -> float:
        return self._count(now) / self._needed

    def evidence(self, now: float) -> list[Seen]:
        return list(self._seen)[-self._count(now) :][-KEPT_EVIDENCE:] if self._count(now) else []

    def dump(self) -> Any:
        return list(self._seen)

    def load(self, wire: Any) -> None:
        self._seen.extend((at, ref) for at, ref in wire)

    def _count(self, now: float) -> int:
        seen = self._seen
        while seen and now - seen[0][0] > self._within:
            seen.popleft()
        return len(seen)


@dataclass(frozen=True, slots=True)
class Distinct:
    """Events with at least *needed* different values of a field within the window."""

    needed: int
    within: float
    last_first: ClassVar[bool] = False

    def new(self) -> Term:
        return _Distinct(self)


class _Distinct(Observed):
    __slots__ = ("_seen", "_spec")

    def __init__(self, spec: Distinct) -> None:
        self._spec = spec
        self._seen: dict[str, Seen] = {}  # the last of each value, longest ago first

    def take(self, which: int, at: float, value: Any, ref: int) -> None:
        if not isinstance(value, str | int | float):
            return
        name = str(value)[:200]
        self._seen.pop(name, None)
        self._seen[name] = (at, ref)
        if len(self._seen) > self._spec.needed:
            del self._seen[next(iter(self._seen))]

    def holds(self, now: float) -> bool:
        if len(self._seen) < self._spec.needed:
            return False
        return now - next(iter(self._seen.values()))[0] <= self._spec.within

    def share(self, now: float) -> float:
        return len(self._young(now)) / self._spec.needed

    def evidence(self, now: float) -> list[Seen]:
        return self._young(now)[-KEPT_EVIDENCE:]

    def dump(self) -> Any:
        return [[name, *seen] for name, seen in self._seen.items()]

    def load(self, wire: Any) -> None:
        self._seen = {name: (at, ref) for name, at, ref in wire}

    def _young(self, now: float) -> list[Seen]:
        return [seen for seen in self._seen.values() if now - seen[0] <= self._spec.within]


# --- sequence ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Chain:
    """Events one after the other: each within *gaps* of the one before it, all within *within*.

    Of two beginnings that have come equally far the newer one is always as good: it ends no later and began no earlier.
    So one for each step is enough to know whether any way through the events exists.
    """

    gaps: Sequence[float]  # of each step but the first
    within: float
    last_first: ClassVar[bool] = True  # no event is two steps of one way

    def new(self) -> Term:
        return _Chain(self)


class _Chain(Observed):
    __slots__ = ("_spec", "_ways")

    def __init__(self, spec: Chain) -> None:
        self._spec = spec
        self._ways: list[tuple[Seen, ...]] = [()] * (len(spec.gaps) + 1)

    def take(self, which: int, at: float, value: Any, ref: int) -> None:
        if which == 0:
            self._ways[0] = ((at, ref),)
            return
        before = self._ways[which - 1]
        if before and at - before[-1][0] <= self._spec.gaps[which - 1] and at - before[0][0] <= self._spec.within:
            self._ways[which] = (*before, (at, ref))

    def holds(self, now: float) -> bool:
        """Return whether the last step was taken just now or its window is still open."""
        whole = self._ways[-1]
        return bool(whole) and now - whole[0][0] <= self._spec.within

    def share(self, now: float) -> float:
        return len(self.evidence(now)) / len(self._ways)

    def evidence(self, now: float) -> list[Seen]:
        for place in range(len(self._ways) - 1, -1, -1):
            way = self._ways[place]
            if not way or now - way[0][0] > self._spec.within:
                continue
            if place == len(self._ways) - 1 or now - way[-1][0] <= self._spec.gaps[place]:
                return list(way)
        return []

    def dump(self) -> Any:
        return self._ways

    def load(self, wire: Any) -> None:
        self._ways = [tuple((at, ref) for at, ref in way) for way in wire]


# --- absence ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Absence:
    """After an event (which 0) another one (which 1) does not come within the window.

    Without the first, the event itself is what the next one is awaited after.
    """

    within: float
    after: bool
    last_first: ClassVar[bool] = True  # what is awaited has come before what is awaited next

    def new(self) -> Term:
        return _Absence(self)


class _Absence:
    __slots__ = ("_since", "_spec")

    def __init__(self, spec: Absence) -> None:
        self._spec = spec
        self._since: Seen | None = None

    def take(self, which: int, at: float, value: Any, ref: int) -> None:
        if which == 1:
            self._since = None if self._spec.after else (at, ref)
        elif self._since is None:
            self._since = (at, ref)

    def holds(self, now: float) -> bool:
        return self._since is not None and now - self._since[0] > self._spec.within

    def share(self, now: float) -> float:
        return 0.0 if self._since is None else min(1.0, (now - self._since[0]) / self._spec.within)

    def confidence(self, now: float) -> float:
        return 1.0

    def evidence(self, now: float) -> list[Seen]:
        return [] if self._since is None else [self._since]

    def due(self) -> float | None:
        return None if self._since is None else self._since[0] + self._spec.within

    def dump(self) -> Any:
        return self._since

    def load(self, wire: Any) -> None:
        self._since = tuple(wire) if wire else None


# --- trend ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Trend:
    """A measured field goes up (*sign* 1) or down (-1): Mann and Kendall's test, with ties.

    The window is cut into steps and each step counts with its mean, so that a busy one weighs no more than others.
    *least* steps must have been measured, and from the first to the last at least half of the window must lie.
    """

    within: float
    sign: int
    asked: float  # the confidence, one-sided
    least: int
    last_first: ClassVar[bool] = False

    def new(self) -> Term:
        return _Trend(self)


@dataclass(slots=True)
class _Step:
    """One step of time: when its first event was, and the sum and number of what was measured."""

    place: int
    at: float
    ref: int
    total: float
    count: int

    @property
    def mean(self) -> float:
        return self.total / self.count


class _Trend:
    __slots__ = ("_open", "_score", "_sorted", "_spec", "_steps", "_ties")

    def __init__(self, spec: Trend) -> None:
        self._spec = spec
        self._steps: deque[tuple[float, int, float]] = deque()  # at, ref, mean of those that are over
        self._sorted: list[float] = []
        self._score = 0  # pairs that rise less those that fall
        self._ties = 0
        self._open: _Step | None = None

    def take(self, which: int, at: float, value: Any, ref: int) -> None:
        if not is_number(value):
            return
        place = int(at // (self._spec.within / STEPS))
        step = self._open
        if step is not None and step.place == place:
            step.total += value
            step.count += 1
            return
        if step is not None:
            self._push(step.at, step.ref, step.mean)
        self._open = _Step(place, at, ref, float(value), 1)

    def holds(self, now: float) -> bool:
        return self._measured(now) >= self._spec.asked

    def share(self, now: float) -> float:
        return max(0.0, min(1.0, self._measured(now) / self._spec.asked))

    def confidence(self, now: float) -> float:
        return self._measured(now)

    def evidence(self, now: float) -> list[Seen]:
        seen = [(at, ref) for at, ref, _ in self._steps if now - at <= self._spec.within]
        return [*seen, *([(self._open.at, self._open.ref)] if self._open else [])][-KEPT_EVIDENCE:]

    def due(self) -> float | None:
        return None

    def dump(self) -> Any:
        step = self._open
        return [list(self._steps), [step.place, step.at, step.ref, step.total, step.count] if step else None]

    def load(self, wire: Any) -> None:
        for at, ref, mean in wire[0]:
            self._push(at, ref, mean)
        self._open = _Step(*wire[1]) if wire[1] else None

    def _measured(self, now: float) -> float:
        """Return the confidence that there is a trend in the direction asked; 0 where too little was measured."""
        steps, last = self._steps, self._open
        while steps and now - steps[0][0] > self._spec.within:
            self._drop()
        if last is None or not steps or now - last.at > self._spec.within:
            return 0.0
        count = len(steps) + 1
        if count < self._spec.least or last.at - steps[0][0] < self._spec.within / 2:
            return 0.0
        low, high = bisect_left(self._sorted, last.mean), bisect_right(self._sorted, last.mean)
        score = self._score + low - (len(steps) - high)
        return rising(score * self._spec.sign, count, self._ties + _tie_step(high - low))

    def _push(self, at: float, ref: int, mean: float) -> None:
        low, high = bisect_left(self._sorted, mean), bisect_right(self._sorted, mean)
        self._score += low - (len(self._sorted) - high)
        self._ties += _tie_step(high - low)
        insort(self._sorted, mean)
        self._steps.append((at, ref, mean))

    def _drop(self) -> None:
        """Forget the oldest step and its pairs with all that came after it."""
        _, _, mean = self._steps.popleft()
        low, high = bisect_left(self._sorted, mean), bisect_right(self._sorted, mean)
        self._score -= (len(self._sorted) - high) - low
        self._ties -= _tie_step(high - low - 1)
        del self._sorted[low]


def _tie_weight(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)


def _tie_step(count: int) -> int:
    """Return what one value more adds to the correction where *count* are equal to it."""
    return _tie_weight(count + 1) - _tie_weight(count)


def rising(score: int, count: int, ties: int) -> float:
    """Return the one-sided confidence that values rise: Kendall's score, with the correction for continuity."""
    variance = (_tie_weight(count) - ties) / 18
    if score <= 0 or variance <= 0:
        return 0.0 if score < 0 or variance <= 0 else 0.5
    return normal((score - 1) / sqrt(variance))


def normal(deviate: float) -> float:
    """Return the share of a normal distribution below *deviate*."""
    return 0.5 * (1 + erf(deviate / sqrt(2)))


# --- correlation ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Correlation:
    """Two measured fields (which 0 and 1) go up and down together, or against each other (*sign* -1).

    Both are averaged over steps of time; only steps that are over and in which both were measured count.
    """

    step: float
    steps: int
    sign: int
    asked: float  # Pearson's coefficient
    least: int
    last_first: ClassVar[bool] = False

    def new(self) -> Term:
        return _Correlation(self)


class _Correlation:
    __slots__ = ("_known", "_spec", "_steps")

    def __init__(self, spec: Correlation) -> None:
        self._spec = spec
        self._steps: dict[int, list[Any]] = {}  # place -> [sum, count, sum, count, at, ref]
        self._known: tuple[int, float, int] | None = None  # place of now, coefficient, pairs

    def take(self, which: int, at: float, value: Any, ref: int) -> None:
        if not is_number(value):
            return
        place = int(at // self._spec.step)
        step = self._steps.get(place)
        if step is None:
            step = self._steps[place] = [0.0, 0, 0.0, 0, at, ref]
            self._forget(place)
        step[2 * which] += value
        step[2 * which + 1] += 1

    def holds(self, now: float) -> bool:
        coefficient, pairs = self._measured(now)
        return pairs >= self._spec.least and coefficient * self._spec.sign >= self._spec.asked

    def share(self, now: float) -> float:
        coefficient, pairs = self._measured(now)
        if pairs < self._spec.least:
            return 0.0
        return max(0.0, min(1.0, coefficient * self._spec.sign / self._spec.asked))

    def confidence(self, now: float) -> float:
        """Return how sure it is that there is any correlation in the direction asked (Fisher's transformation)."""
        coefficient, pairs = self._measured(now)
        if pairs <= 3:
            return 0.0
        bounded = max(-0.999999, min(0.999999, coefficient * self._spec.sign))
        return normal(atanh(bounded) * sqrt(pairs - 3))

    def evidence(self, now: float) -> list[Seen]:
        last = int(now // self._spec.step)
        return [
            (step[4], step[5]) for place, step in sorted(self._steps.items()) if last - self._spec.steps <= place < last
        ][-KEPT_EVIDENCE:]

    def due(self) -> float | None:
        return None

    def dump(self) -> Any:
        return [[place, *step] for place, step in self._steps.items()]

    def load(self, wire: Any) -> None:
        self._steps = {place: step for place, *step in wire}
        self._known = None

    def _measured(self, now: float) -> tuple[float, int]:
        last = int(now // self._spec.step)
        if self._known is None or self._known[0] != last:  # only steps that are over count: nothing new until then
            pairs = [
                (step[0] / step[1], step[2] / step[3])
                for place, step in self._steps.items()
                if last - self._spec.steps <= place < last and step[1] and step[3]
            ]
            self._known = (last, pearson(pairs), len(pairs))
        return self._known[1], self._known[2]

    def _forget(self, newest: int) -> None:
        for place in [place for place in self._steps if place < newest - self._spec.steps]:
            del self._steps[place]


def pearson(pairs: Sequence[tuple[float, float]]) -> float:
    """Return Pearson's coefficient, 0 where one side does not vary."""
    if len(pairs) < 2:
        return 0.0
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    mean_left, mean_right = sum(left) / len(pairs), sum(right) / len(pairs)
    own_left = sum((each - mean_left) ** 2 for each in left)
    own_right = sum((each - mean_right) ** 2 for each in right)
    both = sum((one - mean_left) * (other - mean_right) for one, other in pairs)
    scale = sqrt(own_left) * sqrt(own_right)
    found = both / scale if scale else 0.0
    return found if isfinite(found) else 0.0


Spec = Together | Frequency | Distinct | Chain | Absence | Trend | Correlation


@dataclass(frozen=True, slots=True)
class Asking:
    """One operator of a pattern: how it remembers, and which events it is given with which of their fields."""

    spec: Spec
    wanted: Sequence[Wanted]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events an operator hears as its *which*."""

    which: int
    names: Sequence[str]
    where: Any = None  # conditions.Check, or None for every event
    value: Any = None  # a function that gets the field that is measured


def counted(needed: float) -> int:
    """Return a whole number of events out of a number that sensitivity has scaled."""
    return max(1, ceil(needed - 1e-9))
