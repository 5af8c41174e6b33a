"""Patterns at work: events in the order of their time, one cell of memory for each pattern and key.

Events may come out of order by up to *lateness*: they wait until the watermark, the time of the newest event less the
lateness, has passed them. One that comes later than that is counted and not heard. What comes out depends only on the
events, not on how they were divided into batches. Nothing here reads a clock or a database.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from subsystems.s4_intelligence.patterns.happening import MISSING, Happening, reader
from subsystems.s4_intelligence.patterns.terms import Absence, Asking, Seen, Term

LATENESS = 2.0  # seconds
MAX_WAITING = 20_000  # events that wait for the watermark
MAX_TYPES = 5_000  # names of events whose way is remembered
AFTER = 1e-6  # seconds behind a moment: then what was awaited until it has not come
MAX_KEY = 200  # letters
MAX_EVIDENCE = 50
RECENTLY = 1_000  # events of a pattern over which its losses are weighed


class Level(IntEnum):
    """How far a pattern has come; only `ACT` is a detection."""

    NONE = 0
    WATCH = 1
    WARN = 2
    ACT = 3


class Finding(NamedTuple):
    """What is to be told of a pattern: it began at a level, rose to a higher one, or is over."""

    pattern: str
    key: str
    began_at: float
    what: str  # began, rose, ended
    level: Level
    at: float
    share: float
    confidence: float
    times: int  # events at which it held
    evidence: Sequence[Seen]


@dataclass(slots=True)
class Plan:
    """A pattern made ready: its operators, how they are combined, and its bounds."""

    name: str
    askings: Sequence[Asking]
    holds: Callable[[Sequence[Term], float], bool]
    share: Callable[[Sequence[Term], float], float]
    positive: Sequence[int] = ()  # the operators whose holding is what is told
    key: Sequence[str] = ()
    watch_at: float | None = None
    warn_at: float | None = None
    rearm_after: float = 300.0
    doubt_below: float = 0.2
    max_keys: int = 1_000
    horizon: float = 300.0  # what lies further back matters to no operator

    @property
    def warns(self) -> bool:
        return self.watch_at is not None or self.warn_at is not None


class Cell:
    """What one pattern remembers of one key."""

    __slots__ = ("began_at", "due", "held_at", "key", "level", "share", "terms", "times", "touched_at")

    def __init__(self, key: str, terms: list[Term]) -> None:
        self.key, self.terms = key, terms
        self.touched_at = 0.0
        self.level = Level.NONE
        self.began_at = self.held_at = 0.0
        self.times = 0
        self.share = 0.0
        self.due: float | None = None  # the one moment for which a timer is set

    def dump(self) -> list[Any]:
        return [
            self.touched_at, int(self.level), self.began_at, self.held_at, self.times, self.share, self.due,
            [term.dump() for term in self.terms],
        ]  # fmt: skip

    def load(self, wire: Sequence[Any]) -> None:
        self.touched_at, level, self.began_at, self.held_at, self.times, self.share, self.due, terms = wire
        self.level = Level(level)
        for term, each in zip(self.terms, terms, strict=True):
            term.load(each)


@dataclass(slots=True)
class Counts:
    """How a pattern fared since it was begun."""

    heard: int = 0
    late: int = 0
    unkeyed: int = 0
    evicted: int = 0
    doubted: int = 0
    taken: float = 0.0  # of late, as a share: both fade
    lost: float = 0.0

    @property
    def completeness(self) -> float:
        return self.taken / (self.taken + self.lost) if self.lost else 1.0

    def lose(self) -> None:
        self.taken = min(self.taken, RECENTLY)
        self.lost += 1

    def fade(self) -> None:
        if self.taken + self.lost > RECENTLY:
            self.taken, self.lost = self.taken / 2, self.lost / 2


class Running:
    """One pattern with all of its cells."""

    def __init__(self, plan: Plan, tell: Callable[[Finding], None], timers: Timers) -> None:
        self.plan = plan
        self.cells: OrderedDict[str, Cell] = OrderedDict()  # the one untouched for longest first
        self.counts = Counts()
        self.dirty: set[str] = set()
        self._tell, self._timers = tell, timers
        self._key = _key_reader(plan.key)
        self._waits = any(isinstance(asking.spec, Absence) for asking in plan.askings)

    def take(self, event: Happening, wanted: Sequence[Hears]) -> None:
        """Let the operators that asked for *event* have it, and look whether the pattern holds now."""
        at, data, counts = event.at, event.data, self.counts
        cell: Cell | None = None
        for place, which, where, value in wanted:
            if where is not None and not where(data):
                continue
            if cell is None:
                key = self._key(data)
                if key is None:
                    counts.unkeyed += 1
                    return
                cell = self._cell(key, at)
            cell.terms[place].take(which, at, None if value is None else value(data), event.ref)
        if cell is None:
            return
        counts.heard += 1
        counts.taken += 1
        if counts.lost:
            counts.fade()
        self._judge(cell, at)
        if self._waits:
            self._set_timer(cell)

    def wake(self, key: str, due: float) -> None:
        """Look again at a cell for which a moment was set."""
        cell = self.cells.get(key)
        if cell is None or cell.due != due:
            return
        cell.due = None
        self.dirty.add(key)
        now = due + AFTER
        if self._waits:
            self._judge(cell, now)
        if cell.level and now - cell.held_at > self.plan.rearm_after:
            self._end(cell)
        self._set_timer(cell, now)

    def forget_idle(self, watermark: float) -> None:
        """Drop the cells of which nothing matters any more."""
        before = watermark - self.plan.horizon
        while self.cells:
            key, cell = next(iter(self.cells.items()))
            if cell.touched_at >= before:
                return
            self.dirty.add(key)
            if cell.level or any(term.due() is not None for term in cell.terms):
                cell.touched_at = watermark  # it is not over: as good as touched, and out of the way of the others
                self.cells.move_to_end(key)
            else:
                del self.cells[key]

    def load(self, key: str, wire: Sequence[Any]) -> None:
        """Bring back one cell; call it in the order in which they were touched."""
        cell = self.cells[key] = self._new(key)
        cell.load(wire)
        if cell.due is not None:
            self._timers.set(cell.due, self.plan.name, key)

    def _cell(self, key: str, at: float) -> Cell:
        cells = self.cells
        cell = cells.get(key)
        if cell is None:
            if len(cells) >= self.plan.max_keys:
                self._evict()
            cell = cells[key] = self._new(key)
        else:
            cells.move_to_end(key)
        cell.touched_at = at
        self.dirty.add(key)
        return cell

    def _new(self, key: str) -> Cell:
        return Cell(key, [asking.spec.new() for asking in self.plan.askings])

    def _evict(self) -> None:
        key, cell = self.cells.popitem(last=False)
        if cell.level:
            self._end(cell)
        self.counts.evicted += 1
        self.counts.lose()
        self.dirty.add(key)

    def _judge(self, cell: Cell, now: float) -> None:
        plan, terms = self.plan, cell.terms
        if plan.holds(terms, now):
            level, share = Level.ACT, 1.0
        elif plan.warns:
            share = plan.share(terms, now)
            level = self._early(share)
            if level is Level.NONE:
                return
        else:
            return
        self._note(cell, level, share, now)

    def _early(self, share: float) -> Level:
        if self.plan.warn_at is not None and share >= self.plan.warn_at:
            return Level.WARN
        if self.plan.watch_at is not None and share >= self.plan.watch_at:
            return Level.WATCH
        return Level.NONE

    def _note(self, cell: Cell, level: Level, share: float, now: float) -> None:
        if cell.level and now - cell.held_at > self.plan.rearm_after:
            self._end(cell)
        if level > cell.level:
            confidence = self._confidence(cell, now)
            if level is Level.ACT and confidence < self.plan.doubt_below:
                self.counts.doubted += 1
                return
            self._rise(cell, level, share, confidence, now)
        if level >= cell.level:  # what only comes near does not prolong what was there
            cell.held_at = max(cell.held_at, now)
            cell.times += 1
        cell.share = max(cell.share, share)

    def _rise(self, cell: Cell, level: Level, share: float, confidence: float, now: float) -> None:
        began = cell.level is Level.NONE
        if began:
            cell.began_at, cell.share = now, 0.0
        cell.level, cell.held_at, cell.times = level, now, 0
        evidence = sorted({seen for place in self.plan.positive for seen in cell.terms[place].evidence(now)})
        what = "began" if began else "rose"
        self._tell(
            Finding(
                self.plan.name,
                cell.key,
                cell.began_at,
                what,
                level,
                now,
                share,
                confidence,
                1,
                evidence[-MAX_EVIDENCE:],
            )
        )
        if cell.due is None:
            self._set_timer(cell, now)

    def _end(self, cell: Cell) -> None:
        ended = Finding(
            self.plan.name, cell.key, cell.began_at, "ended", cell.level, cell.held_at, cell.share, 0.0, cell.times, ()
        )
        cell.level, cell.times, cell.share = Level.NONE, 0, 0.0
        self._tell(ended)

    def _confidence(self, cell: Cell, now: float) -> float:
        """Return how sure it is: what the least certain operator says, less what was lost of the events."""
        terms = [cell.terms[place] for place in self.plan.positive]
        certain = [term.confidence(now) for term in terms if term.share(now) > 0]
        return min(certain, default=1.0) * self.counts.completeness

    def _set_timer(self, cell: Cell, now: float | None = None) -> None:
        """Set the one timer of a cell to the first moment at which something may change by itself."""
        dues = [due for term in cell.terms if (due := term.due()) is not None and (now is None or due + AFTER > now)]
        if cell.level:
            dues.append(cell.held_at + self.plan.rearm_after)
        first = min(dues, default=None)
        if first is not None and (cell.due is None or first < cell.due):
            cell.due = first
            self._timers.set(first, self.plan.name, cell.key)
        elif first is None:
            cell.due = None


Hears = tuple[int, int, Any, Any]  # place of the operator, which of its events, condition, measured field


class Timers:
    """Moments at which patterns look again, soonest first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str, str]] = []

    def set(self, due: float, pattern: str, key: str) -> None:
        heapq.heappush(self._heap, (due, pattern, key))

    def before(self, moment: float) -> tuple[float, str, str] | None:
        """Take out the soonest one that is due before *moment*."""
        if self._heap and self._heap[0][0] < moment:
            return heapq.heappop(self._heap)
        return None


@dataclass(slots=True)
class EngineCounts:
    """How the engine fared."""

    received: int = 0
    late: int = 0
    crowded: int = 0  # heard before their turn, because too many waited
    ahead: int = 0  # said to be from the future; taken as of now


class Engine:
    """All patterns of one system."""

    def __init__(
        self, plans: Iterable[Plan] = (), *, lateness: float = LATENESS, max_waiting: int = MAX_WAITING
    ) -> None:
        self.lateness, self.max_waiting = lateness, max_waiting
        self.watermark = float("-inf")
        self.counts = EngineCounts()
        self.running: dict[str, Running] = {}
        self._waiting: list[Happening] = []
        self._findings: list[Finding] = []
        self._timers = Timers()
        self._routes: dict[str, list[tuple[Running, list[Hears]]]] = {}
        for plan in plans:
            self.add(plan)

    def add(self, plan: Plan) -> None:
        """Begin with a pattern, or begin anew with one that was changed."""
        self.running[plan.name] = Running(plan, self._findings.append, self._timers)
        self._routes.clear()

    def drop(self, name: str) -> None:
        """Hear no more for a pattern."""
        if self.running.pop(name, None) is not None:
            self._routes.clear()

    def wants(self, name: str) -> bool:
        """Return whether any pattern asks for events of that name."""
        return bool(self._routes_of(name))

    def feed(
        self, events: Iterable[Happening], *, now: float | None = None, until: float | None = None
    ) -> list[Finding]:
        """Take in *events* and return what is to be told after them.

        Nothing is from the future: what says so counts as of *now*. *until* is how far time has come although nothing
        more happened.
        """
        newest, lateness, waiting, routes = self.watermark + self.lateness, self.lateness, self._waiting, self._routes
        watermark, counts, known = self.watermark, self.counts, len(self._waiting)
        for event in events:
            counts.received += 1
            at = event.at
            if now is not None and at > now:
                at, event = now, event._replace(at=now)
                counts.ahead += 1
            wanted = routes.get(event.type)
            if wanted is None:
                wanted = self._routes_of(event.type)
            if at < watermark:
                if wanted:
                    self._lose(wanted)
                continue
            if at > newest:
                newest, watermark = at, at - lateness
            if wanted:
                waiting.append(event)
        if until is not None:
            watermark = max(watermark, min(until, until if now is None else now) - lateness)
        self.watermark = watermark
        if len(waiting) > known:
            waiting.sort(key=_order)
        self._release()
        return self._told()

    def moved(self) -> bool:
        """Return whether any cell is otherwise than it was written last."""
        return any(running.dirty for running in self.running.values())

    def dump(self) -> dict[str, Any]:
        """Return all that is remembered beside the cells, as JSON may have it."""
        return {
            "watermark": None if self.watermark == float("-inf") else self.watermark,
            "counts": asdict(self.counts),
            "patterns": {name: asdict(running.counts) for name, running in self.running.items()},
            "waiting": [[event.at, event.type, event.data, event.ref] for event in self._waiting],
        }

    def load(self, wire: Mapping[str, Any]) -> None:
        """Go on from what `dump` returned; the cells come by `Running.load`."""
        if wire.get("watermark") is not None:
            self.watermark = wire["watermark"]
        self.counts = EngineCounts(**wire.get("counts", {}))
        for name, counts in wire.get("patterns", {}).items():
            if name in self.running:
                self.running[name].counts = Counts(**counts)
        self._waiting = sorted((Happening(*each) for each in wire.get("waiting", ())), key=_order)

    def finish(self) -> list[Finding]:
        """Hear all that waits, as if nothing could come before it: the end of a rehearsal."""
        if self._waiting:
            self.watermark = max(self.watermark, self._waiting[-1].at + AFTER)
            self._release()
        return self._told()

    def _told(self) -> list[Finding]:
        told = list(self._findings)
        self._findings.clear()
        return told

    def _release(self) -> None:
        """Hear what lies before the watermark in the order of time, and let pass the moments in between."""
        end = bisect_left(self._waiting, self.watermark, key=_at)
        crowd = len(self._waiting) - self.max_waiting
        if crowd > end:
            self.counts.crowded += crowd - end
            end = crowd
            self.watermark = self._waiting[end - 1].at
        heard, self._waiting = self._waiting[:end], self._waiting[end:]
        routes = self._routes
        for event in heard:
            if self._timers._heap:
                self._wake(event.at)
            for running, wanted in routes.get(event.type) or self._routes_of(event.type):
                running.take(event, wanted)
        self._wake(self.watermark)
        for running in self.running.values():
            running.forget_idle(self.watermark)

    def _wake(self, moment: float) -> None:
        while timer := self._timers.before(moment):
            due, name, key = timer
            if running := self.running.get(name):
                running.wake(key, due)

    def _lose(self, wanted: Sequence[tuple[Running, list[Hears]]]) -> None:
        self.counts.late += 1
        for running, _ in wanted:
            running.counts.late += 1
            running.counts.lose()

    def _routes_of(self, name: str) -> list[tuple[Running, list[Hears]]]:
        found = self._routes.get(name)
        if found is None:
            found = [
                (running, hears) for running in self.running.values() if (hears := _heard(running.plan.askings, name))
            ]
            if len(self._routes) >= MAX_TYPES:
                self._routes.clear()
            self._routes[name] = found
        return found


def _heard(askings: Sequence[Asking], name: str) -> list[Hears]:
    """Return what the operators of a pattern do with events of *name*.

    One whose steps follow one another has the last step first, so that no event is two steps of one way.
    """
    found: list[Hears] = []
    for place, asking in enumerate(askings):
        mine = [
            (place, wanted.which, wanted.where, wanted.value) for wanted in asking.wanted if _named(wanted.names, name)
        ]
        found += sorted(mine, key=_which, reverse=True) if asking.spec.last_first else mine
    return found


def _named(names: Sequence[str], name: str) -> bool:
    return any(name == each or (each.endswith("*") and name.startswith(each[:-1])) for each in names)


def _key_reader(paths: Sequence[str]) -> Callable[[Mapping[str, Any]], str | None]:
    """Return what tells the cases of a pattern apart: the first field that an event has."""
    if not paths:
        return lambda data: ""
    readers = [reader(path) for path in paths]
    if len(paths) == 1 and "." not in paths[0]:
        [name] = paths
        return lambda data: _key(data.get(name, MISSING))

    def first(data: Mapping[str, Any]) -> str | None:
        for read in readers:
            if (found := _key(read(data))) is not None:
                return found
        return None

    return first


def _key(value: Any) -> str | None:
    if type(value) is str:
        return value if len(value) <= MAX_KEY else value[:MAX_KEY]
    if value is MISSING or value is None or isinstance(value, dict | list):
        return None
    return str(value)[:MAX_KEY]


def _at(event: Happening) -> float:
    return event.at


def _order(event: Happening) -> tuple[float, int]:
    return event.at, event.ref


def _which(hears: Hears) -> int:
    return hears[1]
