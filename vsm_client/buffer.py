"""Samples that wait to be sent: bounded, the oldest go first."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, Optional

Labels = Optional["dict[str, str]"]
Key = tuple[str, tuple[tuple[str, str], ...]]


class Buffer:
    """What was measured since it was last taken. Counts add up here and become one sample each time they are taken."""

    def __init__(self, max_samples: int) -> None:
        self.dropped = 0
        self._max = max_samples
        self._samples: deque[dict[str, Any]] = deque()
        self._totals: dict[Key, float] = {}
        self._told: set[Key] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._samples) + len(self._told)

    def put(self, metric: str, value: float, labels: Labels = None, at: float | None = None) -> None:
        """Add one sample; a full buffer lets its oldest go."""
        sample: dict[str, Any] = {"metric": metric, "value": float(value), "at": time.time() if at is None else at}
        if labels:
            sample["labels"] = {str(name): str(text) for name, text in labels.items()}
        with self._lock:
            self._add(sample)

    def count(self, metric: str, n: float = 1.0, labels: Labels = None) -> None:
        """Raise a total, which starts at zero with this process."""
        key = metric, tuple(sorted((str(name), str(text)) for name, text in (labels or {}).items()))
        with self._lock:
            if key not in self._totals and len(self._totals) >= self._max:
                self.dropped += 1
                return
            self._totals[key] = self._totals.get(key, 0.0) + n
            self._told.add(key)

    def take(self, at_most: int) -> list[dict[str, Any]]:
        """Return the oldest samples; they are the caller's now."""
        with self._lock:
            now = time.time()
            for metric, labels in sorted(self._told):
                value = self._totals[metric, labels]
                self._add({"metric": metric, "value": value, "at": now, "labels": dict(labels)})
            self._told.clear()
            return [self._samples.popleft() for _ in range(min(at_most, len(self._samples)))]

    def put_back(self, samples: list[dict[str, Any]]) -> None:
        """Return samples that could not be sent; what no longer fits is dropped, the oldest first."""
        with self._lock:
            room = max(0, self._max - len(self._samples))
            kept = samples[len(samples) - room :] if room < len(samples) else samples
            self.dropped += len(samples) - len(kept)
            self._samples.extendleft(reversed(kept))

    def _add(self, sample: dict[str, Any]) -> None:
        if len(self._samples) >= self._max:
            self._samples.popleft()
            self.dropped += 1
        self._samples.append(sample)
