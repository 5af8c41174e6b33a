"""The hot tier in Redis keeps the contract of every hot tier, and says so when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from subsystems.kernel.errors import TransientError
from subsystems.telemetry.columns import columns
from subsystems.telemetry.redis_tier import RedisHotTier
from tests.support.hot_tier_contract import NOON, HotTierContract, Make, ids


class TestRedisHotTier(HotTierContract):
    @pytest.fixture
    def make(self) -> Iterator[Make]:
        made: list[RedisHotTier] = []

        def make(max_samples: int) -> RedisHotTier:
            made.append(RedisHotTier(max_samples, root=f"vsm:test:{uuid4().hex}:"))
            return made[-1]

        yield make
        for tier in made:
            tier.clear()

    def test_two_processes_share_one_tier(self, make: Make) -> None:
        """A worker writes what the web process shows."""
        writer = make(100)
        reader = RedisHotTier(100, root=writer._root)  # type: ignore[attr-defined]

        writer.append(columns([1], [NOON], [4.5]))

        assert reader.latest(ids(1)).values.tolist() == [4.5]

    def test_a_server_that_is_down_is_a_transient_error(self) -> None:
        """Collection goes on without it; counting never fails, and is made up for later."""
        down = RedisHotTier(100, url="redis://127.0.0.1:1/0")

        down.count("dropped_future")

        with pytest.raises(TransientError):
            down.append(columns([1], [NOON], [1.0]))
        with pytest.raises(TransientError):
            down.latest(ids(1))
