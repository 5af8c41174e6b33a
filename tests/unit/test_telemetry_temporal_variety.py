"""Sliding windows of eight lengths agree with plain counting, forget in time, and know trend and drift."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.temporal_variety import (
    BUCKETS,
    HISTORY,
    SCALES,
    Direction,
    ScaleVariety,
    TemporalVariety,
    trend_of,
)

NOON = 1_790_000_400.0 // 2_592_000 * 2_592_000  # where windows of every scale begin


def at_scale(windows: TemporalVariety, scale: str, now: float) -> ScaleVariety:
    return next(each for each in windows.reading(now=now) if each.scale == scale)


def test_the_scales_reach_from_a_second_to_a_month() -> None:
    """A controller that matches the minute may miss the week."""
    assert [each.scale for each in TemporalVariety().reading(now=NOON)] == list(SCALES)
    assert list(SCALES) == ["1s", "10s", "1m", "5m", "1h", "1d", "1w", "1mo"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 2_400)), max_size=60), st.integers(1, 6))
def test_a_window_holds_what_a_plain_loop_would_count(events: list[tuple[str, int]], batches: int) -> None:
    """For any order and any batches, to the width of one bucket."""
    events = [(name, NOON + tenth / 4) for name, tenth in events]
    now = NOON + 600
    windows = TemporalVariety(scales=["1m", "5m"])
    for part in range(batches):
        some = events[part::batches]
        windows.observe([name for name, _ in some], [at for _, at in some], now=now)

    for scale in ("1m", "5m"):
        width = SCALES[scale] / BUCKETS
        since = (now // width - BUCKETS + 1) * width
        expected = Counter(name for name, at in events if at >= since)
        assert at_scale(windows, scale, now).variety.sample_size == sum(expected.values())
        assert at_scale(windows, scale, now).variety.observed_states == len(expected)


def test_each_scale_sees_its_own_variety() -> None:
    """One state in any second, four in any minute: steady from near, varied from afar."""
    at = NOON + np.arange(0, 3600, 0.05)
    names = ["abcd"[int(moment) % 4] for moment in at]
    windows = TemporalVariety(scales=["1s", "1m", "1h"])
    windows.observe(names, at, now=NOON + 3600)

    second, minute, hour = windows.reading(now=NOON + 3599.96)

    assert second.variety.bits == 0.0
    assert minute.variety.bits == pytest.approx(2.0, abs=0.01)
    assert (hour.covered, minute.covered) == (pytest.approx(1.0, abs=0.001), 1.0)


def test_a_window_forgets_what_is_past() -> None:
    """What is quiet now is not varied because it was an hour ago."""
    windows = TemporalVariety(scales=["1m", "1h"])
    windows.observe(list("abcd") * 10, [NOON] * 40, now=NOON)

    minute, hour = windows.reading(now=NOON + 120)

    assert (minute.variety.bits, minute.variety.sample_size) == (None, 0)
    assert hour.variety.bits == 2.0
    assert hour.covered == pytest.approx(120 / 3600)


def test_a_wrong_clock_cannot_empty_the_windows() -> None:
    """One sample from next year would push everything out."""
    windows = TemporalVariety(scales=["1m"])

    taken = windows.observe(["a", "b", "c"], [NOON, NOON + 1e8, NOON + 1], now=NOON)

    assert (taken, windows.refused, windows.codebook.names[1:]) == (2, 1, ["a", "c"])
    assert at_scale(windows, "1m", NOON + 1).variety.sample_size == 2


def test_late_observations_count_where_they_still_belong() -> None:
    """Too late for the minute is in time for the hour."""
    windows = TemporalVariety(scales=["1m", "1h"])
    windows.observe(["a"], [NOON + 600], now=NOON + 600)
    windows.observe(["b"], [NOON], now=NOON + 600)

    assert [each.variety.observed_states for each in windows.reading(now=NOON + 600)] == [1, 2]
    assert windows.to_wire()["scales"]["1m"]["late"] == 1


def test_a_window_closes_once_however_late_its_last_states() -> None:
    """A reader closes it, a straggler must not make a second entry of the history."""
    windows = TemporalVariety(scales=["1m"])
    windows.observe(["a", "b"], [NOON, NOON + 1], now=NOON + 1)
    windows.reading(now=NOON + 61)
    windows.observe(["c"], [NOON + 59], now=NOON + 61)
    windows.observe(["d"], [NOON + 121], now=NOON + 121)

    assert at_scale(windows, "1m", NOON + 190).trend.windows == 2


def test_memory_is_bounded_in_states_and_in_time() -> None:
    """A stream of new names for a day leaves a table of fixed size."""
    windows = TemporalVariety(limit=16)
    for minute in range(200):
        names = [f"state {minute * 50 + n}" for n in range(50)]
        windows.observe(names, [NOON + 60 * minute] * 50, now=NOON + 60 * minute)

    assert len(windows.codebook) == 17
    assert windows.codebook.overflow == 200 * 50 - 16
    for each in windows._windows.values():
        assert each._counts.size <= BUCKETS * 32
        assert len(each.history) <= HISTORY


def test_a_growing_variety_is_told_as_a_trend() -> None:
    """A new kind of task every minute, for a quarter of an hour."""
    windows = TemporalVariety(scales=["1m"])
    for minute in range(15):
        names = [f"task {n % (minute + 1)}" for n in range(60)]
        windows.observe(names, NOON + 60 * minute + np.arange(60.0), now=NOON + 60 * minute + 59)

    trend = at_scale(windows, "1m", NOON + 900).trend

    assert (trend.direction, trend.windows) == (Direction.RISING, 15)
    assert trend.bits_per_window == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize(
    ("bits", "direction"),
    [
        pytest.param([1.0] * 20, Direction.STEADY, id="constant"),
        pytest.param([1.0, 1.2] * 10, Direction.STEADY, id="to and fro"),
        pytest.param([2.0 - n / 10 for n in range(12)], Direction.FALLING, id="falling"),
        pytest.param([0.0] * 6 + [9.0] * 2, Direction.STEADY, id="a late jump is no trend yet"),
        pytest.param([1.0, 2.0, 3.0], Direction.INSUFFICIENT_DATA, id="three windows"),
    ],
)
def test_trends(bits: list[float], direction: Direction) -> None:
    """Ranks, so that one odd window decides nothing."""
    assert trend_of(bits).direction is direction


def drifting(states_of: Any) -> ScaleVariety:
    """Twenty minutes of states, drawn per minute."""
    rng = np.random.default_rng(5)
    windows = TemporalVariety(scales=["1m"])
    for minute in range(20):
        names = [str(each) for each in states_of(rng, minute)]
        windows.observe(names, NOON + 60 * minute + np.linspace(0, 59.9, 300), now=NOON + 60 * minute + 59.9)
    return at_scale(windows, "1m", NOON + 1199.9)


def test_states_that_change_their_shares_have_drifted() -> None:
    """The variety is the same, and yet nothing is as it was: only the divergence shows it."""
    swapped = drifting(
        lambda rng, minute: rng.choice(4, 300, p=[0.7, 0.1, 0.1, 0.1] if minute < 19 else [0.1, 0.7, 0.1, 0.1])
    )
    steady = drifting(lambda rng, minute: rng.choice(4, 300, p=[0.7, 0.1, 0.1, 0.1]))

    assert swapped.drift.drifted is True
    assert swapped.drift.divergence_bits == pytest.approx(0.6 * np.log2(7), abs=0.4)
    assert steady.drift.drifted is False
    assert steady.trend.direction is Direction.STEADY


def test_drift_is_not_judged_without_a_past() -> None:
    """The first minute differs from nothing."""
    windows = TemporalVariety(scales=["1m"])
    windows.observe(list("ab") * 30, [NOON] * 60, now=NOON)

    drift = at_scale(windows, "1m", NOON).drift

    assert (drift.divergence_bits, drift.drifted, drift.reference_size) == (None, None, 0.0)


def test_a_restart_goes_on_where_it_was() -> None:
    """A month of states outlives every process."""
    windows = TemporalVariety(limit=8)
    rng = np.random.default_rng(2)
    names = [f"s{n}" for n in rng.integers(0, 12, 4_000)]
    windows.observe(names, NOON + np.sort(rng.uniform(0, 900, 4_000)), now=NOON + 900)

    read = TemporalVariety.from_wire(json.loads(json.dumps(windows.to_wire())))

    assert read.to_wire() == windows.to_wire()
    assert [each.to_wire() for each in read.reading(now=NOON + 901)] == [
        each.to_wire() for each in windows.reading(now=NOON + 901)
    ]


@pytest.mark.parametrize(
    ("call", "field"),
    [
        pytest.param(lambda w: w.observe(["a"], [1.0, 2.0], now=NOON), "at", id="a time too many"),
        pytest.param(lambda w: w.observe(["a"], [float("nan")], now=NOON), "at", id="no time"),
        pytest.param(lambda w: w.observe(["a"], [-1.0], now=NOON), "at", id="before the epoch"),
        pytest.param(lambda w: TemporalVariety(scales=["2m"]), "scale", id="a scale that is none"),
        pytest.param(lambda w: TemporalVariety.from_wire({"limit": 4}), "windows", id="half a body"),
    ],
)
def test_bad_input_is_refused_by_name(call: Any, field: str) -> None:
    """And changes nothing."""
    with pytest.raises(Invalid) as error:
        call(TemporalVariety())

    assert error.value.field == field
