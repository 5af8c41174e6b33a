"""Grouping in columns gives what a plain loop would give."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from subsystems.telemetry.columns import Pieces, as_pieces, better, columns, grouped, joined, joined_in_time

rows = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 400).map(float), st.integers(-50, 50).map(float)), max_size=60
)


def pieces_of(series: list[int], at: list[float], counts: list[float]) -> Pieces:
    """Roll-ups of ones."""
    ones = np.ones(len(series))
    n = np.array(counts)
    return Pieces(np.array(series, np.int64), np.array(at), n, n, ones, ones, ones)


@given(rows)
def test_grouping_agrees_with_a_plain_loop(samples: list[tuple[int, float, float]]) -> None:
    """Roll-ups are what remains of samples for a week; they have to be right for any mixture."""
    expected: dict[tuple[int, float], list[float]] = defaultdict(list)
    for series, at, value in sorted(samples, key=lambda row: (row[0], row[1])):
        expected[series, at // 60 * 60].append(value)

    found = grouped(as_pieces(columns(*zip(*samples, strict=True)).ordered() if samples else columns([], [], [])), 60)

    assert list(zip(found.series.tolist(), found.at.tolist(), strict=True)) == sorted(expected)
    for place, key in enumerate(sorted(expected)):
        values = expected[key]
        assert found.count[place] == len(values)
        assert (found.sum[place], found.min[place], found.max[place]) == (sum(values), min(values), max(values))
        assert found.last[place] == values[-1]


def test_the_average_of_roll_ups_is_weighted_by_their_counts() -> None:
    """An average of averages is the classic lie of roll-ups."""
    one = Pieces(*(np.array([x]) for x in (1, 0.0, 1.0, 10.0, 10.0, 10.0, 10.0)))
    three = Pieces(*(np.array([x]) for x in (1, 60.0, 3.0, 6.0, 2.0, 2.0, 2.0)))
    both = Pieces(*(np.concatenate(pair) for pair in zip(one._fields(), three._fields(), strict=True)))

    assert grouped(both, 120).aggregated("avg").tolist() == [4.0]


def test_each_minute_comes_from_the_tier_that_saw_more_of_it() -> None:
    """After a restart the first minutes are only in the roll-ups, the latest only in memory; none may count twice."""
    hot = columns([1] * 3, [61.0, 62.0, 125.0], [1.0] * 3)
    warm = pieces_of([1, 1, 1], [0.0, 60.0, 120.0], [5.0, 2.0, 4.0])

    samples, rollups = better(hot, warm)

    assert samples.at.tolist() == [61.0, 62.0]
    assert rollups.at.tolist() == [0.0, 120.0]


def test_series_are_not_mixed_when_tiers_are_joined() -> None:
    """Two series share each minute; the choice is made for each of them."""
    hot = columns([1, 2], [10.0, 10.0], [1.0, 1.0])
    warm = pieces_of([1, 2], [0.0, 0.0], [1.0, 9.0])

    samples, rollups = better(hot, warm)

    assert samples.series.tolist() == [1]
    assert rollups.series.tolist() == [2]


@given(st.lists(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 59)), max_size=8), max_size=5), st.booleans())
def test_parts_that_follow_each_other_are_joined_as_if_sorted(minutes: list[list[tuple[int, int]]], even: bool) -> None:
    """Whether each minute has as many samples of every series or not, nothing is lost or out of order."""
    if even:
        minutes = [[(series, at) for series in (1, 2, 3) for _, at in minute] for minute in minutes]
    parts = [
        columns([row[0] for row in minute], [60.0 * n + row[1] for row in minute], [float(row[1]) for row in minute])
        for n, minute in enumerate(minutes)
    ]

    found, expected = joined_in_time([part.ordered() for part in parts]), joined(parts)

    assert found.series.tolist() == expected.series.tolist()
    assert found.at.tolist() == expected.at.tolist()
    assert found.values.tolist() == expected.values.tolist()
