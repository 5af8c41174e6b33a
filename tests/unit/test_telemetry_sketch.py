"""The quantile sketch keeps its guarantee, alone, merged and read back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid
from subsystems.telemetry import varints
from subsystems.telemetry.sketch import MAX_BINS, Sketch, merged

SHARES = [0.0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0]
numbers = st.one_of(
    st.floats(-1e6, 1e6, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-9),
    st.integers(-3, 3).map(float),
    st.floats(1e-3, 1e5),
)
values = st.lists(numbers, max_size=120)


def exact(observed: list[float], share: float) -> float:
    return sorted(observed)[math.floor(share * (len(observed) - 1))]


def sketch_of(observed: Any, accuracy: float = 0.01) -> Sketch:
    made = Sketch(accuracy)
    made.add_many(observed)
    return made


@given(values.filter(bool), st.sampled_from([0.001, 0.01, 0.05]))
def test_every_quantile_is_within_the_accuracy(observed: list[float], accuracy: float) -> None:
    """The guarantee of DDSketch, for any values: negative, zero, huge, tiny, equal."""
    sketch = sketch_of(observed, accuracy)
    if sketch.collapsed:
        return

    for share, found in zip(SHARES, sketch.quantiles(SHARES), strict=True):
        want = exact(observed, share)
        assert found == pytest.approx(want, rel=accuracy * (1 + 1e-6), abs=1e-12)


@pytest.mark.parametrize("shape", ["lognormal", "pareto", "uniform", "normal"])
def test_long_tails_are_as_accurate_as_any(shape: str) -> None:
    """Durations have tails; a sketch of ranks would miss them by orders of magnitude."""
    rng = np.random.default_rng(3)
    drawn = {
        "lognormal": lambda: rng.lognormal(3, 2, 50_000),
        "pareto": lambda: 1 + rng.pareto(1, 50_000),
        "uniform": lambda: rng.uniform(0, 1, 50_000),
        "normal": lambda: rng.normal(0, 10, 50_000),
    }[shape]()
    want = np.sort(drawn)[np.floor(np.array(SHARES) * (drawn.size - 1)).astype(int)]

    assert sketch_of(drawn).quantiles(SHARES) == pytest.approx(want.tolist(), rel=0.01 * (1 + 1e-6))


@given(values, values, values)
def test_merging_is_what_counting_all_would_have_been(a: list[float], b: list[float], c: list[float]) -> None:
    """Minutes add up to hours and workers to a fleet, in whatever order they come."""
    one, two, three = sketch_of(a), sketch_of(b), sketch_of(c)
    everything = sketch_of(a + b + c)

    assert merged([one, two, three]) == merged([three, merged([two, one])]) == everything
    assert merged([one, two, three]).count == len(a + b + c)
    assert merged([one, two, three]).sum == pytest.approx(sum(a + b + c), abs=1e-6)
    assert one == sketch_of(a)  # merging leaves its parts alone


@given(values)
def test_bytes_come_back_as_they_went(observed: list[float]) -> None:
    """Roll-ups keep sketches for a year; with and without the columns beside them."""
    sketch = sketch_of(observed)
    summary = (sketch.sum, sketch._min, sketch._max)

    assert Sketch.from_bytes(sketch.to_bytes()) == sketch
    assert Sketch.from_bytes(sketch.to_bytes()).sum == sketch.sum
    assert Sketch.from_bytes(sketch.to_bytes(summary=False), summary=summary) == sketch


@given(values)
def test_one_by_one_and_all_at_once_are_the_same(observed: list[float]) -> None:
    """Single values wait in a list; nobody may notice."""
    slow = Sketch()
    for value in observed:
        slow.add(value)

    assert slow.count == len(observed)
    assert slow == sketch_of(observed)
    assert (slow.min, slow.max) == ((min(observed), max(observed)) if observed else (None, None))


def test_a_sketch_of_nothing_says_nothing() -> None:
    """No value is no zero."""
    empty = Sketch()

    assert (empty.quantile(0.5), empty.min, empty.max, empty.mean, empty.count) == (None, None, None, None, 0)
    assert empty.share_at_most(1.0) is None
    assert Sketch.from_bytes(empty.to_bytes()) == empty


def test_memory_is_bounded_and_high_quantiles_stay_right() -> None:
    """Wild values share the lowest bin, which is said, and what hurts (the top) keeps its guarantee."""
    wild = np.geomspace(1e-290, 1e290, 20_000)
    parts = merged(sketch_of(part) for part in np.array_split(wild, 7))
    whole = sketch_of(wild)

    assert whole.collapsed
    assert parts.collapsed
    assert parts == whole
    assert len(whole.to_bytes()) < 5 * MAX_BINS
    assert whole.quantile(0.99) == pytest.approx(wild[int(0.99 * 19_999)], rel=0.011)
    assert whole.count == 20_000


def test_the_greatest_floats_are_values_like_others() -> None:
    """No warning, no infinity but in the sum."""
    sketch = sketch_of([1.7e308, 1.7e308, -1.7e308, 5e-324])

    assert sketch.quantiles([0.0, 1.0]) == pytest.approx([-1.7e308, 1.7e308], rel=0.01)


def test_a_quiet_minute_takes_a_handful_of_bytes() -> None:
    """1440 of them a day: their size is the size of the warm tier."""
    assert len(sketch_of([0.31] * 12).to_bytes(summary=False)) <= 12
    assert len(sketch_of(np.linspace(0.30, 0.32, 12)).to_bytes(summary=False)) <= 25


def test_the_share_below_a_limit_is_the_inverse_of_the_quantile() -> None:
    """For objectives such as 'ninety-five of a hundred within 200 ms'."""
    sketch = sketch_of(np.arange(1, 1001))

    assert sketch.share_at_most(200) == pytest.approx(0.2, abs=0.005)
    assert sketch.share_at_most(0) == 0
    assert sketch.share_at_most(1e9) == 1


@pytest.mark.parametrize(
    ("call", "field"),
    [
        pytest.param(lambda: Sketch(0.9), "accuracy", id="no accuracy to speak of"),
        pytest.param(lambda: Sketch().add(math.nan), "value", id="not a number"),
        pytest.param(lambda: Sketch().add_many([1.0, math.inf]), "values", id="infinite"),
        pytest.param(lambda: Sketch().quantile(1.1), "quantile", id="more than all"),
        pytest.param(lambda: Sketch(0.01).merge(Sketch(0.02)), "accuracy", id="two accuracies"),
        pytest.param(lambda: Sketch.from_bytes(b""), "bytes", id="no bytes"),
    ],
)
def test_bad_input_is_refused_by_name(call: Any, field: str) -> None:
    """The sketch stays as it was."""
    with pytest.raises(Invalid) as error:
        call()

    assert error.value.field == field


@given(st.binary(max_size=80), values)
def test_strange_bytes_are_refused_and_never_more(noise: bytes, observed: list[float]) -> None:
    """Archives rot and strangers send what they like: an error with a name, no memory, no crash."""
    good = sketch_of(observed).to_bytes()
    for raw in (noise, good[: len(good) // 2], good + noise, good[:24] + noise):
        try:
            read = Sketch.from_bytes(raw)
        except Invalid:
            continue
        assert read.count >= 0
        read.quantiles(SHARES)


@given(st.lists(st.integers(0, 2**63 - 1)))
def test_whole_numbers_come_back_from_their_bytes(listed: list[int]) -> None:
    """LEB128, all of an array at once."""
    array = np.array(listed, np.int64)

    assert varints.decode(varints.encode(array)).tolist() == listed
    signed = (array >> 1) * np.where(array & 1, -1, 1)
    assert varints.unzigzag(varints.decode(varints.encode(varints.zigzag(signed)))).tolist() == signed.tolist()
