"""The brakes of acting, as decisions: what holds an automatic act back, and whether it helped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from subsystems.s3_control import braking
from subsystems.s3_control.braking import Asked, Limits

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FINE = Asked(
    mode="auto", limits=Limits(), target="mail", size=1, has_effect=True, data_age_seconds=5.0, fresh_seconds=60.0,
    held=False, busy="", last_at=None, done_last_hour=0,
)  # fmt: skip


def test_what_policy_and_data_permit_is_done() -> None:
    """Brakes that never let go are no help either."""
    assert braking.verdict(FINE, now=NOON).allowed


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        pytest.param({"mode": "manual"}, "person", id="the default is to advise"),
        pytest.param({"mode": "never"}, "nobody", id="against policy"),
        pytest.param({"held": True}, "held", id="after failures"),
        pytest.param({"target": "pay"}, "target", id="outside of the targets"),
        pytest.param({"size": 9}, "9", id="too much at once"),
        pytest.param({"has_effect": False}, "effect", id="nothing to verify by"),
        pytest.param({"data_age_seconds": 61.0}, "61 s", id="stale"),
        pytest.param({"data_age_seconds": None}, "not measured", id="missing"),
        pytest.param({"busy": "ann is doing it"}, "ann", id="two writers"),
        pytest.param({"last_at": NOON - timedelta(seconds=299)}, "cools", id="cooldown"),
        pytest.param({"done_last_hour": 6}, "hour", id="too often"),
    ],
)
def test_each_brake_holds_by_itself(asked: dict[str, object], word: str) -> None:
    """And says in words which one it was."""
    limits = Limits(targets=("mail",), most=4)

    found = braking.verdict(replace(FINE, limits=limits, **asked), now=NOON)

    assert not found.allowed
    assert word in found.why


def test_a_correction_is_judged_by_the_share_of_what_it_promised() -> None:
    """realised / predicted (§3.7), whichever way is better; less than half did not help."""
    down = braking.benefit(1000.0, 400.0, 1000.0, 100.0)
    up = braking.benefit(2.0, 3.0, 2.0, 6.0)
    wrong = braking.benefit(1000.0, 1900.0, 1000.0, 100.0)

    assert (round(down.score, 3), down.met) == (0.667, True)
    assert (up.score, up.met) == (0.25, False)
    assert (wrong.score, wrong.met) == (-1.0, False)
    assert braking.optimisation_score([down.score, wrong.score, 3.0]) == pytest.approx((0.6667 + 0 + 1) / 3, abs=1e-3)
    assert braking.optimisation_score([]) is None


@pytest.mark.parametrize(
    ("met", "count"),
    [
        pytest.param([], 0, id="none"),
        pytest.param([False, False, True, False], 2, id="since one helped"),
        pytest.param([None, False, None, False], 2, id="unknown says nothing"),
    ],
)
def test_failures_are_counted_since_one_helped(met: list[bool | None], count: int) -> None:
    """An unknown outcome neither stops the platform nor lets it go on for ever."""
    assert braking.failed_in_a_row(met) == count
