"""The rate limiter of one process. A bucket that is full again is forgotten, so that their number stays bounded."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from subsystems.messaging.gcra import step_all
from subsystems.messaging.limiter import Bucket, Refusal

MAX_KEYS = 50_000


class MemoryLimiter:
    """Buckets in a dictionary under one lock."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, max_keys: int = MAX_KEYS) -> None:
        self._clock = clock
        self._max_keys = max_keys
        self._due_at: dict[str, float] = {}
        self._counters: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, buckets: Sequence[Bucket]) -> Refusal | None:
        """See RateLimiter."""
        with self._lock:
            now = self._clock()
            steps, refused = step_all([(self._due_at.get(b.key, 0.0), b.limit) for b in buckets], now=now)
            for bucket, found in zip(buckets, steps, strict=True):
                if refused is None or not found.allowed:
                    self._due_at[bucket.key] = found.due_at
            if refused is not None:
                self._counters[buckets[refused].counter] += 1
                return Refusal(buckets[refused], max(found.wait_seconds for found in steps))
            if len(self._due_at) > self._max_keys:
                self._forget(now)
        return None

    def count(self, amounts: Mapping[str, int]) -> bool:
        """See RateLimiter."""
        with self._lock:
            self._counters.update(amounts)
        return True

    def counters(self) -> dict[str, int]:
        """See RateLimiter."""
        with self._lock:
            return dict(self._counters)

    def take_counters(self) -> dict[str, int]:
        """Return every counter and begin again at nothing."""
        with self._lock:
            taken, self._counters = self._counters, Counter()
            return dict(taken)

    def clear(self) -> None:
        """See RateLimiter."""
        with self._lock:
            self._due_at.clear()
            self._counters.clear()

    def __len__(self) -> int:
        return len(self._due_at)

    def _forget(self, now: float) -> None:
        """Drop full buckets; were they all in use, then the half that is soonest full again."""
        self._due_at = {key: at for key, at in self._due_at.items() if at > now}
        if len(self._due_at) > self._max_keys // 2:
            latest = sorted(self._due_at.items(), key=lambda item: item[1])[-(self._max_keys // 2) :]
            self._due_at = dict(latest)
