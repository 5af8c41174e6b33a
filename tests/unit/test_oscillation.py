"""What swings and what does not, on series of which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from subsystems.s2_coordination.monitor.oscillation import Movement, held_values, most_within, swing_of

T = np.arange(120.0)
STEP = 60.0
NOISE = np.random.default_rng(7).normal(size=120)


def movement(values: np.ndarray, least: float = 0.0) -> Movement:
    return swing_of(T * STEP, values, step_seconds=STEP, least_amplitude=least).movement


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(10 + 4 * np.sin(T * 2 * np.pi / 12), "oscillating", id="sine"),
        pytest.param(10 + 4 * np.sin(T * 2 * np.pi / 12) + NOISE, "oscillating", id="sine in noise"),
        pytest.param(T % 15, "oscillating", id="saw-tooth"),
        pytest.param(np.exp(T / 40) * np.sin(T * 2 * np.pi / 15), "oscillating", id="growing"),
        pytest.param(np.where(T % 10 < 5, 2.0, 8.0), "oscillating", id="two sizes in turn"),
        pytest.param(np.sin(T * 2 * np.pi / 12) + 0.2 * T, "oscillating", id="on a slope"),
        pytest.param(10 + NOISE, "steady", id="noise"),
        pytest.param(np.cumsum(NOISE), "steady", id="a walk"),
        pytest.param(np.where(T < 60, 2.0, 8.0), "steady", id="step"),
        pytest.param(T / 10, "steady", id="ramp"),
        pytest.param(np.full(120, 4.0), "steady", id="constant"),
        pytest.param(100 + np.sin(T * 2 * np.pi / 12), "steady", id="small beside its mean"),
        pytest.param(20 + np.round(NOISE), "steady", id="busy but steady"),
        pytest.param(np.where(T < 80, np.sin(T * 2 * np.pi / 10), 0.0), "steady", id="swung and stopped"),
        pytest.param(np.where(T % 2 == 0, 2.0, 8.0), "insufficient_data", id="as fast as it is sampled"),
        pytest.param(np.where(T < 20, T, np.nan), "insufficient_data", id="too short"),
        pytest.param(np.where(T % 3 == 0, T, np.nan), "insufficient_data", id="too many holes"),
    ],
)
def test_what_swings_is_found_and_nothing_else(values: np.ndarray, expected: str) -> None:
    """A damper put down for noise stands in the way of honest work."""
    assert movement(values) == expected


def test_a_swing_is_measured() -> None:
    """Whoever damps must know how long and how far it swings."""
    swing = swing_of(T * STEP, 10 + 4 * np.sin(T * 2 * np.pi / 12), step_seconds=STEP)

    assert swing.period_seconds == pytest.approx(720)
    assert swing.amplitude == pytest.approx(4, abs=0.1)
    assert swing.mean == pytest.approx(10, abs=0.1)
    assert not swing.growing
    assert "20 times" in swing.reason or "19 times" in swing.reason


def test_a_growing_swing_says_by_how_much() -> None:
    """Growing, it ends at a limit or in ruin."""
    swing = swing_of(T * STEP, np.exp(T / 40) * np.sin(T * 2 * np.pi / 15), step_seconds=STEP)

    assert swing.growth == pytest.approx(np.exp(7.5 / 40), rel=0.03)
    assert swing.growing


def test_noise_is_hardly_ever_taken_for_a_swing() -> None:
    """A false alarm in a hundred looks would be several each hour."""
    rng = np.random.default_rng(3)
    found = [movement(rng.normal(size=120)) == Movement.OSCILLATING for _ in range(200)]

    assert sum(found) <= 1


def test_many_adjustments_are_no_oscillation() -> None:
    """More than ten in five minutes are told, under their own name (004-25)."""
    at = np.arange(120) * 20.0
    values = 20 + np.round(np.random.default_rng(5).normal(size=120))

    swing = swing_of(at, values, step_seconds=20.0)

    assert swing.movement == Movement.RAPID
    assert swing.adjustments > 10


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param([], 0, id="none"),
        pytest.param([1, 2, 3], 3, id="all at once"),
        pytest.param([0, 300, 301, 600.5], 2, id="both ends are not within"),
    ],
)
def test_the_most_within_a_span_are_counted(at: list[float], expected: int) -> None:
    """Ten in the last five minutes are not ten in any five minutes."""
    assert most_within(at, 300) == expected


def test_what_keeps_its_value_is_known_between_its_changes() -> None:
    """Before the first change nobody knows what it was."""
    values = held_values([25, 45], [1, 0], start=10, end=60, step=10)

    assert [None if np.isnan(value) else value for value in values] == [None, None, 1, 1, 0, 0]
