"""What is unusual, and what is only noise."""

from __future__ import annotations

import numpy as np
import pytest

from subsystems.s4_intelligence.anomalies import BEYOND, MIN_PAST, NOMINAL, detect, robust_z, season
from subsystems.s4_intelligence.grids import seasonal_in

RNG = np.random.default_rng(5)


def found(values: np.ndarray, name: str, period: int = 0) -> list[bool]:
    return next(score.found.tolist() for score in detect(values, period=period) if score.name == name)


def test_noise_is_no_anomaly() -> None:
    """A thousand series that are well must not cry every minute: one in ten thousand is what a limit allows."""
    values = RNG.normal(0, 1, (10_000, 120))

    for score in detect(values):
        assert score.found.mean() <= 6 * NOMINAL, score.name


def test_a_spike_is_seen_at_once() -> None:
    """Up or down, among others that are well."""
    values = RNG.normal(0, 1, (3, 120))
    values[0, -1], values[1, -1] = 9.0, -9.0

    assert found(values, "spike") == [True, True, False]


def test_a_spike_in_the_past_hides_nothing() -> None:
    """The median does not follow outliers, so the next one is seen too."""
    values = RNG.normal(0, 1, (1, 120))
    values[0, 50:55], values[0, -1] = 50.0, 9.0

    assert found(values, "spike") == [True]


def test_a_small_lasting_shift_is_seen_by_the_sums() -> None:
    """No single value is unusual, all of them together are."""
    values = RNG.normal(0, 1, (200, 120))
    values[:, -20:] += 2.0

    assert np.mean(found(values, "spike")) < 0.1
    assert np.mean(found(values, "shift")) > 0.8
    assert np.mean(found(values, "drift")) > 0.8


def test_one_wild_value_is_no_shift() -> None:
    """A sum that one value could fill would call every spike a shift."""
    values = RNG.normal(0, 1, (100, 120))
    values[:, -1] = 1e6

    assert np.mean(found(values, "shift")) < 0.02


def test_the_time_of_day_is_no_anomaly_but_its_absence_is() -> None:
    """A nightly job is usual at night."""
    hours = np.arange(24 * 14)
    values = np.stack([10.0 * (hours % 24 == 23)] * 2) + RNG.normal(0, 0.3, (2, len(hours)))
    values[1, -1] = 0.0

    assert found(values, "season", 24) == [False, True]
    assert np.isnan(season(values[:, : 24 * 3], 24)).all()
    [seen] = seasonal_in(values, 24)
    assert (seen.row, seen.name, seen.value) == (1, "season", 0.0)
    assert seen.usual == pytest.approx(10, abs=0.5)


def test_a_series_that_never_moved_and_now_does() -> None:
    """There is no spread to measure by; leaving a straight line is as far as it goes."""
    values = np.full((2, 120), 4.0)
    values[1, -1] = 4.1

    scores = {score.name: score.values.tolist() for score in detect(values)}

    assert scores["spike"] == [0.0, BEYOND]


def test_a_short_past_and_a_gap_are_unknown() -> None:
    """Unknown is not well: no score at all."""
    values = RNG.normal(0, 1, (2, 120))
    values[0, :-MIN_PAST] = np.nan
    values[1, -1] = np.nan

    for score in detect(values):
        assert np.isnan(score.values).all(), score.name
        assert not score.found.any()


def test_scores_know_no_unit() -> None:
    """Shifted and scaled, the same is unusual."""
    values = RNG.normal(0, 1, (30, 120))

    for plain, moved in zip(detect(values), detect(0.001 * values - 700.0), strict=True):
        assert moved.values == pytest.approx(plain.values, rel=1e-4, abs=1e-6)


def test_robust_z_is_in_deviations() -> None:
    """Of a normal past, about what a z score would be."""
    past = RNG.normal(10, 2, (1, 5_000))

    assert robust_z(np.array([16.0]), past)[0] == pytest.approx(3.0, abs=0.15)
    assert np.isnan(robust_z(np.array([np.nan]), past))[0]
