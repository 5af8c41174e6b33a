"""Samples as tables: what is newest, and what is remembered of layouts."""

from __future__ import annotations

import numpy as np
import pytest

from subsystems.telemetry.samples import Sample
from subsystems.telemetry.tables import Remembered, Table, table_of

NAMES = [("a", "x", ""), ("a", "y", "")]


def table(codes: list[int], at: list[float], values: list[float]) -> Table:
    return Table(NAMES, np.array(codes, np.int32), np.array(at), np.array(values), [{}, {}])


@pytest.mark.parametrize(
    ("codes", "at", "values"),
    [
        pytest.param([0, 0, 1, 1], [1.0, 2.0, 1.0, 2.0], [9, 1, 9, 2], id="series after series"),
        pytest.param([0, 1, 0, 1], [1.0, 1.0, 2.0, 2.0], [9, 9, 1, 2], id="moment after moment"),
        pytest.param([0, 0, 1, 1], [2.0, 1.0, 2.0, 1.0], [1, 9, 2, 9], id="newest first"),
        pytest.param([1, 0, 1, 0], [2.0, 2.0, 1.0, 1.0], [2, 1, 9, 9], id="in no order"),
        pytest.param([0, 1, 0, 1, 1], [2.0, 2.0, 2.0, 1.0, 2.0], [9, 9, 1, 9, 2], id="twice the same moment"),
    ],
)
def test_the_newest_of_each_series_is_found_in_any_order(
    codes: list[int], at: list[float], values: list[float]
) -> None:
    """A dashboard must not jump back because an agent sent its backlog."""
    found = list(table(codes, at, values).newest())

    assert found == [(0, 2.0, 1.0), (1, 2.0, 2.0)]


def test_what_was_refused_is_not_the_newest() -> None:
    """A sample from the future would hide what is true now."""
    found = table([0, 0], [1.0, 9.0], [1, 2]).newest(np.array([True, False]))

    assert list(found) == [(0, 1.0, 1.0)]


def test_an_index_counts_over_all_sources_and_skips_what_was_no_number() -> None:
    """The sender of a batch must find the sample that a rejection means."""
    batches = {"a": [Sample("x", 1.0, 1.0), Sample("x", 1.0, "1")], "b": [], "c": [Sample("x", 1.0, 2.0)]}  # type: ignore[arg-type]

    found = table_of(batches)

    assert [each.index for each in found.rejected] == [1]
    assert [found.index(place) for place in range(len(found))] == [0, 2]
    assert list(found.names) == [("a", "x", ""), ("c", "x", "")]


def test_what_is_remembered_is_bounded_by_number_and_size() -> None:
    """Whoever sends another layout each time must not fill the memory."""
    remembered: Remembered[str] = Remembered(max_items=3, max_size=100)

    for n in range(4):
        remembered.keep(n, str(n), 20)
    remembered.get(1)
    remembered.keep("large", "large", 70)
    remembered.keep("too large", "too large", 101)

    kept = [key for key in [0, 1, 2, 3, "large", "too large"] if remembered.get(key)]
    assert kept == [1, "large"]
