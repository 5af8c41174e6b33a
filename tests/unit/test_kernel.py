"""Bands, limits and slots."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from subsystems.kernel.errors import NotListed
from subsystems.kernel.health import Health, band, limit_health, mean_known
from subsystems.kernel.slots import slot_of, slot_time
from subsystems.kernel.triggerable import find


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        pytest.param(0.80001, Health.HEALTHY, id="just above the healthy bound"),
        pytest.param(0.8, Health.DEGRADED, id="the healthy bound itself is degraded"),
        pytest.param(0.50001, Health.DEGRADED, id="just above the unhealthy bound"),
        pytest.param(0.5, Health.UNHEALTHY, id="the unhealthy bound itself is unhealthy"),
        pytest.param(None, Health.UNKNOWN, id="nothing measured is unknown"),
    ],
)
def test_a_score_falls_into_its_documented_band(score: float | None, expected: Health) -> None:
    """Requirements 002-14 and 2-30 fix which side each boundary belongs to."""
    assert band(score) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(0.5, 1.0, id="below the soft limit"),
        pytest.param(0.8, 1.0, id="at the soft limit"),
        pytest.param(0.9, 0.5, id="half way"),
        pytest.param(1.0, 0.0, id="at the hard limit"),
        pytest.param(3.0, 0.0, id="beyond the hard limit"),
        pytest.param(None, None, id="unknown stays unknown"),
    ],
)
def test_health_falls_linearly_between_its_limits(value: float | None, expected: float | None) -> None:
    """Section 3.7: one up to a soft limit, linear to nothing at the hard one."""
    assert limit_health(value, soft=0.8, hard=1.0) == pytest.approx(expected)


def test_the_mean_leaves_unknown_scores_out() -> None:
    """An unknown part must neither help nor hurt."""
    assert mean_known([1.0, None, 0.5]) == 0.75
    assert mean_known([None]) is None


def test_a_slot_starts_at_a_multiple_of_its_period() -> None:
    """Two beats agree on the slot only if it depends on the clock alone."""
    moment = datetime(2026, 1, 1, 12, 0, 7, 900_000, tzinfo=UTC)

    slot = slot_of(moment, 5)

    assert slot_time(slot) == datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC)


def test_an_unlisted_task_cannot_be_found() -> None:
    """Only what somebody listed on purpose may be triggered from outside."""
    with pytest.raises(NotListed, match=r"os\.system"):
        find("os.system")
