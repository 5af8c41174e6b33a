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
from collections.abc import Iterable, Sequence

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections

from subsystems.messaging import outbox
from subsystems.messaging.channels import Channel
from subsystems.messaging.topology import routing_key_of
from subsystems.messaging.wire import WINDOW, Letter, Wire, WireDown

logger = logging.getLogger(__name__)
CROWD = 5_000  # letters that may wait in a lane; the relay takes the rest
PAUSE_SECONDS = 2.0  # after a broker that is away
CHUNK = 50  # messages that travel as one task when many wait


class Lane:
    """A queue of letters and the thread that sends them."""

    def __init__(self, name: str, *, chunk: int) -> None:
        self._name, self._chunk = name, chunk
        self._letters: deque[Letter] = deque()
        self._signal = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed_until = 0.0
        self._busy = False

    def offer(self, letters: Iterable[Letter]) -> None:
        """Queue *letters*; in a crowd, or while the broker is away, leave them to the relay."""
        with self._signal:
            if time.monotonic() < self._closed_until or len(self._letters) >= CROWD:
                return
            self._letters.extend(letters)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=f"lane-{self._name}", daemon=True)
                self._thread.start()
            self._signal.notify()

    def settle(self, timeout_seconds: float = 5.0) -> bool:
        """Wait until nothing is on its way; return whether that came true in time."""
        with self._signal:
            return self._signal.wait_for(lambda: not self._letters and not self._busy, timeout_seconds)

    def _run(self) -> None:
        wire = Wire(current_app._get_current_object(), settings.BROKER_URL)
        while True:
            with self._signal:
                while not self._letters:
                    self._signal.wait()
                letters = [self._letters.popleft() for _ in range(min(len(self._letters), WINDOW * self._chunk))]
                self._busy = True
            try:
                self._send(wire, letters)
            finally:
                close_old_connections()
                with self._signal:
                    self._busy = False
                    self._signal.notify_all()

    def _send(self, wire: Wire, letters: Sequence[Letter]) -> None:
        try:
            outcome = wire.send(chunked(letters, self._chunk))
            outbox.mark(outcome)
        except WireDown as error:
            logger.warning("The broker is away (%s); messages wait in the outbox.", error)
            with self._signal:
                self._letters.clear()
                self._closed_until = time.monotonic() + PAUSE_SECONDS
        except DatabaseError as error:  # sent, but not marked so: the relay sends it again, and receivers know it
            logger.warning("Messages that left could not be marked: %s", error)
            connections.close_all()


def chunked(letters: Sequence[Letter], size: int) -> list[Letter]:
    """Join letters of the same kind, *size* messages at most in each, in their order."""
    groups: dict[tuple[str, str, int], list[int]] = {}
    for letter in letters:
        groups.setdefault((letter.routing_key, letter.task, letter.priority), []).extend(letter.numbers)
    alone = routing_key_of(Channel.ALGEDONIC)
    return [
        Letter(tuple(numbers[start : start + step]), key, task, priority)
        for (key, task, priority), numbers in groups.items()
        for step in [1 if key == alone else size]
        for start in range(0, len(numbers), step)
    ]


_lanes: dict[tuple[int, bool], Lane] = {}
_worker_here = False
_lock = threading.Lock()


def lane(*, algedonic: bool) -> Lane:
    """Return this process's lane, made on first use: a fork must not inherit a dead thread."""
    key = os.getpid(), algedonic
    with _lock:
        if key not in _lanes:
            _lanes[key] = Lane("algedonic", chunk=1) if algedonic else Lane("others", chunk=CHUNK)
        return _lanes[key]


def open_here() -> None:
    """Say that the embedded worker is in this process: what another one sent on its own broker, nobody would hear."""
    global _worker_here
    _worker_here = True


def is_open() -> bool:
    """Return whether what this process sends is heard; if not, its messages are the relay's from the start."""
    return _worker_here or not settings.EMBEDDED


def settle() -> None:
    """Wait until this process's lanes are quiet: before a test looks, or a process ends."""
    for (pid, _), each in list(_lanes.items()):
        if pid == os.getpid():
            each.settle()
