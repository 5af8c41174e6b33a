"""Each moment of a range is answered by exactly one tier, and by the right one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.telemetry.ranges import COLD, RECENT, WARM, Part, Reach, missing_before, parts
from subsystems.telemetry.steps import DAY, floor

NOW = 20_000 * DAY + 43_200
MIDNIGHT = 20_000 * DAY


def reach(*, moved: range = range(0), archived_from: float = math.inf) -> Reach:
    recent = floor(NOW - 7200, 3600)
    return Reach(
        NOW, recent, floor(NOW - 7 * DAY, DAY), frozenset(MIDNIGHT + day * DAY for day in moved), archived_from
    )


def answered(start: float, end: float, step: float, where: Reach) -> list[tuple[str, int]]:
    return [(part.tier, part.step_seconds) for part in parts(start, end, step, where)]


@pytest.mark.parametrize(
    ("start", "step", "expected"),
    [
        pytest.param(NOW - 3600, 5, [(RECENT, 60)], id="the last hour"),
        pytest.param(NOW - 3 * DAY, 60, [(WARM, 60), (RECENT, 60)], id="three days by the minute"),
        pytest.param(NOW - 3 * DAY, 3600, [(WARM, 3600), (RECENT, 60)], id="three days by the hour"),
        pytest.param(NOW - 3 * DAY, 900, [(WARM, 300), (RECENT, 60)], id="three days by the quarter"),
        pytest.param(NOW - 20 * DAY, 60, [(WARM, 300), (WARM, 60), (RECENT, 60)], id="minutes are gone after a week"),
        pytest.param(NOW - 365 * DAY, 86_400, [(WARM, 3600), (RECENT, 60)], id="a year"),
        pytest.param(
            NOW - 60 * DAY, 300, [(WARM, 3600), (WARM, 300), (RECENT, 60)], id="five minutes are gone after a month"
        ),
    ],
)
def test_the_coarsest_that_loses_nothing_answers(start: float, step: float, expected: list[tuple[str, int]]) -> None:
    """An hour sums up its minutes without loss; where it is too coarse, the finest that is left answers."""
    assert answered(start, NOW, step, reach()) == expected


def test_the_archive_answers_by_the_minute_where_hours_are_too_coarse() -> None:
    """The archive keeps minutes; hours in the database are quicker when they do."""
    where = reach(moved=range(-60, -7), archived_from=MIDNIGHT - 60 * DAY)
    start = MIDNIGHT - 40 * DAY

    assert answered(start, start + DAY - 1, 60, where) == [(COLD, 60)]
    assert answered(start, start + DAY, 3600, where)[0] == (WARM, 3600)


def test_an_edge_within_an_hour_is_cut_with_minutes() -> None:
    """Otherwise the first point would count samples from before the range."""
    start = MIDNIGHT - DAY + 1800.0

    found = parts(start, MIDNIGHT - 1, 3600, reach())

    assert found[0] == Part(WARM, 300, start, start + 1800)
    assert found[1] == Part(WARM, 3600, start + 1800, MIDNIGHT - 3600)


def test_what_no_tier_reaches_is_known() -> None:
    """Nothing there is not the same as nothing happened."""
    assert missing_before(NOW - 400 * DAY, reach())
    assert not missing_before(NOW - 300 * DAY, reach())


@given(
    st.integers(1, 400 * DAY), st.integers(1, 100 * DAY), st.sampled_from([1, 7, 60, 90, 300, 900, 3600, 86_400]),
    st.integers(-80, -8),
)  # fmt: skip
def test_no_moment_is_answered_twice_or_by_nobody(ago: int, length: int, step: int, first: int) -> None:
    """Whatever is asked, parts follow each other without gap or overlap as far as any tier reaches."""
    where = reach(moved=range(first, -7), archived_from=MIDNIGHT + first * DAY)
    start, end = float(NOW - ago), float(min(NOW, NOW - ago + length))
    if missing_before(start, where) or start >= end:
        return

    found = parts(start, end, step, where)

    assert found[0].start <= start
    assert found[0].start > start - 3600
    for before, after in zip(found, found[1:], strict=False):
        assert before.end == after.start
    assert found[-1].end >= end


def test_centuries_before_the_first_sample_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may ask from the year 1 on; going there day by day took seconds."""
    looked_at: list[int] = []
    options = Reach.options
    monkeypatch.setattr(Reach, "options", lambda self, day: looked_at.append(day) or options(self, day))

    assert answered(-62_000_000_000, NOW, 86_400, reach()) == [(WARM, 3600), (RECENT, 60)]
    assert len(looked_at) < 400
