"""Dividing what there is: the properties that anybody who bargains relies on, against brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.s2_coordination.dividing import shares, whole_shares

amount = st.floats(0, 1000, allow_nan=False).map(lambda value: round(value, 3))
claim = st.tuples(amount, amount, st.floats(0.1, 20).map(lambda value: round(value, 2)))
claims = st.lists(claim, max_size=12)
few = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(1, 4)), min_size=1, max_size=4)


def columns(rows: list[tuple[float, float, float]]) -> tuple[list[float], list[float], list[float]]:
    """Return floors, caps and weights, as a pool hands them in: no floor above its cap."""
    return [min(a, b) for a, b, _ in rows], [b for _, b, _ in rows], [w for _, _, w in rows]


@given(claims, st.floats(0, 4000))
def test_a_division_keeps_its_bounds_and_leaves_nothing_while_somebody_asks(rows: list, capacity: float) -> None:
    """Never more than there is; guarantees are kept where they can be; nobody starves beside what is left over."""
    floors, caps, weights = columns(rows)

    for found, total, high, low in (
        (shares(capacity, floors, caps, weights), capacity, np.asarray(caps), np.asarray(floors)),
        (whole_shares(capacity, floors, caps, weights), np.floor(capacity), np.floor(caps), np.ceil(floors)),
    ):
        assert found.sum() <= total + 1e-6
        assert ((found >= 0) & (found <= high + 1e-6)).all()
        assert found.sum() == pytest.approx(min(total, high.sum()), abs=1e-6)
        if np.minimum(low, high).sum() <= total:
            assert (found >= np.minimum(low, high) - 1e-6).all()


@given(claims, st.floats(0, 4000))
def test_nobody_could_have_more_without_taking_from_who_has_less(rows: list, capacity: float) -> None:
    """The definition of weighted max-min fairness, checked for every pair, with floors where they can be kept."""
    floors, caps, weights = columns(rows)
    low = np.asarray(floors) if sum(floors) <= capacity else np.zeros(len(floors))
    high = np.asarray(caps) if sum(floors) <= capacity else np.asarray(floors)

    found = shares(capacity, floors, caps, weights)

    levels = found / np.asarray(weights) if len(rows) else found
    for one, other in product(range(len(rows)), repeat=2):
        could_take, could_give = found[one] < high[one] - 1e-6, found[other] > low[other] + 1e-6
        assert not (could_take and could_give and levels[one] < levels[other] - 1e-6)


@given(few, st.integers(0, 12))
def test_whole_units_are_divided_as_every_division_tried_would_say(rows: list, capacity: int) -> None:
    """All divisions of a small pool are tried: none that gives as much away has a smaller sum of x²/weight."""
    floors, caps, weights = columns(rows)
    low = floors if sum(floors) <= capacity else [0.0] * len(floors)
    high = caps if sum(floors) <= capacity else floors
    goal = min(capacity, sum(high))
    every = product(*(range(int(a), int(b) + 1) for a, b in zip(low, high, strict=True)))
    best = min(
        sum(x * x / w for x, w in zip(tried, weights, strict=True)) for tried in every if sum(tried) == goal
    )  # fmt: skip

    found = whole_shares(capacity, floors, caps, weights)

    assert sum(x * x / w for x, w in zip(found, weights, strict=True)) == pytest.approx(best)


@given(st.permutations(range(6)), st.lists(claim, min_size=6, max_size=6), st.floats(0, 4000))
def test_who_comes_first_does_not_matter(order: list[int], rows: list, capacity: float) -> None:
    """The same requests in another order get the same; of whole units ties go by the order that is said."""
    floors, caps, weights = columns(rows)
    mixed = columns([rows[place] for place in order])

    parts, whole = shares(capacity, floors, caps, weights), whole_shares(capacity, floors, caps, weights)

    assert shares(capacity, *mixed) == pytest.approx(parts[order])
    assert whole_shares(capacity, *mixed, order=order).tolist() == whole[order].tolist()


@pytest.mark.parametrize(
    ("capacity", "rows", "parts", "whole"),
    [
        pytest.param(10, [(0, 2, 1), (0, 8, 1), (0, 10, 1)], [2, 4, 4], [2, 4, 4], id="max-min of the textbook"),
        pytest.param(9, [(0, 9, 2), (0, 9, 1)], [6, 3], [6, 3], id="by weight"),
        pytest.param(10, [(6, 9, 1), (0, 9, 1)], [6, 4], [6, 4], id="a guarantee above the fair share"),
        pytest.param(6, [(6, 9, 1), (6, 9, 1)], [3, 3], [3, 3], id="guarantees that cannot all be kept"),
        pytest.param(7, [(0, 9, 1), (0, 9, 1)], [3.5, 3.5], [4, 3], id="the last unit to who is first"),
        pytest.param(5, [(0, 9, 0), (0, 3, 1)], [0, 3], [0, 3], id="no weight, no share"),
        pytest.param(5, [], [], [], id="nobody asks"),
        pytest.param(0, [(1, 5, 1)], [0], [0], id="nothing to divide"),
    ],
)
def test_a_division_as_in_the_textbook(capacity: float, rows: list, parts: list, whole: list) -> None:
    """The cases that people check by hand."""
    given_ = columns(rows)

    assert shares(capacity, *given_).tolist() == pytest.approx(parts)
    assert whole_shares(capacity, *given_).tolist() == whole
