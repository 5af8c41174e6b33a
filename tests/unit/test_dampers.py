"""Whether an act is held back, decided from what is known of its subject."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from subsystems.s2_coordination.dampers import Code, DampingTerms, Past, acted, decide, level, refused

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TERMS = DampingTerms()
OFF = DampingTerms(enabled=False)


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
        pytest.param(DOWN, TERMS, 1, 14, Code.REVERSAL, 15, id="added at once"),
        pytest.param(DOWN, TERMS, 1, 15, Code.CLEAR, None, id="relief waits little"),
        pytest.param(Past(1, NOON, 2, NOON), TERMS, -1, 1199, Code.REVERSAL, 1200, id="twice turned round"),
        pytest.param(Past(1, NOON, 20, NOON), TERMS, -1, 3500, Code.REVERSAL, 7200, id="no wait is over two hours"),
        pytest.param(Past(-1, NOON, 20, NOON), TERMS, 1, 60, Code.CLEAR, None, id="relief never waits over a minute"),
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
    verdict = decide(past, terms, direction, now=after(seconds))

    assert verdict.code == code
    assert verdict.retry_at == (None if retry is None else after(retry))


def test_each_reversal_doubles_the_wait_and_calm_forgets_them_one_by_one() -> None:
    """A damper that never lets go is as bad as none."""
    past = acted(Past(), TERMS, 1, now=NOON)
    for number in range(1, 4):
        past = acted(past, TERMS, -past.direction, now=after(400 * number))
    last = after(1200)

    levels = [level(past, TERMS, now=last + timedelta(hours=hours)) for hours in range(5)]

    assert levels == [3, 2, 1, 0, 0]


def test_a_turn_once_in_half_a_day_is_no_swing() -> None:
    """Days have nights; fleets may follow them."""
    past = Past()
    for number in range(6):
        past = acted(past, TERMS, 1 if number % 2 else -1, now=NOON + timedelta(hours=12 * number))

    assert past.reversals == 0


def test_who_still_wants_it_back_is_not_calm_but_brings_no_forgotten_reversal_back() -> None:
    """Waiting out a long hold must not shorten it, nor asking lengthen it."""
    past = Past(1, NOON, 3, NOON)

    asked = refused(past, TERMS, now=after(3700))

    assert (asked.reversals, asked.unrest_at) == (2, after(3700))
    assert level(asked, TERMS, now=after(7200)) == 2


def test_a_load_like_a_saw_is_turned_round_far_less_often() -> None:
    """The purpose of S2: the load below wants a turn every five minutes, ten hours long."""

    def turns(terms: DampingTerms) -> int:
        past, done = Past(), 0
        for step in range(0, 36_000, 30):
            wanted = 1 if step % 600 < 300 else -1
            if wanted == past.direction or not decide(past, terms, wanted, now=after(step)).allowed:
                past = past if wanted == past.direction else refused(past, terms, now=after(step))
                continue
            past, done = acted(past, terms, wanted, now=after(step)), done + 1
        return done - 1

    undamped, damped = turns(DampingTerms(relief_seconds=0, retreat_seconds=0)), turns(TERMS)

    assert undamped == 119
    assert damped <= 0.2 * undamped
