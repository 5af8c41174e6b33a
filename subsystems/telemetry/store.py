"""The hot tier: one hour of samples behind one interface, in this process or in Redis."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from subsystems.telemetry.columns import Columns, Ids

LEASE_SECONDS = 120  # twice the hard time limit of a roll-up


class HotTier(Protocol):
    """Where recent samples live. Every method may be called from any thread.

    All but `count` raise TransientError when the tier cannot be reached.
    """

    def append(self, samples: Columns) -> None:
        """Keep *samples*, in whatever order; a full tier forgets its oldest and counts them as `dropped_full`."""

    def read(self, series_ids: Ids | None, start: float, end: float) -> Columns:
        """Return the ordered samples of some series (None: of all), both ends included (000-45)."""

    def latest(self, series_ids: Ids) -> Columns:
        """Return the newest sample of each series that has one, by series."""

    def take_dirty(self, before: float) -> list[int]:
        """Take the minutes (epoch seconds) before *before* that changed since they were last taken.

        Who takes them has `LEASE_SECONDS` to settle them: then they are there for the next to take.
        """

    def settle(self, minutes: Sequence[int]) -> None:
        """Say that taken minutes are rolled up. What changed since they were taken is taken once more."""

    def mark_dirty(self, minutes: Sequence[int]) -> None:
        """Put minutes back whose roll-up failed."""

    def oldest_dirty(self) -> int | None:
        """Return the oldest minute that changed and is not yet settled."""

    def evict(self, before: float) -> int:
        """Forget what is wholly older than *before*; return how many samples that were."""

    def size(self) -> int:
        """Return how many samples are held."""

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter shared by all processes; never fails."""

    def counters(self) -> dict[str, int]:
        """Return every counter."""

    def clear(self) -> None:
        """Forget everything."""


_tier: HotTier | None = None
_lock = threading.Lock()


def hot_tier() -> HotTier:
    """Return this process's hot tier, made on first use."""
    global _tier
    with _lock:
        if _tier is None:
            _tier = import_string(settings.HOT_TIER)(settings.HOT_MAX_SAMPLES)
        return _tier


def use_tier(tier: HotTier | None) -> None:
    """Use *tier* from now on; None makes a new one on next use."""
    global _tier
    with _lock:
        _tier = tier
