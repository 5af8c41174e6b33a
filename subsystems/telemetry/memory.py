"""The hot tier of one process: a block of columns per minute.

Appending copies slices. A block is sorted by series when somebody first reads it, so that reading one series is a
binary search per minute; forgetting the oldest is dropping a block.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from subsystems.telemetry.columns import Columns, Ids, columns, joined, joined_in_time

BLOCK_SECONDS = 60
TABLE = 1 << 22  # ids from the lowest to the highest wanted: beyond it they are searched for


class Wanted:
    """Series that are asked for: sorted, unique, and quickly told from others."""

    def __init__(self, series_ids: Ids) -> None:
        self.ids = np.unique(series_ids)
        self._low = int(self.ids[0]) if len(self.ids) else 0
        span = int(self.ids[-1]) - self._low + 1 if len(self.ids) else 0
        self._table = None
        if 0 < span <= TABLE:
            self._table = np.zeros(span + 2, np.bool_)  # with an unwanted place at each end
            self._table[self.ids - self._low + 1] = True

    def among(self, series: Ids) -> npt.NDArray[np.bool_]:
        """Return which of *series* are wanted."""
        if self._table is None:
            return np.isin(series, self.ids)
        return self._table[np.clip(series - self._low + 1, 0, len(self._table) - 1)]


class Block:
    """The samples of one minute in columns that grow by doubling."""

    def __init__(self) -> None:
        self._held = columns([], [], [])
        self._size = 0
        self._sorted = True

    def __len__(self) -> int:
        return self._size

    def append(self, samples: Columns) -> None:
        """Add samples at the end."""
        end = self._size + len(samples)
        if end > len(self._held):
            self._grow(max(end, 2 * len(self._held), 64))
        self._held.series[self._size : end] = samples.series
        self._held.at[self._size : end] = samples.at
        self._held.values[self._size : end] = samples.values
        self._size = end
        self._sorted = False

    def ordered(self) -> Columns:
        """Return the samples by series and time; sorts only what changed since the last time."""
        if not self._sorted:
            self._held = self._held.where(slice(self._size)).ordered()
            self._sorted = True
        return self._held.where(slice(self._size))

    def of(self, wanted: Wanted) -> Columns:
        """Return the samples of the wanted series."""
        held = self.ordered()
        if len(wanted.ids) == 1:
            low, high = np.searchsorted(held.series, [wanted.ids[0], wanted.ids[0] + 1])
            return held.where(slice(int(low), int(high)))
        mask = wanted.among(held.series)
        return held if mask.all() else held.where(mask)

    def newest(self, series_ids: Ids) -> Columns:
        """Return the last sample of each of *series_ids* that has one here."""
        held = self.ordered()
        last = np.searchsorted(held.series, series_ids, side="right") - 1
        found = (last >= 0) & (held.series[np.maximum(last, 0)] == series_ids)
        return held.where(last[found])

    def keep_newest(self, n: int) -> int:
        """Keep only the *n* newest samples; return how many went."""
        held = self._held.where(slice(self._size))
        gone = self._size - n
        self._held = held.where(np.argsort(held.at, kind="stable")[gone:])
        self._size, self._sorted = n, False
        return gone

    def _grow(self, capacity: int) -> None:
        bigger = Columns(np.empty(capacity, np.int64), np.empty(capacity), np.empty(capacity))
        for new, old in (
            (bigger.series, self._held.series), (bigger.at, self._held.at), (bigger.values, self._held.values)
        ):  # fmt: skip
            new[: self._size] = old[: self._size]
        self._held = bigger


class MemoryHotTier:
    """Samples of the last hour in this process's memory, 24 bytes each, bounded by a number of samples."""

    def __init__(self, max_samples: int) -> None:
        self._max = max_samples
        self._blocks: dict[int, Block] = {}
        self._size = 0
        self._dirty: set[int] = set()
        self._taken: set[int] = set()  # no lease: who took them dies with the samples
        self._counters: Counter[str] = Counter()
        self._lock = threading.RLock()

    def append(self, samples: Columns) -> None:
        """See HotTier."""
        if not len(samples):
            return
        with self._lock:
            for minute, part in _by_minute(samples):
                self._blocks.setdefault(minute, Block()).append(part)
                self._dirty.add(minute)
            self._size += len(samples)
            if self._size > self._max:
                self._make_room()

    def read(self, series_ids: Ids | None, start: float, end: float) -> Columns:
        """See HotTier."""
        with self._lock:
            blocks = [block for at, block in sorted(self._blocks.items()) if start - BLOCK_SECONDS < at <= end]
            wanted = None if series_ids is None else Wanted(series_ids)
            if wanted is not None and not len(wanted.ids):
                return columns([], [], [])
            found = joined_in_time([block.ordered() if wanted is None else block.of(wanted) for block in blocks])
        inside = (found.at >= start) & (found.at <= end)
        return found.where(slice(None) if inside.all() else inside)

    def latest(self, series_ids: Ids) -> Columns:
        """See HotTier."""
        missing = np.unique(series_ids)
        found: list[Columns] = []
        with self._lock:
            for at in sorted(self._blocks, reverse=True):
                if not len(missing):
                    break
                newest = self._blocks[at].newest(missing)
                missing = np.setdiff1d(missing, newest.series, assume_unique=True)
                found.append(newest)
        return joined(found)

    def take_dirty(self, before: float) -> list[int]:
        """See HotTier."""
        with self._lock:
            taken = {minute for minute in self._dirty if minute + BLOCK_SECONDS <= before}
            self._dirty -= taken
            self._taken |= taken
        return sorted(taken)

    def settle(self, minutes: Sequence[int]) -> None:
        """See HotTier."""
        with self._lock:
            self._taken.difference_update(minutes)

    def mark_dirty(self, minutes: Sequence[int]) -> None:
        """See HotTier."""
        with self._lock:
            self._taken.difference_update(minutes)
            self._dirty.update(minutes)

    def oldest_dirty(self) -> int | None:
        """See HotTier."""
        with self._lock:
            return min(self._dirty | self._taken, default=None)

    def evict(self, before: float) -> int:
        """See HotTier."""
        with self._lock:
            return sum(self._drop(at) for at in list(self._blocks) if at + BLOCK_SECONDS <= before)

    def size(self) -> int:
        """See HotTier."""
        return self._size

    def count(self, name: str, n: int = 1) -> None:
        """See HotTier."""
        with self._lock:
            self._counters[name] += n

    def counters(self) -> dict[str, int]:
        """See HotTier."""
        with self._lock:
            return dict(self._counters)

    def clear(self) -> None:
        """See HotTier."""
        with self._lock:
            self._blocks.clear()
            self._dirty.clear()
            self._taken.clear()
            self._counters.clear()
            self._size = 0

    def _drop(self, at: int) -> int:
        gone = len(self._blocks.pop(at))
        self._dirty.discard(at)
        self._size -= gone
        return gone

    def _make_room(self) -> None:
        dropped = 0
        while self._size > self._max and len(self._blocks) > 1:
            dropped += self._drop(min(self._blocks))
        if self._size > self._max:
            (last,) = self._blocks.values()
            gone = last.keep_newest(self._max)
            self._size -= gone
            dropped += gone
        self._counters["dropped_full"] += dropped


def _by_minute(samples: Columns) -> list[tuple[int, Columns]]:
    """Return the samples of each minute; nearly always there is one."""
    first, last = (int(moment // BLOCK_SECONDS) * BLOCK_SECONDS for moment in (samples.at.min(), samples.at.max()))
    if first == last:
        return [(first, samples)]
    minutes = np.floor(samples.at / BLOCK_SECONDS).astype(np.int64) * BLOCK_SECONDS
    return [(int(minute), samples.where(minutes == minute)) for minute in np.unique(minutes)]
