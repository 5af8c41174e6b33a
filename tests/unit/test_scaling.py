"""How many slots: the drivers, hysteresis, cooldowns, clamps, blindness; and a policy tried on a load."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.fleets.snapshots import WorkerSeen
from subsystems.s2_coordination.dampers import DampingTerms
from subsystems.s3_control.launching.sizes import Supply
from subsystems.s3_control.scaling import steps
from subsystems.s3_control.scaling.deciding import Inputs, Terms, decide, extra
from subsystems.s3_control.scaling.replaying import replay

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TERMS = Terms()
CALM = Inputs(size=4, age_seconds=5.0, utilisation=0.6, quiet_utilisation=0.6)


def worker(name: str, pool: str = "prefork", size: int | None = 2, busy: int | None = 0) -> WorkerSeen:
    return WorkerSeen(name, name, 0.0, 0.0, pool=pool, pool_size=size, queues=("q",), active_count=busy)


@pytest.mark.parametrize(
    ("terms", "inputs", "desired", "direction"),
    [
        pytest.param({}, {}, 4, 0, id="between the thresholds nothing moves"),
        pytest.param({}, {"utilisation": 0.95}, 7, 1, id="busy"),
        pytest.param({}, {"utilisation": 0.89, "quiet_utilisation": 0.31}, 4, 0, id="nearly either is neither"),
        pytest.param({}, {"rate_in": 4.0, "rate_each": 1.0}, 7, 1, id="variety load of 1 (2-17)"),
        pytest.param({}, {"rate_in": 30.0, "rate_each": 1.0}, 8, 1, id="at most twice as many in one step"),
        pytest.param({"most": 5}, {"utilisation": 1.0}, 5, 1, id="the most"),
        pytest.param({"depth_per_slot": 10.0}, {"depth": 60.0}, 6, 1, id="depth"),
        pytest.param({"oldest_seconds": 30.0}, {"oldest_seconds": 31.0}, 6, 1, id="the oldest waits too long"),
        pytest.param({"drain_seconds": 60.0}, {"depth": 300.0, "rate_in": 0.5, "rate_each": 1.0}, 6, 1, id="drain"),
        pytest.param({}, {"response_ms": 1000.0}, 6, 1, id="response time (004-38)"),
        pytest.param({}, {"pain_signals": 10}, 5, 1, id="pain (004-38)"),
        pytest.param({"depth_per_slot": 10.0}, {"depth": 60.0, "utilisation": 0.95}, 7, 1, id="the hungriest is heard"),
        pytest.param({}, {"utilisation": 0.2, "quiet_utilisation": 0.2}, 2, -1, id="quiet"),
        pytest.param(
            {}, {"utilisation": 0.2, "quiet_utilisation": 0.2, "pain_signals": 6}, 4, 0, id="one does not agree"
        ),
        pytest.param({}, {"utilisation": 0.2, "quiet_utilisation": None}, 4, 0, id="not watched for long enough"),
        pytest.param({}, {"size": 1}, 2, 1, id="fewer than the fewest"),
        pytest.param({}, {"size": 30}, 20, -1, id="more than the most"),
        pytest.param({}, {"size": None}, None, 0, id="size not known"),
        pytest.param({}, {"age_seconds": 61.0, "utilisation": 1.0}, 4, 0, id="stale: hold"),
        pytest.param({"safe": 6}, {"age_seconds": None}, 6, 1, id="stale: the safe size"),
        pytest.param({"safe": 3}, {"age_seconds": None}, 4, 0, id="the safe size takes nothing away"),
    ],
)
def test_a_size_is_decided(terms: dict[str, Any], inputs: dict[str, Any], desired: int | None, direction: int) -> None:
    """Each driver by itself, and all together."""
    found = decide(replace(TERMS, **terms), replace(CALM, **inputs), now=NOON)

    assert (found.desired, found.direction) == (desired, direction)


@pytest.mark.parametrize("utilisation", [1.0, 0.1], ids=["more", "fewer"])
def test_both_directions_cool_down(utilisation: float) -> None:
    """After a step in either direction five minutes pass; what is wanted is said meanwhile."""
    given = replace(CALM, utilisation=utilisation, quiet_utilisation=utilisation)
    early, late = (replace(given, last_out_at=NOON - timedelta(seconds=at)) for at in (299, 300))

    held, done = (decide(TERMS, each, now=NOON) for each in (early, late))

    assert (held.direction, "cooldown" in held.why) == (0, True)
    assert done.direction == (1 if utilisation == 1.0 else -1)


_share = st.none() | st.floats(0, 1)
_number = st.none() | st.floats(0, 1e6)


@given(
    st.integers(0, 60),
    _share,
    _share,
    _number,
    _number,
    st.none() | st.floats(0.001, 1e3),
    st.none() | st.integers(0, 50),
)
def test_no_input_leaves_the_bounds(
    size: int, busy: float | None, quiet: float | None, depth: float | None, rate: float | None, each: float | None,
    pain: int | None,
) -> None:  # fmt: skip
    """Whatever is measured: between the fewest and the most, and a step goes the way it says."""
    terms = replace(TERMS, depth_per_slot=5.0, drain_seconds=60.0)
    inputs = Inputs(size, 1.0, busy, quiet, depth, None, rate, each, None, pain)

    found = decide(terms, inputs, now=NOON)

    if found.direction:
        assert found.desired is not None
        assert terms.least <= found.desired <= terms.most
        assert (found.desired > size) == (found.direction > 0)


SUPPLY = Supply("mail", ("mail",), slots=2, running=3, least=1, most=5)


@pytest.mark.parametrize(
    ("pool", "whole", "desired", "act"),
    [
        pytest.param(
            "solo", False, 9, ("worker.start", "mail", {"workers": 2}, 10), id="as many as fit what is wanted"
        ),
        pytest.param("solo", False, 99, ("worker.start", "mail", {"workers": 2}, 10), id="no more than it may have"),
        pytest.param("solo", False, 1, ("worker.stop", "mail", {"workers": 2}, 2), id="no fewer than it must have"),
        pytest.param("solo", False, 5, None, id="half a worker is not stopped"),
        pytest.param("prefork", False, 7, ("worker.grow", "w0", {"by": 1}, 7), id="a pool that can grow comes first"),
        pytest.param("prefork", True, 7, ("worker.start", "mail", {"workers": 1}, 8), id="unless policy says workers"),
    ],
)
def test_where_pools_cannot_whole_workers_are_started_and_stopped(
    pool: str, whole: bool, desired: int, act: Any
) -> None:
    """By the launcher of the queue, within its bounds and in whole workers."""
    readers = [worker(f"w{number}", pool, 2) for number in range(3)]

    found = steps.step(readers, 6, desired, "mail", SUPPLY, whole=whole)

    assert (found and (found.kind, found.target, found.parameters, found.after)) == act


def test_nobody_reads_and_a_launcher_starts_the_first() -> None:
    """A pool cannot grow that is not there; at its most a launcher leaves it to people."""
    full = replace(SUPPLY, running=5)

    assert steps.step([], 0, 2, "mail", replace(SUPPLY, running=0)) == steps.Act(
        2, "worker.start", "mail", {"workers": 1}, "Start 1 worker of mail"
    )
    assert steps.step([], 0, 2, "mail", full) == steps.Act(
        2, words="Start workers with 2 slots: mail has its most workers."
    )


@pytest.mark.parametrize(
    ("readers", "desired", "act"),
    [
        pytest.param([worker("a", size=4), worker("b", size=2)], 9, ("worker.grow", "b", {"by": 3}), id="a pool grows"),
        pytest.param([worker("a", "solo", 1)], 2, ("", "", None), id="only people start workers here"),
        pytest.param(
            [worker("a", size=4, busy=4), worker("b", size=4, busy=1)], 3, ("worker.shrink", "b", {"by": 3}),
            id="what is idle shrinks, and stays alive",
        ),
        pytest.param(
            [worker("a", "threads", 4, 3), worker("b", "threads", 4, 1)], 4, ("worker.drain", "b", {}),
            id="a pool that cannot shrink leaves as a whole, drained",
        ),
        pytest.param(
            [worker("a", "threads", 4), worker("b", "threads", 4)], 5, None, id="a whole one would be too much"
        ),
    ],
)  # fmt: skip
def test_a_size_becomes_one_act(readers: list[WorkerSeen], desired: int, act: Any) -> None:
    """The pool where pools can grow (quorum queues forbid Celery's own autoscaling, not this), else whole workers."""
    size = steps.slots(readers)
    assert size is not None

    found = steps.step(readers, size, desired, "q")

    assert (None if found is None else (found.kind, found.target, found.parameters)) == act


def test_what_one_worker_does_not_say_nobody_knows() -> None:
    """A sum without one of its parts is a guess."""
    assert steps.slots([worker("a"), worker("b", size=None)]) is None
    assert steps.busy([worker("a"), worker("b", busy=None)]) is None


def test_a_policy_is_tried_on_a_load() -> None:
    """Two hours of a step: it grows, keeps up, and comes back; nothing is decided in the future of its own data."""
    load = [1.0] * 60 + [9.0] * 60 + [1.0] * 120

    trial = replay(TERMS, load, step_seconds=30.0, rate_each=1.0, size=2)

    assert (trial.sizes[0], max(trial.sizes) >= 10, trial.sizes[-1]) == (2, True, 3)  # a third of 3 is busy: no less
    assert (trial.outs >= 2, trial.ins >= 2, trial.reversals) == (True, True, 1)
    assert trial.backlog[-1] == 0.0
    assert trial.slot_seconds < 30.0 * len(load) * max(trial.sizes)


@pytest.mark.parametrize(
    ("load", "dearest"),
    [
        pytest.param(([1.0] * 30 + [14.0] * 30) * 48, 0.25, id="square of half an hour"),
        pytest.param([1.0 + 14.0 * (step % 80) / 80 for step in range(2880)], 0.15, id="saw of 40 minutes"),
        pytest.param([1.0 + 14.0 * (step % 240) / 240 for step in range(2880)], 0.5, id="saw of two hours"),
    ],
)
def test_s2_spares_four_of_five_reversals_at_no_more_backlog(load: list[float], dearest: float) -> None:
    """A day of a load that swings: what is taken away in one half is missed in the other. It costs, and says what."""
    bare, damped = (
        replay(TERMS, load, step_seconds=30.0, rate_each=1.0, size=2, damping=each) for each in (None, DampingTerms())
    )

    assert bare.reversals >= 22
    assert damped.reversals <= 0.2 * bare.reversals
    assert damped.mean_backlog <= bare.mean_backlog
    assert damped.slot_seconds <= (1 + dearest) * bare.slot_seconds


def test_the_price_of_waiting_is_bounded_by_policy() -> None:
    """Bursts an hour apart: two in three slots would stand idle between them."""
    load = ([1.0] * 100 + [14.0] * 20) * 24

    dear, cheap = (
        replay(TERMS, load, step_seconds=30.0, rate_each=1.0, size=2, damping=DampingTerms(most_extra=most))
        for most in (1e6, 0.5)
    )

    assert dear.reversals <= 3 < cheap.reversals
    assert cheap.slot_seconds <= 0.7 * dear.slot_seconds


def test_what_stood_idle_is_told_beside_what_was_needed() -> None:
    """Needed is what the busy ones come to at the load that is aimed at, 0.6; the fewest are never too many."""
    assert extra(TERMS, [10.0, 10.0], [6.0, 0.0]) == pytest.approx(20 / 12 - 1)
    assert extra(TERMS, [2.0], [0.0]) == 0.0
    assert extra(TERMS, [], []) is None
