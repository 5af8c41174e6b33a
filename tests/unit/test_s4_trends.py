"""Trends of many series at once."""

from __future__ import annotations

import numpy as np
import pytest

from subsystems.s4_intelligence.matrices import autocorrelation, on_grid, row_quantile
from subsystems.s4_intelligence.trends import MIN_SAMPLES, discoveries, trends

RNG = np.random.default_rng(7)
STEPS = np.arange(60.0)


def alike(rows: int, correlation: float) -> np.ndarray:
    """Return series whose neighbours have something in common, and that go nowhere."""
    noise = RNG.normal(0, 1, (rows, 160))
    values = np.zeros(noise.shape)
    for column in range(1, 160):
        values[:, column] = correlation * values[:, column - 1] + noise[:, column]
    return values[:, 100:]


def test_a_straight_line_has_its_slope_and_no_doubt() -> None:
    """The slope is told per second, whatever the step."""
    found = trends(np.stack([3.0 * STEPS, -2.0 * STEPS]), 5.0)

    assert found.slope.tolist() == pytest.approx([0.6, -0.4])
    assert (found.p < 1e-6).all()
    assert found.significant().tolist() == [True, True]


def test_a_third_of_wild_values_changes_little() -> None:
    """One spike must not turn a trend round."""
    values = np.stack([0.5 * STEPS + RNG.normal(0, 0.1, 60)])
    values[0, ::4] += 1000.0 * RNG.normal(0, 1, 15)

    assert trends(values, 1.0).slope[0] == pytest.approx(0.5, rel=0.1)


def test_what_never_moves_has_no_trend() -> None:
    """All values equal: nothing speaks for a rise."""
    found = trends(np.full((1, 60), 7.0), 1.0)

    assert (found.slope[0], found.p[0], bool(found.significant()[0])) == (0.0, 1.0, False)


def test_too_few_values_are_unknown() -> None:
    """A trend of a handful of values is a guess, and gaps are no values."""
    values = np.full((2, 60), np.nan)
    values[0, : MIN_SAMPLES - 1] = np.arange(MIN_SAMPLES - 1)

    found = trends(values, 1.0)

    assert np.isnan(found.slope).all()
    assert not found.significant().any()
    assert found.n.tolist() == [MIN_SAMPLES - 1, 0]


def test_gaps_do_not_change_a_slope() -> None:
    """Missing values are left out; the time between the others counts."""
    values = np.stack([2.0 * STEPS])
    values[0, 5:30:2] = np.nan

    assert trends(values, 1.0).slope[0] == pytest.approx(2.0)


def test_a_shift_changes_nothing_and_a_scale_scales() -> None:
    """Bytes or megabytes, the same trend is found."""
    values = RNG.normal(0, 1, (20, 60)) + 0.02 * STEPS
    plain, moved = trends(values, 5.0), trends(1000.0 * values + 5e6, 5.0)

    assert moved.slope == pytest.approx(1000.0 * plain.slope, rel=1e-6)
    assert moved.p == pytest.approx(plain.p, rel=1e-6)


@pytest.mark.parametrize("correlation", [0.0, 0.6], ids=["white noise", "neighbours alike"])
def test_chance_is_seldom_called_a_trend(correlation: float) -> None:
    """One in twenty by its level; without the correction a queue that breathes would rise four times as often."""
    values = alike(400, correlation)

    assert (trends(values, 5.0).p < 0.05).mean() < 0.09


def test_of_many_findings_few_are_false() -> None:
    """Where hundreds of series go nowhere hardly one is reported, and a real one still is."""
    values = alike(300, 0.0)
    values[0] += 0.2 * STEPS

    found = trends(values, 5.0).significant()

    assert found[0]
    assert found.sum() <= 3
    assert discoveries(np.array([np.nan, 0.9])).tolist() == [False, False]


def test_quantiles_are_those_of_numpy() -> None:
    """Gaps are left out, an empty row has none."""
    values = RNG.normal(0, 1, (50, 30))
    values[RNG.random(values.shape) < 0.3] = np.nan
    values[3] = np.nan
    rest = np.delete(values, 3, axis=0)

    found = row_quantile(values, 0.3)

    assert np.isnan(found[3])
    assert np.delete(found, 3) == pytest.approx(np.nanquantile(rest, 0.3, axis=1))


def test_autocorrelation_is_hardly_biased() -> None:
    """Short rows would seem less alike than they are."""
    assert autocorrelation(alike(400, 0.6)).mean() == pytest.approx(0.6, abs=0.06)
    assert autocorrelation(np.full((1, 60), 3.0)).tolist() == [0.0]


def test_a_grid_takes_the_last_of_a_cell_and_leaves_out_what_lies_outside() -> None:
    """Samples come when they come."""
    grid = on_grid(
        np.array([0, 0, 1, 1, 1]), np.array([100.0, 104.0, 112.0, 99.0, 130.0]), np.array([1.0, 2.0, 3.0, 9.0, 9.0]),
        n_rows=2, start=100.0, step=10.0, columns=3,
    )  # fmt: skip

    assert np.array_equal(grid, [[2.0, np.nan, np.nan], [np.nan, 3.0, np.nan]], equal_nan=True)
