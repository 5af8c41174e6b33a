"""Forecasts of many series, their intervals, and what is said of their worth."""

from __future__ import annotations

import numpy as np
import pytest

from subsystems.s4_intelligence.forecasting import ENSEMBLE, MIN_SAMPLES, NAIVE, Forecasts, forecast
from subsystems.s4_intelligence.smoothing import holt, line

RNG = np.random.default_rng(3)
HOURS = np.arange(24 * 21 + 24)


def shares_held(found: Forecasts, came: np.ndarray) -> tuple[float, float]:
    in80 = (came >= found.low80) & (came <= found.high80)
    in95 = (came >= found.low95) & (came <= found.high95)
    return float(in80.mean()), float(in95.mean())


def test_a_straight_line_goes_on() -> None:
    """Nothing is easier, and naive is beaten by far."""
    found = forecast(np.stack([2.0 * np.arange(120) + 5.0]), horizon=10)

    assert found.mean[0] == pytest.approx(2.0 * np.arange(120, 130) + 5.0, rel=0.02)
    assert found.used[0] == ENSEMBLE
    assert found.skill[0] > 0.8


def test_a_season_is_learnt() -> None:
    """The day comes back, with its noise as the width of the interval."""
    values = 50 + 20 * np.sin(2 * np.pi * HOURS / 24) + RNG.normal(0, 2, (40, len(HOURS)))
    past, came = values[:, :-24], values[:, -24:]

    found = forecast(past, horizon=24, periods=(24, 168))

    assert np.abs(found.mean - came).mean() < 2.2
    assert (found.skill > 0.6).all()
    in80, in95 = shares_held(found, came)
    assert in80 == pytest.approx(0.8, abs=0.09)
    assert in95 == pytest.approx(0.95, abs=0.05)


def test_of_a_random_walk_nothing_is_claimed() -> None:
    """Where naive is the best that can be done it is used and said to be, and its intervals widen with time."""
    values = RNG.normal(0, 1, (300, 360)).cumsum(axis=1)
    past, came = values[:, :300], values[:, 300:]

    found = forecast(past, horizon=60)

    naive = found.used == NAIVE
    assert naive.mean() > 0.3
    assert found.mean[naive] == pytest.approx(np.repeat(past[naive, -1:], 60, axis=1))
    assert np.nanmean(found.skill) < 0.05
    assert ((found.high80 - found.low80)[:, -1] > 2 * (found.high80 - found.low80)[:, 0]).mean() > 0.9
    in80, in95 = shares_held(found, came)
    assert in80 == pytest.approx(0.8, abs=0.08)
    assert in95 == pytest.approx(0.95, abs=0.05)


def test_what_never_moves_stays_and_nothing_is_said_of_skill() -> None:
    """Naive was never wrong, so there is nothing to be better than."""
    found = forecast(np.full((1, 120), 7.0), horizon=5)

    assert found.mean[0].tolist() == [7.0] * 5
    assert (found.low95[0].tolist(), found.high95[0].tolist()) == ([7.0] * 5, [7.0] * 5)
    assert np.isnan(found.skill[0])
    assert found.used[0] == NAIVE


def test_too_little_past_is_unknown() -> None:
    """No forecast is better than one from a handful of values."""
    values = np.full((2, 100), np.nan)
    values[0, -MIN_SAMPLES + 1 :] = 1.0

    found = forecast(values, horizon=5, periods=(24,))

    assert np.isnan(found.mean).all()
    assert found.used.tolist() == ["", ""]


def test_gaps_and_a_late_beginning_are_borne() -> None:
    """A worker started an hour ago, and was not heard for a while."""
    values = np.stack([np.arange(200.0)])
    values[0, :80] = np.nan
    values[0, 120:130] = np.nan

    found = forecast(values, horizon=10, periods=(24,))

    assert np.isfinite(found.mean).all()
    assert found.mean[0, -1] == pytest.approx(209, abs=6)


def test_forecasts_know_no_unit() -> None:
    """Shifted and scaled series have shifted and scaled forecasts, of the same skill."""
    values = RNG.normal(0, 1, (20, 200)) + 0.05 * np.arange(200)

    plain, moved = forecast(values, horizon=12, periods=(24,)), forecast(1e6 * values + 3e9, horizon=12, periods=(24,))

    assert moved.mean == pytest.approx(1e6 * plain.mean + 3e9, rel=1e-6)
    assert moved.high95 - moved.low95 == pytest.approx(1e6 * (plain.high95 - plain.low95), rel=1e-4)
    assert moved.skill == pytest.approx(plain.skill, abs=1e-6)


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    """Series go side by side for speed alone."""
    values = RNG.normal(0, 1, (300, 90)).cumsum(axis=1)

    together, alone = forecast(values, horizon=6), forecast(values[270:271], horizon=6)

    assert together.mean[270] == pytest.approx(alone.mean[0])
    assert together.high95[270] == pytest.approx(alone.high95[0])


def test_a_queue_is_never_foretold_below_nothing() -> None:
    """What cannot fall below zero does not, in the interval either; where nothing is known of that it may."""
    values = np.stack([np.linspace(50, 1, 100)] * 2)

    found = forecast(values, horizon=20, floor=np.array([0.0, np.nan]), ceiling=np.array([3.0, np.nan]))

    assert found.low95[0].min() == 0.0
    assert found.mean[0].min() >= 0.0
    assert found.high95[0].max() <= 3.0
    assert found.low95[1].min() < 0.0


def test_none_is_none() -> None:
    """A system without series has no forecasts, and no error."""
    assert len(forecast(np.empty((0, 100)), horizon=5, periods=(24,))) == 0


def test_a_line_and_holt_take_times_as_they_come() -> None:
    """The rules of alerts use these two, with samples at uneven times."""
    at = np.array([[0.0, 10.0, 15.0, 40.0, np.nan, 60.0]])
    values = 3.0 * at + 1.0

    assert line(at, values, 100.0)[0] == pytest.approx(301.0)
    assert np.isfinite(holt(at, values, 100.0)[0])
    assert np.isnan(line(at, np.full(at.shape, np.nan), 100.0)[0])
