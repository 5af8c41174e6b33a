"""The decisions of steering: what a pool can do, whom to drain, how a limit is divided, how fast many may go."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from subsystems.s3_control import acts, draining, pacing, shares, steering_rules
from subsystems.s3_control.draining import Drain, Step
from subsystems.s3_control.workers import Worker, capabilities, refusal, resized

IDLE = Worker("idle@x", "prefork", 2, active=0, reserved=0, queues=("q",), uptime_seconds=60)


def busy(node: str, tasks: int) -> Worker:
    return replace(IDLE, node=node, active=tasks, reserved=0)


# --- What a worker says ----------------------------------------------------------------------------------------------
def test_a_worker_is_read_from_its_answers() -> None:
    """A prefork pool that grew tells so only by its processes, and what was not answered is not nothing."""
    stats = {
        "pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 2, "processes": [1, 2, 3]},
        "autoscaler": {"max": 4, "min": 1, "current": 3, "qty": 0},
        "uptime": 7,
    }

    worker = Worker.of("a@x", {"stats": stats, "active": [{}], "active_queues": [{"name": "q"}]})

    assert (worker.pool, worker.size, worker.autoscale, worker.queues) == ("prefork", 3, (4, 1), ("q",))
    assert (worker.active, worker.reserved, worker.busy) == (1, None, None)


@pytest.mark.parametrize(
    ("pool", "cannot"),
    [
        ("prefork", {"autoscale"}),
        ("threads", {"resize", "autoscale", "terminate", "time_limit"}),
        ("solo", {"resize", "autoscale", "terminate", "time_limit"}),
        ("gevent", {"autoscale"}),
        ("eventlet", {"autoscale", "time_limit"}),
        ("unknown", {"autoscale"}),
    ],
)
def test_each_pool_has_what_it_cannot_do(pool: str, cannot: set[str]) -> None:
    """The table is what an operator is told instead of an order that fails later."""
    found = capabilities(replace(IDLE, pool=pool))

    assert {verb for verb, why in found.items() if why} == cannot


@pytest.mark.parametrize(
    ("stats", "keeps"),
    [
        pytest.param({"prefetch_count": 8}, False, id="Celery's own limits under a backlog"),
        pytest.param({"prefetch_count": 8, "steady_limits": True}, True, id="with the client"),
        pytest.param({"prefetch_count": 1}, True, id="one message at a time"),
    ],
)
def test_a_worker_that_stays_below_its_limit_is_known(stats: dict[str, object], keeps: bool) -> None:
    """It is said before, not found out from a queue that grows."""
    assert Worker.of("a@x", {"stats": stats}).keeps_limits is keeps


def test_a_worker_that_scales_itself_is_resized_by_its_bounds() -> None:
    """Its pool refuses to grow; and the lower bound never passes the upper one."""
    scaling = replace(IDLE, autoscale=(4, 3))

    assert (resized(IDLE, 1), resized(scaling, 2), resized(scaling, -2)) == (None, (6, 3), (2, 2))
    assert resized(scaling, -9) == (1, 1)
    assert refusal(scaling, "resize") == refusal(scaling, "autoscale") == ""


# --- Draining --------------------------------------------------------------------------------------------------------
def test_the_idle_go_first_and_the_last_reader_stays() -> None:
    """Taking a busy worker while an idle one stands by makes tasks wait for nothing."""
    workers = [busy("c", 3), busy("a", 0), busy("b", 1), replace(busy("d", 0), queues=("other",))]

    assert [worker.node for worker in draining.choose(workers, 2)] == ["a", "d"]
    assert [worker.node for worker in draining.choose(workers, 9)] == ["a", "d", "b"]
    assert [worker.node for worker in draining.choose(workers, 9, queue="q")] == ["a", "b"]
    assert [worker.node for worker in draining.choose(workers, 9, keep=0)] == ["a", "d", "b", "c"]


def test_a_worker_that_does_not_say_what_it_does_is_not_chosen() -> None:
    """Silence is not idleness."""
    assert draining.choose([replace(IDLE, active=None), replace(IDLE, queues=None)], 2, keep=0) == []


def looks(*workers: Worker | None, out_of_time: bool = False) -> list[Step]:
    drain, steps = Drain("idle@x"), []
    for worker in workers:
        step, drain = draining.next_step(drain, worker, out_of_time=out_of_time)
        steps.append(step)
    return steps


def test_a_worker_is_stopped_only_when_it_was_seen_empty_twice() -> None:
    """One look may fall between two messages; a consumer that came back starts it all over."""
    empty = replace(IDLE, queues=())
    working = replace(empty, active=1)

    assert looks(IDLE, working, empty, empty) == [Step.CANCEL, Step.WAIT, Step.WAIT, Step.STOP]
    assert looks(IDLE, empty, working, empty, empty) == [Step.CANCEL, Step.WAIT, Step.WAIT, Step.WAIT, Step.STOP]
    assert looks(IDLE, empty, IDLE, empty, empty)[-1] is Step.STOP
    assert looks(IDLE, empty, None, empty) == [Step.CANCEL, Step.WAIT, Step.WAIT, Step.WAIT]


def test_a_worker_that_stopped_is_gone_when_it_is_silent() -> None:
    """And one that never answered is left alone, not stopped blindly."""
    empty = replace(IDLE, queues=())

    assert looks(empty, empty, empty, None, None) == [Step.WAIT, Step.STOP, Step.WAIT, Step.WAIT, Step.GONE]
    assert looks(*[None] * draining.UNHEARD_LOOKS)[-1] is Step.GIVE_UP
    assert looks(replace(empty, active=1), out_of_time=True) == [Step.GIVE_UP]


@given(st.lists(st.sampled_from(["busy", "reading", "empty", "silent"]), max_size=40))
def test_no_order_of_looks_stops_a_worker_that_has_work(kinds: list[str]) -> None:
    """Whatever is seen in whatever order, the look that stops it and the one before were empty ones."""
    seen = {
        "busy": replace(IDLE, queues=(), reserved=1), "reading": IDLE,
        "empty": replace(IDLE, queues=()), "silent": None,
    }  # fmt: skip
    steps = looks(*(seen[kind] for kind in kinds))

    for place, step in enumerate(steps):
        if step is Step.STOP:
            assert kinds[place - 1 : place + 1] == ["empty", "empty"]
    stops = [place for place, step in enumerate(steps) if step is Step.STOP]
    assert all(later - stop > draining.TOLD_LOOKS for stop, later in pairwise(stops))


def test_a_worker_that_did_not_hear_that_it_is_to_stop_is_told_again() -> None:
    """A broadcast may be lost; one that came back to its queue meanwhile is looked at from the beginning."""
    empty = replace(IDLE, queues=())
    told = [empty, empty, *[empty] * (draining.TOLD_LOOKS - 1)]

    assert looks(*told, empty, empty)[1:] == [Step.STOP, *[Step.WAIT] * draining.TOLD_LOOKS, Step.STOP]
    assert looks(*told, IDLE)[-1] is Step.CANCEL
    assert looks(*told, replace(empty, active=1))[-1] is Step.WAIT
    assert looks(*told, None, None)[-1] is Step.GONE


def test_a_drain_survives_being_written_down() -> None:
    """It is kept in its row between two steps, and a restart reads it."""
    drain = Drain("a", ("q", "r"), 1, 2, True, 3, "stopped")

    assert Drain.of(drain.body()) == drain


# --- Shares ----------------------------------------------------------------------------------------------------------
@given(st.floats(0.001, 100_000), st.integers(1, 20))
def test_shares_add_up_to_the_limit(rate: float, count: int) -> None:
    """Within a hundredth, after being written as Celery writes rates; the promise is within a twentieth."""
    divided = shares.divided(rate, [str(number) for number in range(count)])
    texts = [shares.celery_rate(share) for share in divided.values()]

    assert sum(shares.per_second(text) or 0.0 for text in texts) == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("10/s", 10), ("90/m", 1.5), ("36/h", 0.01), ("5", 5), ("0", 0), ("x", None), ("5/d", None), ("-1/s", None),
     ("nan/s", None), ("inf", None)],
)  # fmt: skip
def test_rates_are_read_as_celery_reads_them(text: str, rate: float | None) -> None:
    """A worker answers an unreadable rate with an error, when it is too late to say which field."""
    assert shares.per_second(text) == rate


def test_only_who_holds_another_share_is_told() -> None:
    """A limit told anew starts a bucket anew, with one task more."""
    assert shares.to_tell({"a": 30.0, "b": 30.0, "c": 30.0}, {"a": "30/s", "b": "1800/m"}) == {"c": "30/s"}


def test_rates_are_found_in_what_workers_answer() -> None:
    """The format is a text made for people."""
    lines = ["app.fast [rate_limit=10/s]", "app.free", "app.other [rate_limit=None]"]

    assert shares.registered_rates(lines) == {"app.fast": "10/s", "app.free": None, "app.other": None}


# --- Pace ------------------------------------------------------------------------------------------------------------
@given(st.floats(0.1, 1000), st.integers(1, 5000), st.lists(st.floats(0, 30), min_size=1, max_size=20))
def test_the_pace_is_never_exceeded(rate: float, total: int, times: list[float]) -> None:
    """One more at the start, or one second's worth: never more than the rate allows until then."""
    done = 0
    for at in sorted(times):
        done += pacing.allowed(rate, elapsed_seconds=at, done=done, left=total - done)
        assert done <= max(1, rate * (at + 1))


def test_all_of_them_get_done() -> None:
    """A pace below one a second must not round to none."""
    done, second = 0, 0.0
    while done < 5:
        done += pacing.allowed(0.5, elapsed_seconds=second, done=done, left=5 - done)
        second += 1

    assert second == 11 - 1


# --- Rules and parameters --------------------------------------------------------------------------------------------
def test_a_rule_leaves_an_act_to_a_group() -> None:
    """Whoever operates may do everything that no rule leaves to others."""
    rules = [steering_rules.Rule("queue.purge", "pay*", "payments"), steering_rules.Rule("worker.*", "*", "sre")]

    def ask(kind: str, target: str, *groups: str, admin: bool = False) -> bool:
        return not steering_rules.refusal(rules, kind, target, groups=groups, admin=admin)

    assert ask("queue.purge", "mail")
    assert not ask("queue.purge", "payouts")
    assert ask("queue.purge", "payouts", "payments")
    assert ask("worker.drain", "a@x", admin=True)
    assert not ask("worker.drain", "a@x", "payments")


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        pytest.param("task.trigger", {"queue": "q", "args": [{"__type__": "x"}]}, id="a value that kombu would revive"),
        pytest.param("task.retry", {}, id="neither ids nor a filter"),
        pytest.param("task.retry", {"ids": ["a"], "name": "b"}, id="both"),
        pytest.param("task.rate_limit", {"rate": "fast"}, id="no rate"),
        pytest.param("task.fleet_rate_limit", {"rate": "0"}, id="a limit of nothing"),
        pytest.param("worker.autoscale", {"max": 1, "min": 2}, id="bounds the wrong way round"),
        pytest.param("queue.pause", {"minutes": -1}, id="a time before now"),
        pytest.param("worker.grow", {"by": 1, "force": True}, id="an unknown name"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(kind: str, given: dict[str, object]) -> None:
    """At the door, before anything is written or sent."""
    with pytest.raises(ValidationError):
        acts.ACTS[kind].parameters.model_validate(given)


def test_what_can_be_undone_is_undone_by_an_act_that_takes_its_parameters() -> None:
    """An undo that its own act refuses would be found out at the worst moment."""
    before = {"rates": {"a": "5/s"}, "workers": {"a": {"autoscale": [4, 1]}}, "undoable": True}
    parameters = {
        "worker.autoscale": {"max": 9, "min": 2},
        "worker.grow": {"by": 2},
        "task.rate_limit": {"rate": "1/s"},
    }
    for act in acts.ACTS.values():
        if act.undo is None:
            continue
        found = act.undo(parameters.get(act.kind, {"queue": "q"} if "consumer" in act.kind else {}), before)
        assert found is not None, act.kind
        acts.ACTS[found[0]].parameters.model_validate(found[1])
