"""Numbered changes for open dashboards: hints, coalesced, over Django Channels.

Each change of a system carries the next number of that system's sequence, so that a browser that misses one sees the
gap and asks for a new snapshot.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import defaultdict
from functools import cache
from typing import Any, Protocol

from channels.layers import get_channel_layer
from django.conf import settings
from django.utils.module_loading import import_string

logger = logging.getLogger(__name__)
QUIET_SECONDS = 0.05  # at most 20 pushes a second and system; the first of a burst leaves at once
ADDED = {"samples"}  # kinds of which a newer body adds to the one before: its names replace only themselves
NEWS = {"tasks"}  # kinds of which no body replaces another: each tells of what the others do not
Place = tuple[str, str, int]  # kind, key and, of news, a number of its own


class Sequence(Protocol):
    """Numbers the changes of each system."""

    def next(self, system_id: int) -> int: ...
    def current(self, system_id: int) -> int: ...


class MemorySequence:
    """Numbers within one process. It starts at the clock, so that a restart never repeats a number."""

    def __init__(self) -> None:
        self._start = int(time.time() * 1000)
        self._numbers: dict[int, int] = defaultdict(lambda: self._start)
        self._lock = threading.Lock()

    def next(self, system_id: int) -> int:
        with self._lock:
            self._numbers[system_id] += 1
            return self._numbers[system_id]

    def current(self, system_id: int) -> int:
        return self._numbers[system_id]


class Pusher:
    """Coalesces changes per system; one thread sends them."""

    def __init__(self, sequence: Sequence) -> None:
        self.sequence = sequence
        self._waiting: dict[int, dict[Place, Any]] = defaultdict(dict)
        self._signal = threading.Condition()
        self._thread: threading.Thread | None = None

    def push(self, system_id: int, kind: str, key: str, body: Any) -> None:
        """Queue a change; a newer state of the same *kind* and *key* replaces one that has not left."""
        with self._signal:
            waiting = self._waiting[system_id]
            place = (kind, key, len(waiting) if kind in NEWS else 0)
            waiting[place] = {**waiting.get(place, {}), **body} if kind in ADDED else body
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="live-pusher", daemon=True)
                self._thread.start()
            self._signal.notify()

    def _run(self) -> None:
        with asyncio.Runner() as runner:  # one loop for all: the layer keeps a connection for each
            while True:
                with self._signal:
                    while not self._waiting:
                        self._signal.wait()
                    batch, self._waiting = self._waiting, defaultdict(dict)
                for system_id, changes in batch.items():
                    self._send(runner, system_id, changes)
                time.sleep(QUIET_SECONDS)

    def _send(self, runner: asyncio.Runner, system_id: int, changes: dict[Place, Any]) -> None:
        packed = [pack(kind, key, body) for (kind, key, _), body in changes.items()]
        try:
            number = self.sequence.next(system_id)
            message = {"type": "live.change", "system": system_id, "seq": number, "changes": packed}
            runner.run(get_channel_layer().group_send(group(system_id), message))
        except layer_errors() as error:
            logger.warning("Open dashboards were not told of a change: %s", error)


def pack(kind: str, key: str, body: Any) -> list[str]:
    """Return a change as it travels: kind, key, what a newer one replaces it by ("" for none), and its JSON.

    It is encoded here, once, however many processes and browsers it goes to.
    """
    same = "" if kind in NEWS else f"{kind}/{key}"
    if kind in ADDED and isinstance(body, dict):
        same = f"{same}/{','.join(sorted(body))}"
    return [kind, key, same, json.dumps({"kind": kind, "key": key, "body": body}, separators=(",", ":"))]


_pusher: Pusher | None = None
_pusher_lock = threading.Lock()


def pusher() -> Pusher:
    """Return this process's pusher, made on first use."""
    global _pusher
    with _pusher_lock:
        if _pusher is None:
            sequence = import_string(settings.LIVE_SEQUENCE)()
            _pusher = Pusher(sequence)
        return _pusher


def push(system_id: int, kind: str, key: str, body: Any) -> None:
    """Tell every open dashboard of *system_id* about one change; never fails the caller.

    *kind* is one of `unit`, `samples`, `assessment`, `alert`, `tick`, `fleet`, `signal`, `action`,
    `recommendation`; *key* tells which;
    *body* is JSON.
    """
    pusher().push(system_id, kind, key, body)


def current_number(system_id: int) -> int:
    """Return the number of the last change sent, for the snapshot."""
    return pusher().sequence.current(system_id)


def group(system_id: int) -> str:
    """Return the Channels group of a system's dashboards."""
    return f"dashboard.{system_id}"


@cache
def layer_errors() -> tuple[type[Exception], ...]:
    """Return what the channel layer raises when it is away; its library is loaded only where it is used."""
    return (OSError, *map(import_string, settings.CHANNEL_LAYER_ERRORS))
