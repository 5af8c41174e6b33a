"""Rate limits of Celery's workers that hold under a backlog."""

from __future__ import annotations

import heapq
from collections import defaultdict
from typing import Any

import pytest
from celery import Celery

from vsm_client import limits
from vsm_client.limits import SteadyLimits, steady_limits


class Clock:
    """A moment that moves when told, for buckets and timers."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.timers: list[tuple[float, int, Any, Any]] = []

    def __call__(self) -> float:
        return self.now

    def call_after(self, seconds: float, call: Any, arguments: Any) -> None:
        heapq.heappush(self.timers, (self.now + seconds, len(self.timers), call, arguments))

    def pass_seconds(self, seconds: float, *, late: float = 0.0) -> None:
        """Let time pass; each timer is *late* by so much."""
        end = self.now + seconds
        while self.timers and self.timers[0][0] + late <= end:
            at, _, call, arguments = heapq.heappop(self.timers)
            self.now = max(self.now, at + late)
            call(*arguments)
        self.now = end


def nothing() -> None:
    """Do nothing: what matters is when."""


class Consumer:
    """What a step sees of Celery's consumer."""

    def __init__(self, clock: Clock, rate_limit: str | None) -> None:
        self.app = Celery("limited", broker="memory://", set_as_current=False)
        self.task = self.app.task(name="mail", shared=False, rate_limit=rate_limit)(nothing)
        self.app.finalize()
        self.timer = clock
        self.started: list[float] = []
        self.task_buckets: dict[str, Any] = defaultdict(lambda: None)
        self._limit_move_to_pool = lambda request: self.started.append(clock.now)
        self.step = SteadyLimits(self)

    def receive(self, count: int) -> None:
        for number in range(count):
            bucket = self.task_buckets["mail"]
            bucket.add((number, 1))
            self.step.run(bucket)

    def limit(self, rate: str | None) -> None:
        self.app.tasks["mail"].rate_limit = rate
        self.step.reset()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("kombu.utils.limits.monotonic", clock)
    monkeypatch.setattr(limits, "monotonic", clock)
    return clock


@pytest.mark.parametrize("late", [0.0, 0.003, 0.2], ids=["in time", "late", "very late"])
@pytest.mark.parametrize("rate", ["40/s", "8/s"])
def test_a_backlog_runs_at_its_limit(clock: Clock, rate: str, late: float) -> None:
    """Celery's own consumer comes down to one a second, and never makes up for a busy machine."""
    consumer = Consumer(clock, rate)
    consumer.receive(1_000)

    clock.pass_seconds(20, late=late)

    assert len(consumer.started) == pytest.approx(20 * float(rate[:-2]), rel=0.05)
    assert len(clock.timers) == 1


def test_a_rest_is_not_saved_up(clock: Clock) -> None:
    """A limit is there for a neighbour who takes no burst."""
    consumer = Consumer(clock, "8/s")
    clock.pass_seconds(600)

    consumer.receive(100)

    assert len(consumer.started) == 1


def test_what_waits_goes_on_under_a_new_limit(clock: Clock) -> None:
    """A share is told anew whenever a worker comes or goes: no task is lost, none is given away."""
    consumer = Consumer(clock, "1/s")
    consumer.receive(50)

    for _ in range(10):
        consumer.limit("2/s")
        consumer.limit("1/s")
    consumer.limit("4/s")
    clock.pass_seconds(5)

    assert len(consumer.started) == pytest.approx(1 + 20, abs=1)


def test_what_waits_starts_when_there_is_no_limit_any_more(clock: Clock) -> None:
    """Celery leaves it to the limit it had."""
    consumer = Consumer(clock, "1/h")
    consumer.receive(50)

    consumer.limit(None)

    assert len(consumer.started) == 50


def test_a_lost_connection_leaves_no_timer_that_counts(clock: Clock) -> None:
    """What was waiting is delivered again: to start it from here would run it twice."""
    consumer = Consumer(clock, "1/s")
    consumer.receive(5)
    consumer.task_buckets["mail"].clear_pending()

    consumer.receive(2)
    clock.pass_seconds(1.5)

    assert len(consumer.started) == 2


def test_a_worker_says_that_it_keeps_limits(clock: Clock) -> None:
    """The platform says before what a worker cannot."""
    app = Celery("limited", set_as_current=False)
    steady_limits(app)

    assert app.steps["consumer"] == {SteadyLimits}
    assert Consumer(clock, None).step.info(None) == {"steady_limits": True}
