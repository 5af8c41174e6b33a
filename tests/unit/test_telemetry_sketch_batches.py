"""Sketches made and merged by the thousand are those that are made one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.sketch import Sketch, merged
from subsystems.telemetry.sketch_batches import merge_packed, pack_groups

ANY = (0.0, -1.0, 1.0)
numbers = st.one_of(st.floats(-1e9, 1e9), st.integers(-2, 2).map(float), st.floats(1e-3, 1e3), st.just(1e-305))
groups = st.lists(st.lists(numbers, min_size=1, max_size=15), min_size=1, max_size=8)


def one_by_one(group: list[float], accuracy: float = 0.01) -> bytes:
    sketch = Sketch(accuracy)
    sketch.add_many(group)
    return sketch.to_bytes(summary=False)


def starts_of(parts: list[Any]) -> Any:
    return np.cumsum([0, *map(len, parts)])[:-1]


@given(groups, st.sampled_from([0.01, 0.02]))
def test_many_groups_give_the_bytes_of_each(parts: list[list[float]], accuracy: float) -> None:
    """Collapsed ones and empty sides included."""
    packed = pack_groups(np.concatenate(parts), starts_of(parts), accuracy=accuracy)

    assert packed == [one_by_one(part, accuracy) for part in parts]


@given(st.lists(groups, min_size=1, max_size=4))
def test_many_merges_give_the_bytes_of_each(hours: list[list[list[float]]]) -> None:
    """An hour of minutes, for all series at once."""
    raws = [one_by_one(part) for parts in hours for part in parts]

    found = merge_packed(raws, starts_of(hours))

    expected = [merged(Sketch.from_bytes(one_by_one(part), summary=ANY) for part in parts) for parts in hours]
    assert found == [sketch.to_bytes(summary=False) for sketch in expected]


def test_nothing_makes_nothing() -> None:
    """A minute without samples is no error."""
    assert pack_groups(np.zeros(0), np.zeros(0, np.intp)) == []
    assert merge_packed([], np.zeros(0, np.intp)) == []


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=4), groups)
def test_strange_bytes_are_refused(noise: list[bytes], parts: list[list[float]]) -> None:
    """One rotten row must not poison the others unseen, nor take the process down."""
    good = [one_by_one(part) for part in parts]
    for raws in (noise, good + noise, [good[0][:-1]], [good[0] + noise[0]]):
        try:
            found = merge_packed(raws, np.zeros(1, np.intp))
        except Invalid:
            continue
        assert Sketch.from_bytes(found[0], summary=ANY).count >= 0


TWO_ACCURACIES = [one_by_one([1.0]), one_by_one([1.0], 0.02)]


@pytest.mark.parametrize(
    ("call", "field"),
    [
        pytest.param(lambda: pack_groups(np.array([np.nan]), np.array([0])), "values", id="not a number"),
        pytest.param(lambda: pack_groups(np.ones(3), np.array([1])), "starts", id="a beginning left out"),
        pytest.param(lambda: pack_groups(np.ones(3), np.array([0, 0])), "starts", id="an empty group"),
        pytest.param(lambda: pack_groups(np.ones(3), np.array([0, 3])), "starts", id="a group past the end"),
        pytest.param(lambda: merge_packed(TWO_ACCURACIES, np.array([0])), "bytes", id="two accuracies"),
    ],
)
def test_bad_input_is_refused_by_name(call: Any, field: str) -> None:
    """Before anything is written."""
    with pytest.raises(Invalid) as error:
        call()

    assert error.value.field == field
