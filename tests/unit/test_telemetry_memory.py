"""The in-process hot tier keeps the contract of every hot tier."""

from __future__ import annotations

import pytest

from subsystems.telemetry.memory import MemoryHotTier
from tests.support.hot_tier_contract import HotTierContract, Make


class TestMemoryHotTier(HotTierContract):
    @pytest.fixture
    def make(self) -> Make:
        return MemoryHotTier
