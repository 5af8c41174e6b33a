"""The fast lane: a message leaves for the broker right after its commit, from a thread of the process that wrote it.

The row is the truth. Whatever the lane cannot do at once (a broker that is away, a crowd, a process that dies) it
leaves to the relay, which finds the row when its lease is over. So nobody who publishes ever waits for the broker.
The algedonic channel has a lane of its own, so that pain waits for nobody else's confirms.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from subsystems.messaging import outbox, queries
from subsystems.messaging.channels import Channel
from subsystems.messaging.pressure import ChannelState
from subsystems.messaging.topology import routing_key_of
from subsystems.messaging.wire import WINDOW, Letter, Outcome, Wire, WireDown

logger = logging.getLogger(__name__)
CROWD = 5_000  # letters that may wait in a lane; the relay takes the rest
PAUSE_SECONDS = 2.0  # after a broker that is away
LONG_LINE = 500  # open messages of a channel; behind so many a second of waiting for company is nothing
GATHER_SECONDS, LINE_GATHER_SECONDS = 0.02, 1.0
MARK_SECONDS, MARK_AT_LAST_SECONDS = 0.1, 1.0  # when nothing else is to be done; in any case. Less than a fresh lease
CHUNK = 50  # messages that travel as one task when many wait
PAIN_CHUNK, PAIN_GATHER_SECONDS = 10, 0.1  # where so much pain waits that its handlers must hurry


@dataclass(frozen=True, slots=True)
class Pace:
    """How many messages at most travel as one task, and how long those behind the first wait for each other."""

    together: int
    gather_seconds: float


class Lane:
    """A queue of letters and the thread that sends them.

    The first letter of a burst leaves at once, and those behind it travel together as the *pace* of the moment says.
    What left is marked so when there is time for it: whoever handles it must not wait for this thread's lock on the
    row.
    """

    def __init__(self, name: str, pace: Callable[[], Pace]) -> None:
        self._name, self._pace = name, pace
        self._letters: deque[Letter] = deque()
        self._signal = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed_until = 0.0
        self._busy = self._settling = False
        self._unmarked: list[Letter] = []
        self._unmarked_since = self._sent_at = 0.0

    def offer(self, letters: Iterable[Letter]) -> None:
        """Queue *letters*; in a crowd, or while the broker is away, leave them to the relay."""
        with self._signal:
            if time.monotonic() < self._closed_until or len(self._letters) >= CROWD:
                return
            self._letters.extend(letters)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=f"lane-{self._name}", daemon=True)
                self._thread.start()
            self._signal.notify_all()

    def settle(self, timeout_seconds: float = 5.0) -> bool:
        """Wait until nothing is on its way or unmarked; return whether that came true in time."""
        with self._signal:
            self._settling = True
            self._signal.notify_all()
            try:
                return self._signal.wait_for(
                    lambda: not (self._letters or self._unmarked or self._busy), timeout_seconds
                )
            finally:
                self._settling = False

    def _run(self) -> None:
        wire = Wire(current_app._get_current_object(), settings.BROKER_URL)
        while True:
            letters = self._next()
            try:
                if letters:
                    self._send(wire, letters)
                if self._must_mark(idle=not letters):
                    self._mark()
            finally:
                with self._signal:
                    self._busy = False
                    self._signal.notify_all()

    def _next(self) -> list[Letter]:
        """Wait for letters and take them; none when there is time to mark those that left."""
        pace = self._pace()
        with self._signal:
            self._signal.wait_for(
                lambda: self._settling, max(0.0, self._sent_at + pace.gather_seconds - time.monotonic())
            )
            self._signal.wait_for(
                lambda: self._letters or (self._settling and self._unmarked), MARK_SECONDS if self._unmarked else None
            )
            self._busy = True
            return [self._letters.popleft() for _ in range(min(len(self._letters), WINDOW * pace.together))]

    def _send(self, wire: Wire, letters: Sequence[Letter]) -> None:
        self._sent_at = time.monotonic()
        try:
            outcome = wire.send(chunked(letters, together := self._pace().together, pain=together))
        except WireDown:
            with self._signal:
                self._letters.clear()
                self._closed_until = time.monotonic() + PAUSE_SECONDS
            return
        if not self._unmarked:
            self._unmarked_since = time.monotonic()
        self._unmarked += outcome.confirmed
        if outcome.refused:
            self._write(Outcome(refused=outcome.refused))

    def _must_mark(self, *, idle: bool) -> bool:
        late = time.monotonic() - self._unmarked_since > MARK_AT_LAST_SECONDS
        return bool(self._unmarked) and (idle or self._settling or late or len(self._unmarked) >= WINDOW)

    def _mark(self) -> None:
        self._write(Outcome(confirmed=self._unmarked))
        self._unmarked = []

    def _write(self, outcome: Outcome) -> None:
        try:
            outbox.mark(outcome)
        except (DatabaseError, InterfaceError) as error:  # the relay sends it again, and receivers know it
            logger.warning("Messages that left could not be marked: %s", error)
            connections.close_all()
        close_old_connections()


def pace_of_pain() -> Pace:
    """Alone and at once, but for a long line; the urgent ones of it still go before the others."""
    return Pace(PAIN_CHUNK, PAIN_GATHER_SECONDS) if _backlog(Channel.ALGEDONIC) > LONG_LINE else Pace(1, 0.0)


def pace_of_others() -> Pace:
    """A moment behind the first; longer where a line waits, since who handles it gains by larger parts."""
    longest = max(_backlog(channel) for channel in Channel if channel is not Channel.ALGEDONIC)
    return Pace(CHUNK, LINE_GATHER_SECONDS if longest > LONG_LINE else GATHER_SECONDS)


def _backlog(channel: Channel) -> int:
    """Return what is open on a channel, as this process saw it when it last looked."""
    return queries.last_picture().get(channel, ChannelState()).backlog


def chunked(letters: Sequence[Letter], size: int, *, pain: int = 1) -> list[Letter]:
    """Join letters of the same kind in their order, *size* messages at most in each; of algedonic ones *pain*.

    Priority parts algedonic ones alone: no other queue knows it.
    """
    alone = routing_key_of(Channel.ALGEDONIC)
    groups: dict[tuple[str, str, int], list[Letter]] = {}
    for letter in letters:
        priority = letter.priority if letter.routing_key == alone else 0
        groups.setdefault((letter.routing_key, letter.task, priority), []).append(letter)
    joined = []
    for (key, task, _), alike in groups.items():
        numbers = [number for letter in alike for number in letter.numbers]
        step, priority = (pain if key == alone else size), max(letter.priority for letter in alike)
        joined += [Letter(tuple(numbers[n : n + step]), key, task, priority) for n in range(0, len(numbers), step)]
    return joined


_lanes: dict[tuple[int, bool], Lane] = {}
_worker_here = False
_lock = threading.Lock()


def lane(*, algedonic: bool) -> Lane:
    """Return this process's lane, made on first use: a fork must not inherit a dead thread."""
    key = os.getpid(), algedonic
    with _lock:
        if key not in _lanes:
            _lanes[key] = Lane("algedonic", pace_of_pain) if algedonic else Lane("others", pace_of_others)
        return _lanes[key]


def open_here() -> None:
    """Say that the embedded worker is in this process: what another one sent on its own broker, nobody would hear."""
    global _worker_here
    _worker_here = True


def is_open() -> bool:
    """Return whether what this process sends is heard; if not, its messages are the relay's from the start."""
    return _worker_here or not settings.EMBEDDED


def settle(timeout_seconds: float = 5.0) -> None:
    """Wait until this process's lanes are quiet: before a test looks, or a process ends."""
    for (pid, _), each in list(_lanes.items()):
        if pid == os.getpid():
            each.settle(timeout_seconds)
