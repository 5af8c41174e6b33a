"""What any hot tier must do; each implementation's tests inherit these and give `make(max_samples)`."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from subsystems.telemetry.columns import Columns, columns
from subsystems.telemetry.store import HotTier

NOON = 1_790_000_400.0  # a multiple of ten minutes
Make = Callable[[int], HotTier]


def ids(*series: int) -> np.ndarray:
    return np.array(series, np.int64)


def rows(found: Columns) -> list[tuple[int, float, float]]:
    return list(zip(found.series.tolist(), found.at.tolist(), found.values.tolist(), strict=True))


class HotTierContract:
    """Fixture `make` returns an empty tier of a given size."""

    @pytest.fixture
    def tier(self, make: Make) -> HotTier:
        return make(10_000)

    def test_samples_come_back_by_series_and_time(self, tier: HotTier) -> None:
        """Batches arrive in any order; readers compute over time and must not sort again."""
        tier.append(columns([2, 1], [NOON + 5, NOON + 5], [2.5, 1.5]))
        tier.append(columns([1, 2], [NOON, NOON], [1.0, 2.0]))

        found = tier.read(ids(1, 2), NOON, NOON + 10)

        assert rows(found) == [(1, NOON, 1.0), (1, NOON + 5, 1.5), (2, NOON, 2.0), (2, NOON + 5, 2.5)]

    def test_both_ends_of_a_range_are_included(self, tier: HotTier) -> None:
        """Requirements 000-45."""
        tier.append(columns([1] * 4, [NOON - 1, NOON, NOON + 5, NOON + 6], [1.0, 2.0, 3.0, 4.0]))

        assert tier.read(ids(1), NOON, NOON + 5).values.tolist() == [2.0, 3.0]

    def test_two_samples_of_one_instant_both_stay(self, tier: HotTier) -> None:
        """The documented key by time lost one of them (000-45, defect)."""
        tier.append(columns([1, 1], [NOON, NOON], [1.0, 2.0]))

        assert tier.read(ids(1), NOON, NOON).values.tolist() == [1.0, 2.0]

    def test_only_the_series_asked_for_come_back(self, tier: HotTier) -> None:
        """A page of one unit must not pay for all, nor see others."""
        tier.append(columns([1, 2, 3], [NOON] * 3, [1.0, 2.0, 3.0]))

        assert tier.read(ids(3, 1, 9), NOON, NOON).series.tolist() == [1, 3]
        assert tier.read(ids(9), NOON, NOON).series.tolist() == []
        assert tier.read(ids(), NOON, NOON).series.tolist() == []
        assert tier.read(None, NOON, NOON).series.tolist() == [1, 2, 3]

    def test_a_range_over_many_minutes_is_read_whole(self, tier: HotTier) -> None:
        """Tiers keep time in pieces; an hour must come back without a seam."""
        at = [NOON + 5 * n for n in range(720)]
        tier.append(columns([7] * 720, at, [float(n) for n in range(720)]))

        assert tier.read(ids(7), NOON, NOON + 3600).values.tolist() == [float(n) for n in range(720)]

    def test_the_latest_is_the_newest_by_time_not_by_arrival(self, tier: HotTier) -> None:
        """A late sample must not make an old value look new."""
        tier.append(columns([1, 2], [NOON + 100, NOON], [5.0, 7.0]))
        tier.append(columns([1], [NOON + 3], [1.0]))

        assert rows(tier.latest(ids(1, 2, 3))) == [(1, NOON + 100, 5.0), (2, NOON, 7.0)]
        assert rows(tier.latest(ids())) == []

    def test_changed_minutes_are_taken_once_and_can_be_put_back(self, tier: HotTier) -> None:
        """Roll-ups are made of exactly these minutes, late ones too; the open minute waits."""
        tier.append(columns([1, 1, 1], [NOON + 1, NOON + 61, NOON + 125], [1.0] * 3))

        first, second = tier.take_dirty(NOON + 120), tier.take_dirty(NOON + 120)
        tier.mark_dirty([int(NOON)])

        assert (first, second) == ([int(NOON), int(NOON) + 60], [])
        assert tier.take_dirty(NOON + 180) == [int(NOON), int(NOON) + 120]

    def test_eviction_forgets_what_is_wholly_older(self, tier: HotTier) -> None:
        """An hour is kept (000-43); the sample at the border is still there."""
        tier.append(columns([1, 1, 2], [NOON, NOON + 1200, NOON], [1.0, 2.0, 3.0]))

        gone = tier.evict(NOON + 1200)

        assert (gone, tier.size()) == (2, 1)
        assert rows(tier.read(None, NOON, NOON + 1200)) == [(1, NOON + 1200, 2.0)]
        assert rows(tier.latest(ids(1, 2))) == [(1, NOON + 1200, 2.0)]

    def test_a_full_tier_forgets_its_oldest_and_counts_them(self, make: Make) -> None:
        """Memory is bounded (000-43, enforced here), the newest survive, and what was lost is known."""
        tier = make(100)
        for n in range(30):
            tier.append(columns([1] * 10, [NOON + 300 * n] * 10, [float(n)] * 10))

        kept = tier.read(None, NOON, NOON + 9000)

        assert tier.size() <= 100
        assert kept.at.max() == NOON + 300 * 29
        assert len(kept) == tier.size()
        assert tier.counters()["dropped_full"] == 300 - tier.size()

    def test_a_batch_larger_than_the_tier_keeps_its_newest(self, make: Make) -> None:
        """A flood in one call must neither raise nor grow past the bound."""
        tier = make(10)
        tier.append(columns([1] * 50, [NOON + n / 10 for n in range(50)], [float(n) for n in range(50)]))

        assert tier.read(ids(1), NOON, NOON + 60).values.tolist() == [float(n) for n in range(40, 50)]
        assert tier.counters()["dropped_full"] == 40

    def test_an_empty_batch_changes_nothing(self, tier: HotTier) -> None:
        """A cycle in which nobody answered is ordinary."""
        tier.append(columns([], [], []))

        assert (tier.size(), tier.take_dirty(NOON * 2)) == (0, [])

    def test_counters_add_up(self, tier: HotTier) -> None:
        """All processes count refusals into the same numbers."""
        tier.count("dropped_future")
        tier.count("dropped_future", 4)

        assert tier.counters() == {"dropped_future": 5}

    def test_threads_may_append_and_read_at_once(self, tier: HotTier) -> None:
        """Collectors, ingest and dashboards share one tier."""

        def write(series: int) -> None:
            for n in range(50):
                tier.append(columns([series] * 4, [NOON + n] * 4, [1.0] * 4))
                tier.read(ids(series), NOON, NOON + 60)

        threads = [threading.Thread(target=write, args=(series,)) for series in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert tier.size() == len(tier.read(None, NOON, NOON + 60)) == 4 * 50 * 4

    def test_clear_forgets_everything(self, tier: HotTier) -> None:
        """Tests and a reset start from nothing."""
        tier.append(columns([1], [NOON], [1.0]))
        tier.count("dropped_future")
        tier.clear()

        assert (tier.size(), tier.counters(), len(tier.latest(ids(1)))) == (0, {}, 0)
