"""The limiter of one process keeps the contract of every limiter, and its memory bounded."""

from __future__ import annotations

import pytest

from subsystems.messaging.gcra import Limit
from subsystems.messaging.memory_limiter import MemoryLimiter
from tests.support.rate_limiter_contract import RateLimiterContract, accepted, bucket


class TestMemoryLimiter(RateLimiterContract):
    @pytest.fixture
    def limiter(self) -> MemoryLimiter:
        return MemoryLimiter()

    def test_a_minute_passes_without_waiting_for_it(self) -> None:
        """Ten a minute: a burst of ten, then one every six seconds."""
        now = [1000.0]
        limiter = MemoryLimiter(clock=lambda: now[0])
        ten = bucket(limit=Limit(10, 60, 10))

        first = accepted(limiter, ten, tries=20)
        now[0] += 30
        later = accepted(limiter, ten, tries=20)

        assert (first, later) == (10, 5)

    def test_keys_do_not_pile_up(self) -> None:
        """A key made of somebody's token must not become a leak."""
        now = [1000.0]
        limiter = MemoryLimiter(clock=lambda: now[0], max_keys=100)
        for number in range(1000):
            now[0] += 0.01
            limiter.take([bucket(key=str(number))])

        assert len(limiter) <= 100
        assert accepted(limiter, bucket(key="999"), tries=5) == 2
