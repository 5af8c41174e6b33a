"""Rates over resets, quantiles over anything, and whole numbers for decimals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.aggregates import Aggregate, parse, quantiles, rises
from subsystems.telemetry.columns import Pieces, as_pieces, columns, grouped, pieces_of
from subsystems.telemetry.distributions import error_bound, hours_of, of_samples, summed_up, with_hours
from subsystems.telemetry.packed import packed, unpacked
from subsystems.telemetry.scaled import VALUES, restored, scaled


def counted(values: list[float], *, series: int = 1, step: float = 5.0) -> Pieces:
    return as_pieces(columns([series] * len(values), [step * n for n in range(len(values))], values))


def test_a_counter_that_begins_again_counts_on() -> None:
    """A restart of the process is no negative rate."""
    assert rises(counted([10, 14, 3, 5])).sum.tolist() == [0, 4, 3, 2]


def test_series_do_not_rise_from_one_another() -> None:
    """The last value of one is not the first of the next."""
    pieces = pieces_of(np.array([[1, 0, 1, 9, 9, 9, 9], [2, 0, 1, 4, 4, 4, 4], [2, 5, 1, 6, 6, 6, 6]], float))

    assert rises(pieces).sum.tolist() == [0, 0, 2]


@given(st.lists(st.integers(0, 9), min_size=13, max_size=60), st.integers(12, 60))
def test_roll_ups_know_the_rise_of_their_samples_over_a_reset(steps: list[int], reset: int) -> None:
    """One reset after the first minute: what the minutes add up to is what the samples add up to."""
    total = np.cumsum(np.array(steps, float)) + 1_000
    if reset < len(total):
        total[reset:] = np.cumsum(np.array(steps[reset:], float))
    samples = counted(total.tolist())

    by_samples, by_minutes = rises(samples).sum.sum(), rises(grouped(samples, 60)).sum.sum()

    assert by_minutes == by_samples


@given(st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_of_samples_is_numpys(values: list[float], q: float) -> None:
    """Interpolated between the two nearest, as everybody does."""
    groups, found = quantiles(counted(values), 1e9, q)

    assert len(groups) == 1
    assert found[0] == pytest.approx(np.quantile(values, q), abs=1e-9)


def test_a_quantile_of_roll_ups_lies_within_what_they_saw() -> None:
    """An estimate, and called one."""
    minutes = grouped(counted([float(n % 24) for n in range(240)]), 60)
    _, found = quantiles(minutes, 3600, 0.5)

    assert error_bound(minutes) is None
    assert found[0] == pytest.approx(11.5, abs=6)


@pytest.mark.parametrize("text", ["median", "p100", "quantile(2)", "quantile(x)", "", "rate()"])
def test_an_aggregate_that_does_not_exist_is_refused(text: str) -> None:
    """The field is named."""
    with pytest.raises(Invalid) as refused:
        parse(text)

    assert refused.value.field == "agg"


def test_a_quantile_may_be_asked_for_in_two_ways() -> None:
    """As one word for a rule, or with its share beside it for a form."""
    assert parse("quantile(0.95)") == parse("quantile", 0.95) == parse("p95") == Aggregate("quantile", 0.95)


def test_a_quantile_of_sketches_is_within_their_bound() -> None:
    """Minutes are summed up to hours and hours to a day; every quantile stays within one hundredth."""
    values = np.random.default_rng(4).lognormal(0, 2, 4 * 720) - 1
    samples = columns([1] * len(values), 5.0 * np.arange(len(values)), values)
    hours = summed_up(summed_up(of_samples(samples, 60), 300), 3600)

    for q in (0.0, 0.5, 0.95, 0.99, 1.0):
        _, found = quantiles(hours, 86_400, q)
        low, high = np.quantile(values, q, method="lower"), np.quantile(values, q, method="higher")
        assert low - 0.0101 * abs(low) <= found[0] <= high + 0.0101 * abs(high)

    assert error_bound(hours) == 0.01


@given(st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=90), st.sampled_from([7, 20, 60]))
def test_roll_ups_know_quantiles_of_few_values_exactly(values: list[float], every: float) -> None:
    """Equal values and pairs need no sketch, and those among them that do are merged with those that do not."""
    samples = counted(values, step=every)
    own = columns(samples.series.tolist(), samples.at.tolist(), samples.last.tolist())
    hours = summed_up(of_samples(own, 60), 3600)

    _, found = quantiles(hours, 3600, 0.0)
    _, middle = quantiles(hours, 3600, 1.0)

    assert error_bound(hours) is not None
    assert len(hours) == len(found)
    assert found.tolist() == hours.min.tolist()
    assert middle.tolist() == hours.max.tolist()


def test_a_sketch_that_one_part_lacks_the_whole_lacks() -> None:
    """Half known would pass for known."""
    minutes = of_samples(columns([1] * 24, 5.0 * np.arange(24), np.arange(24.0)), 60)
    assert minutes.sketch is not None
    minutes.sketch[0] = None

    hour = summed_up(minutes, 3600)

    assert (hour.sketch, error_bound(hour)) == (None, None)


def test_hours_travel_with_their_last_minutes() -> None:
    """So the archive keeps them, in the file of the minutes."""
    values = np.random.default_rng(4).normal(0, 1, 2 * 1500)
    samples = columns([1] * 1500 + [2] * 1500, np.tile(5.0 * np.arange(1500), 2), values)
    minutes = of_samples(samples, 60)
    hours = summed_up(minutes, 3600)

    found = hours_of(with_hours(replace(minutes, sketch=None), hours))

    assert hours.sketch is not None
    assert found.sketch is not None
    assert found.sketch.tolist() == hours.sketch.tolist()
    assert found.series.tolist() == [1, 1, 1, 2, 2, 2]


rows = st.lists(st.floats(-1e12, 1e12, allow_subnormal=False), min_size=1, max_size=30)


@given(rows, st.integers(0, 7))
def test_whole_numbers_lose_nothing(values: list[float], places: int) -> None:
    """Decimals or not, what comes back is what went in, to the last bit; only sums are smoothed."""
    for given_values in (values, [round(value, places) for value in values]):
        pieces = grouped(counted(given_values), 60)

        found = scaled(pieces)
        none = np.zeros(len(pieces))
        plain = {name: found.plain.get(name, none) for name in VALUES}
        whole = {name: found.whole.get(name, none.astype(np.int64)) for name in VALUES}
        after = restored(whole, pieces.count, np.full(len(pieces), found.places), plain)

        assert after["sum"] == pytest.approx(pieces.sum, rel=1e-12, abs=1e-3)
        for name in ("min", "max", "last"):
            assert after[name].tolist() == getattr(pieces, name).tolist()


def test_what_is_copied_out_is_what_was_copied_in() -> None:
    """PostgreSQL's binary form, without an object for any number."""
    values = np.array([0.1 * n for n in range(100)] + [4.0] * 20)
    pieces = of_samples(columns([1] * 120, 5.0 * np.arange(120), values), 60)

    found = unpacked(packed(pieces), sketches=True)

    assert pieces.sketch is not None
    assert found.sketch is not None
    assert found.series.tolist() == pieces.series.tolist()
    assert found.sum.tolist() == pieces.sum.tolist()
    assert found.sketch.tolist() == pieces.sketch.tolist()
    assert found.sketch[-1] is None
