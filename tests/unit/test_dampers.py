"""Whether an act is held back, decided from what is known of its subject."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.s2_coordination.dampers import (
    Code,
    DampingTerms,
    Past,
    Wish,
    acted,
    decide,
    level,
    refused,
    wait_seconds,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TERMS = DampingTerms()
OFF = DampingTerms(enabled=False)
SLOW = DampingTerms(relief_seconds=15.0)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


UP, DOWN = Past(1, NOON), Past(-1, NOON)


@pytest.mark.parametrize(
    ("past", "terms", "direction", "seconds", "code", "retry"),
    [
        pytest.param(Past(), TERMS, -1, 0, Code.CLEAR, None, id="nothing was done yet"),
        pytest.param(UP, TERMS, 1, 1, Code.CLEAR, None, id="more of the same"),
        pytest.param(UP, TERMS, 0, 1, Code.CLEAR, None, id="an act without a direction"),
        pytest.param(UP, TERMS, -1, 299, Code.REVERSAL, 300, id="taken away too early"),
        pytest.param(UP, TERMS, -1, 300, Code.CLEAR, None, id="taken away in time"),
        pytest.param(DOWN, TERMS, 1, 0, Code.CLEAR, None, id="relief does not wait"),
        pytest.param(DOWN, SLOW, 1, 14, Code.REVERSAL, 15, id="relief waits where policy wants that"),
        pytest.param(Past(1, NOON, 2, NOON), TERMS, -1, 1199, Code.REVERSAL, 1200, id="twice turned round"),
        pytest.param(Past(1, NOON, 20, NOON), TERMS, -1, 3500, Code.REVERSAL, 7200, id="no wait is over two hours"),
        pytest.param(Past(-1, NOON, 20, NOON), SLOW, 1, 60, Code.CLEAR, None, id="relief never waits over a minute"),
        pytest.param(UP, OFF, -1, 1, Code.OFF, None, id="switched off"),
        pytest.param(Past(leased_until=after(60)), OFF, 1, 1, Code.TAKEN, 60, id="a lease holds even then"),
        pytest.param(Past(leased_until=after(60)), TERMS, 1, 60, Code.CLEAR, None, id="a lease that ended"),
        pytest.param(Past(held_until=after(90)), TERMS, -1, 1, Code.HELD, 90, id="held: nothing is taken away"),
        pytest.param(Past(held_until=after(90)), TERMS, 1, 1, Code.CLEAR, None, id="held: what adds may"),
    ],
)  # fmt: skip
def test_an_act_is_held_back_when_it_would_make_a_swing(
    past: Past, terms: DampingTerms, direction: int, seconds: float, code: Code, retry: float | None
) -> None:
    """Too late a relief breaks promises, too early a retreat makes the next swing."""
    verdict = decide(past, terms, Wish(direction), now=after(seconds))

    assert verdict.code == code
    assert verdict.retry_at == (None if retry is None else after(retry))


def test_each_reversal_doubles_the_wait_and_calm_forgets_them_one_by_one() -> None:
    """A damper that never lets go is as bad as none."""
    past = acted(Past(), TERMS, Wish(1), now=NOON)
    for number in range(1, 4):
        past = acted(past, TERMS, Wish(-past.direction), now=after(400 * number))
    last = after(1200)

    levels = [level(past, TERMS, now=last + timedelta(hours=hours)) for hours in range(5)]

    assert levels == [3, 2, 1, 0, 0]


def test_a_turn_once_in_half_a_day_is_no_swing() -> None:
    """Days have nights; fleets may follow them."""
    past = Past()
    for number in range(6):
        past = acted(past, TERMS, Wish(1 if number % 2 else -1), now=NOON + timedelta(hours=12 * number))

    assert (past.reversals, past.returns_seconds) == (0, 0.0)


def test_who_still_wants_it_back_is_not_calm_but_brings_no_forgotten_reversal_back() -> None:
    """Waiting out a long hold must not shorten it, nor asking lengthen it."""
    past = Past(1, NOON, 3, NOON)

    asked = refused(past, TERMS, Wish(-1), now=after(3700))

    assert (asked.reversals, asked.unrest_at) == (2, after(3700))
    assert level(asked, TERMS, now=after(7200)) == 2


def test_who_takes_away_waits_from_when_it_was_needed_last() -> None:
    """A tooth is longer than the wait: from the last act alone the wait would be over in the middle of it."""
    verdicts = [decide(UP, TERMS, Wish(-1, after(600)), now=after(seconds)) for seconds in (899, 900)]

    assert [(each.code, each.retry_at) for each in verdicts] == [(Code.REVERSAL, after(900)), (Code.CLEAR, None)]


def turned_once(spell: float) -> Past:
    """What was taken away after *spell* seconds without need was wanted back at once."""
    past = acted(UP, TERMS, Wish(-1, after(1000)), now=after(1000 + spell - 1))
    return acted(past, TERMS, Wish(1), now=after(1000 + spell))


@pytest.mark.parametrize(
    ("past", "wish", "seconds"),
    [
        pytest.param(turned_once(1000), Wish(-1), 1500, id="half as long again as it took to be wanted back"),
        pytest.param(turned_once(6000), Wish(-1), 7200, id="no longer than the longest wait"),
        pytest.param(turned_once(7300), Wish(-1), 600, id="what no wait outlasts is not waited for"),
        pytest.param(turned_once(1000), Wish(-1, extra=1.5), 1500, id="as dear as policy allows"),
        pytest.param(turned_once(1000), Wish(-1, extra=1.51), 300, id="dearer: only the first wait"),
        pytest.param(replace(UP, period_seconds=900.0, period_at=NOON), Wish(-1), 900, id="demand that swings"),
        pytest.param(replace(UP, period_seconds=9000.0, period_at=NOON), Wish(-1), 300, id="swings too slowly"),
    ],
)
def test_the_wait_is_learnt(past: Past, wish: Wish, seconds: float) -> None:
    """One regret tells how long the next tooth is away; a demand that is seen to swing tells it before any."""
    assert past.acted_at is not None

    assert wait_seconds(past, TERMS, wish, now=past.acted_at + timedelta(seconds=1)) == pytest.approx(seconds)


def test_what_was_learnt_is_forgotten_and_a_hold_is_not_dear() -> None:
    """Yesterday's batch does not keep today's workers; and the price binds every damper."""
    past = turned_once(700)
    assert past.acted_at is not None
    held = Past(held_until=after(90))

    assert wait_seconds(past, TERMS, Wish(-1), now=past.acted_at + timedelta(hours=3)) == 300
    assert decide(held, TERMS, Wish(-1, extra=2.0), now=after(1)).allowed
    assert not decide(held, TERMS, Wish(-1, extra=0.5), now=after(1)).allowed


def asked(past: Past, terms: DampingTerms, wish: Wish, now: datetime) -> tuple[Past, bool]:
    """Ask and act, as whoever scales does; return what is known then, and whether it was done."""
    if decide(past, terms, wish, now=now).allowed:
        return acted(past, terms, wish, now=now), True
    return refused(past, terms, wish, now=now), False


def scaled(spells: list[tuple[int, int]], terms: DampingTerms) -> list[int]:
    """Return the acts of a scaler that wants more while it is busy, and fewer all through each idle spell."""
    past, size, done = Past(), 0, []
    clock = 0
    for busy, idle in spells:
        for wanted, seconds in ((1, busy), (-1, idle)):
            began = after(clock)
            for step in range(0, seconds, 30):
                if size != wanted:
                    past, allowed = asked(past, terms, Wish(wanted, began), after(clock + step))
                    size, done = (wanted, [*done, wanted]) if allowed else (size, done)
            clock += seconds
    return done


@given(st.integers(10, 80), st.integers(11, 100), st.integers(4, 30))
def test_a_saw_of_any_period_is_turned_round_twice_at_most(busy: int, idle: int, teeth: int) -> None:
    """The purpose of S2: whatever the period, one mistake teaches it; up to idle spells of 4,800 s."""
    done = scaled([(30 * busy, 30 * idle)] * teeth, TERMS)

    assert done in ([1], [1, -1, 1])
    assert scaled([(30 * busy, 30 * idle)] * teeth, OFF) == [1, -1] * teeth


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(1, 400)), min_size=1, max_size=20))
def test_relief_never_waits_and_what_is_idle_for_the_longest_wait_is_let_go(spells: list[tuple[int, int]]) -> None:
    """Whatever went before: promises first, and no worker is kept for ever."""
    done = scaled([(30 * busy, 30 * idle) for busy, idle in spells], TERMS)
    left = scaled([*((30 * busy, 30 * idle) for busy, idle in spells), (30, 7260)], TERMS)

    bare = scaled([(30 * busy, 30 * idle) for busy, idle in spells], OFF)

    assert len(done) <= len(bare)
    assert left[-1] == -1


@given(
    st.integers(0, 20), st.floats(0, 1e5), st.none() | st.floats(1, 1e5), st.none() | st.floats(0, 10),
    st.floats(0, 1e5),
)  # fmt: skip
def test_no_wait_leaves_its_bounds_and_the_price_is_one(
    reversals: int, returns: float, period: float | None, extra: float | None, ago: float
) -> None:
    """Whatever was learnt: between the first wait and the longest; and where it is too dear, the first."""
    past = Past(1, NOON, reversals, NOON, returns_seconds=returns, period_seconds=period, period_at=NOON)

    waits = wait_seconds(past, TERMS, Wish(-1, extra=extra), now=after(ago))

    assert TERMS.retreat_seconds <= waits <= TERMS.longest_retreat_seconds
    assert extra is None or extra <= TERMS.most_extra or waits == TERMS.retreat_seconds
    assert wait_seconds(replace(past, direction=-1), TERMS, Wish(1), now=after(ago)) == 0
