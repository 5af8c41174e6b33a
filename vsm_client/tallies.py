"""What ended since it was last told: operations by name, each with its durations, its outcomes and its last errors.

A batch is sent as it is until it is taken, and tells the totals beside what is new, so that the platform knows one that
comes twice. After half a day the totals begin anew under another name.
"""

from __future__ import annotations

import math
import os
import secrets
import threading
import time
from collections import deque
from typing import Any

LIFE_SECONDS = 12 * 3600.0
KEEP_SECONDS = 3000.0  # a batch older than that would not be taken
MAX_OPERATIONS = 1_000
MAX_ENDED = 500_000  # in one batch
MAX_KINDS = 5_000  # of durations, and of seconds, of one operation in one batch
MAX_NAME, MAX_OUTCOME, MAX_WORDS, MAX_ERRORS = 200, 80, 500, 10
OK = "ok"


class _New:
    """What is new of one operation."""

    def __init__(self) -> None:
        self.ends: dict[tuple[int, str], int] = {}
        self.durations: dict[float, int] = {}
        self.total_ms = 0.0
        self.errors: deque[list[Any]] = deque(maxlen=MAX_ERRORS)

    def is_full(self) -> bool:
        return len(self.ends) >= MAX_KINDS or len(self.durations) >= MAX_KINDS


class Tallies:
    """The operations of one process."""

    def __init__(self) -> None:
        self.dropped = 0
        self._waiting: dict[str, Any] | None = None
        self._made_at = 0.0
        self._begin()

    def note(self, operation: str, seconds: float, error: BaseException | None = None) -> None:
        """Count one operation that ended now, well or with *error*."""
        now = time.time()
        outcome = OK if error is None else type(error).__name__[:MAX_OUTCOME]
        milliseconds = float(f"{1000 * seconds:.3g}")  # the platform's quantiles are right to 1 %
        self._look_for_fork()
        with self._lock:
            new = self._new.get(operation)
            if new is None:
                if len(self._new) >= MAX_OPERATIONS or not _is_name(operation):
                    self.dropped += 1
                    return
                new = self._new[operation] = _New()
            if new.is_full() or self._ended >= MAX_ENDED or not math.isfinite(milliseconds):
                self.dropped += 1
                return
            self._ended += 1
            key = int(now), outcome
            new.ends[key] = new.ends.get(key, 0) + 1
            new.durations[milliseconds] = new.durations.get(milliseconds, 0) + 1
            new.total_ms += 1000 * seconds
            if error is not None:
                new.errors.appendleft([now, f"{outcome}: {error}"[:MAX_WORDS]])

    def batch(self) -> dict[str, Any] | None:
        """Return what is to be told: the batch that was not taken yet, else what is new; None when there is nothing."""
        self._look_for_fork()
        with self._lock:
            if self._waiting is not None and time.time() - self._made_at > KEEP_SECONDS:
                self.dropped += sum(n for each in self._waiting["operations"] for _, _, n in each["ends"])
                self._waiting = None
            if self._waiting is None and self._new:
                self._waiting, self._made_at = self._made(time.time()), time.time()
            return self._waiting

    def taken(self) -> None:
        """Say that the batch was taken, or never will be."""
        with self._lock:
            self._waiting = None

    def refused(self) -> None:
        """Say that the batch never will be taken: what it told is lost, and counted."""
        with self._lock:
            if self._waiting is not None:
                self.dropped += sum(n for each in self._waiting["operations"] for _, _, n in each["ends"])
            self._waiting = None

    def _look_for_fork(self) -> None:
        """Begin anew in a process that was forked: its parent tells what was before."""
        if os.getpid() != self._pid:
            self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting = None
        self._born(time.time())

    def _born(self, now: float) -> None:
        self._replica, self._since, self._number = secrets.token_hex(8), now, 0
        self._totals: dict[str, tuple[int, int]] = {}
        self._new: dict[str, _New] = {}
        self._ended = 0

    def _made(self, now: float) -> dict[str, Any]:
        if now - self._since > LIFE_SECONDS:
            self._replica, self._since, self._number, self._totals = secrets.token_hex(8), now, 0, {}
        new, self._new, self._ended = self._new, {}, 0
        self._number += 1
        return {
            "replica": self._replica,
            "since": self._since,
            "number": self._number,
            "operations": [self._told(name, each) for name, each in new.items()],
        }

    def _told(self, name: str, new: _New) -> dict[str, Any]:
        count = sum(new.ends.values())
        good = sum(n for (_, outcome), n in new.ends.items() if outcome == OK)
        before = self._totals.get(name, (0, 0))
        total = self._totals[name] = (before[0] + count, before[1] + good)
        return {
            "operation": name,
            "total": total[0],
            "total_ok": total[1],
            "ends": [[second, outcome, n] for (second, outcome), n in new.ends.items()],
            "durations_ms": [[milliseconds, n] for milliseconds, n in new.durations.items()],
            "total_ms": new.total_ms,
            "errors": list(new.errors),
        }


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME and text.isprintable()
