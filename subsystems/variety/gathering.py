"""What this process sees of operations and decisions: noted in a queue, written in batches every few seconds.

Whoever notes something waits for nothing: it costs one append. A thread of the process makes a batch for each system of
what was noted, one row each. A process that is killed loses what it has not written yet, a few seconds at most.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import secrets
import socket
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.db import DatabaseError, connections

from subsystems.kernel import telemetry_events
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.telemetry.recorders import ERRORS_KEPT, MAX_ERROR, MAX_NAME, OK
from subsystems.telemetry.recording import HEARD, STOPPED
from subsystems.telemetry.store import hot_tier
from subsystems.variety.batches import LIFE_SECONDS, MAX_OUTCOME, Ended, Kept, OfUnit, encode, named, rounded
from subsystems.variety.models import Batch

logger = logging.getLogger(__name__)
T = TypeVar("T")
FLUSH_SECONDS = 5.0
MAX_WAITING = 100_000  # noted and not yet in a batch
MAX_UNSENT = 200  # batches while the database is away
MAX_TOTALS = 50_000  # operations of which this process remembers its totals
DROPPED = "dropped_operations"
HANDLER = "vsm-s1-recorders"
OTHER_UNIT = "vsm"


class Side(StrEnum):
    """Whose states they are, beside what operations say themselves."""

    ENVIRONMENT = "environment"
    MANAGEMENT = "management"


class Note(NamedTuple):
    """One operation that ended. A duration of None is not known."""

    system_id: int | None  # None: the root system
    unit: str
    operation: str
    outcome: str
    duration_ms: float | None
    at: float
    words: str
    asked: bool


class State(NamedTuple):
    """One state of one side of a unit."""

    system_id: int | None
    unit: str
    side: Side
    name: str
    at: float
    n: int = 1


@dataclass
class _New:
    """What is new of one operation."""

    ends: Counter[tuple[float, str]] = field(default_factory=Counter)
    durations: Counter[float] = field(default_factory=Counter)
    unknown: bool = False  # a duration was
    total_ms: float = 0.0
    errors: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=ERRORS_KEPT))

    def add(self, note: Note) -> None:
        self.ends[float(int(note.at)), note.outcome] += 1
        if note.duration_ms is None:
            self.unknown = True
        else:
            self.durations[rounded(note.duration_ms)] += 1
            self.total_ms += note.duration_ms
        if note.outcome != OK:
            self.errors.appendleft((note.at, note.words or note.outcome))


Key = tuple[int, str, str, bool]


class Gatherer:
    """The notes of one process, and its totals as a replica."""

    def __init__(self) -> None:
        self.dropped = self._told_dropped = 0
        self._notes: deque[Note] = deque()
        self._states: deque[State] = deque()
        self._totals: dict[tuple[int, str, str], tuple[int, int]] = {}
        self._unsent: deque[tuple[int, str, int, bytes]] = deque()
        self._number = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._born(time.time())

    def note(self, note: Note) -> None:
        """Take in one operation that ended."""
        self.take_in((note,), ())

    def see(self, state: State) -> None:
        """Take in one state."""
        self.take_in((), (state,))

    def take_in(self, notes: Sequence[Note], states: Sequence[State]) -> None:
        """Take in many at once."""
        self.dropped += _extended(self._notes, notes) + _extended(self._states, states)
        self._ensure_running()

    def flush(self) -> int:
        """Write what was noted; return how many batches. What cannot be written now is kept for the next time."""
        self._tell_dropped()
        with self._lock:
            self._unsent.extend(self._batches(time.time()))
            while len(self._unsent) > MAX_UNSENT:
                self._unsent.popleft()
                self.dropped += 1
            return self._write()

    def stop(self) -> None:
        """Write the rest; the thread ends with the process."""
        self._wake.set()
        if self._thread is not None:
            self._thread.join(FLUSH_SECONDS)
        self._thread = None
        self._wake.clear()

    def _tell_dropped(self) -> None:
        """Add what found no room to the counter that all processes share, which `/metrics` shows."""
        dropped = self.dropped - self._told_dropped
        if dropped:
            self._told_dropped += dropped
            hot_tier().count(DROPPED, dropped)

    def _ensure_running(self) -> None:
        if self._thread is not None or not settings.RECORD_OPERATIONS:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gatherer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        over = False
        while not over:
            over = self._wake.wait(FLUSH_SECONDS)
            try:
                self.flush()
            except DatabaseError as error:
                logger.warning("What was seen of operations waits: %s", error)
            finally:
                connections.close_all()

    def _born(self, now: float) -> None:
        """Begin anew as another replica: its totals are from zero."""
        host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:40].lstrip("_.-") or "host"
        self._since = now
        self._replica = named(f"{host}/{os.getpid()}/{secrets.token_hex(4)}", now)
        self._totals.clear()

    def _batches(self, now: float) -> Iterable[tuple[int, str, int, bytes]]:
        notes, states = _taken(self._notes), _taken(self._states)
        if not notes and not states:
            return []
        if now - self._since > LIFE_SECONDS or len(self._totals) > MAX_TOTALS:
            self._born(now)
        root = root_system().pk
        kept: defaultdict[int, Kept] = defaultdict(Kept)
        for (system_id, unit, operation, asked), new in _grouped(notes, root).items():
            kept[system_id].operations.append(
                OfUnit(unit, self._ended((system_id, unit, operation, asked), new), asked)
            )
        seen: Counter[tuple[int, str, Side, float, str]] = Counter()
        for s in states:
            seen[s.system_id or root, s.unit, s.side, float(int(s.at)), s.name[:MAX_NAME]] += s.n
        for (system_id, unit, side, second, name), n in seen.items():
            kept[system_id].states.append((unit[:MAX_NAME], str(side), second, name, n))
        self._number += 1
        return [(system_id, self._replica, self._number, encode(each)) for system_id, each in kept.items()]

    def _ended(self, key: Key, new: _New) -> Ended:
        count = sum(new.ends.values())
        success = sum(n for (_, outcome), n in new.ends.items() if outcome == OK)
        before = self._totals.get(key[:3], (0, 0))
        self._totals[key[:3]] = total = (before[0] + count, before[1] + success)
        return Ended(
            operation=key[2],
            total=total[0],
            total_ok=total[1],
            ends=[(second, outcome, n) for (second, outcome), n in new.ends.items()],
            durations_ms=[] if new.unknown else list(new.durations.items()),
            total_ms=0.0 if new.unknown else new.total_ms,
            errors=list(new.errors),
        )

    def _write(self) -> int:
        if not self._unsent:
            return 0
        waiting = list(self._unsent)
        living = set(System.objects.filter(pk__in={each[0] for each in waiting}).values_list("pk", flat=True))
        now = time.time()
        rows = [
            Batch(system_id=system_id, replica=replica, number=number, at=now, body=body)
            for system_id, replica, number, body in waiting
            if system_id in living
        ]
        # An earlier try may have been written although its answer was lost: its number is taken, and that is all.
        Batch.objects.bulk_create(rows, ignore_conflicts=True)
        self._unsent.clear()
        return len(rows)


_gatherer = Gatherer()


def _anew() -> None:
    """Begin anew in a process that was forked: it must not say again what its parent says."""
    global _gatherer
    _gatherer = Gatherer()


os.register_at_fork(after_in_child=_anew)


def operation_ended(
    unit: str,
    operation: str,
    *,
    system_id: int | None = None,
    outcome: str = OK,
    duration_ms: float | None = None,
    at: float | None = None,
    words: str = "",
    asked: bool = True,
) -> None:
    """Note that *unit* ended *operation*, well or (in one word) otherwise; never fails and never waits.

    Not *asked* where `asked_for` told before that it was wanted.
    """
    now = time.time() if at is None else at
    _gatherer.note(_clean(Note(system_id, unit, operation, outcome, duration_ms, now, words, asked)))


def note_all(notes: Iterable[Note], states: Iterable[State]) -> None:
    """Note many at once, whatever their names are made of; never fails and never waits."""
    _gatherer.take_in(
        [_clean(note) for note in notes],
        [state._replace(unit=_name(state.unit, OTHER_UNIT), name=_name(state.name, "(unnamed)")) for state in states],
    )


def asked_for(unit: str, name: str, *, system_id: int | None = None, at: float | None = None) -> None:
    """Note that *name* was asked of *unit*, whatever becomes of it."""
    now = time.time() if at is None else at
    _gatherer.see(State(system_id, _name(unit, OTHER_UNIT), Side.ENVIRONMENT, _name(name, "(unnamed)"), now))


def decided(unit: str, action: str, *, system_id: int | None = None, at: float | None = None) -> None:
    """Note a decision about *unit* (empty: about its system as a whole): pause, revoke, acknowledge."""
    now = time.time() if at is None else at
    _gatherer.see(State(system_id, unit[:MAX_NAME], Side.MANAGEMENT, _name(action, "(unnamed)"), now))


def flush() -> int:
    """Write what this process has noted; return how many batches."""
    return _gatherer.flush()


def stop() -> None:
    """Write what this process has noted, and stop; what is noted later begins anew."""
    try:
        _gatherer.stop()
        _gatherer.flush()
    except DatabaseError as error:
        logger.warning("What was seen of operations last is lost: %s", error)


def forget() -> None:
    """Forget what was noted and not written."""
    global _gatherer
    _gatherer = Gatherer()


def hear(event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Note an operation of which a telemetry event tells (000-5, 000-6).

    *unit* and *recorded_as* in its metadata say better than `unit_id` and `operation` which row it belongs to.
    """
    unit = metadata.get("unit", metadata.get("unit_id"))
    operation = metadata.get("recorded_as", metadata.get("operation"))
    if unit is None or operation is None:
        return
    good = event == STOPPED and measurements.get("success", True)
    kind = str(metadata.get("error_type") or "failed")
    words = ": ".join(str(each) for each in (kind, metadata.get("error_message")) if each)
    operation_ended(
        str(unit),
        str(operation),
        system_id=metadata.get("system_id"),
        outcome=OK if good else kind,
        duration_ms=measurements.get("duration"),
        words="" if good else words,
    )


def _clean(note: Note) -> Note:
    return Note(
        note.system_id,
        _name(note.unit, OTHER_UNIT),
        _name(note.operation, "(unnamed)"),
        _name(note.outcome, "failed")[:MAX_OUTCOME],
        note.duration_ms,
        note.at,
        note.words[:MAX_ERROR],
        note.asked,
    )


def _grouped(notes: Iterable[Note], root: int) -> dict[Key, _New]:
    grouped: defaultdict[Key, _New] = defaultdict(_New)
    for note in notes:
        grouped[note.system_id or root, note.unit, note.operation, note.asked].add(note)
    return grouped


def _extended(waiting: deque[T], news: Sequence[T]) -> int:
    """Add what finds room; return how many did not."""
    room = max(0, MAX_WAITING - len(waiting))
    waiting.extend(news[:room])
    return max(0, len(news) - room)


def _taken(queue: deque[Any]) -> list[Any]:
    return [queue.popleft() for _ in range(len(queue))]


@lru_cache(maxsize=4_096)  # the same few, thousands of times a second
def _name(text: str, otherwise: str) -> str:
    """Return *text* if it can be a name, else what of it can."""
    if 0 < len(text) <= MAX_NAME and text.isprintable():
        return text
    return "".join(each for each in text[:MAX_NAME] if each.isprintable()) or otherwise


telemetry_events.attach(HANDLER, HEARD, hear)


@atexit.register
def _last_words() -> None:
    if settings.RECORD_OPERATIONS:
        stop()
