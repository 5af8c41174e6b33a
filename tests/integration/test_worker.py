"""Celery on the broker of the profile: the same tasks, the same promises."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from celery import Task

from subsystems.messaging import topology
from vsm_site.celery import app

WAIT_SECONDS = 60


class Log:
    """What ran, in order; a test waits for it instead of sleeping."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._changed = threading.Condition()

    def add(self, word: str) -> None:
        with self._changed:
            self.heard.append(word)
            self._changed.notify_all()

    def wait(self, count: int) -> list[str]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.heard) >= count, WAIT_SECONDS), self.heard
            return list(self.heard)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def say(log: Log) -> Iterator[Task]:
    """A task that exists for one test; asked for before the worker, which reads the register as it starts."""

    @app.task(name="test.say", shared=False)
    def say(word: str) -> None:
        log.add(word)

    yield say
    app.tasks.pop("test.say")


def test_a_task_of_each_queue_runs(say: Task, worker: object, log: Log) -> None:
    """Every lane of the contract has somebody at its end."""
    for queue in topology.CONSUMED:
        say.apply_async((queue.routing_key,), queue=queue.name, routing_key=queue.routing_key)

    assert sorted(log.wait(len(topology.CONSUMED))) == sorted(queue.routing_key for queue in topology.CONSUMED)


@pytest.mark.embedded
def test_a_task_for_later_does_not_hold_up_one_for_now(say: Task, worker: object, log: Log) -> None:
    """Retries with a delay wait in the worker; they must not take its places. (RabbitMQ 4 no longer promises it.)"""
    later = datetime.now(UTC) + timedelta(seconds=2)
    for number in range(20):
        say.apply_async((f"later {number}",), eta=later)
    say.apply_async(("now",))

    assert log.wait(1) == ["now"]


def test_an_expired_task_is_not_run(say: Task, worker: object, log: Log) -> None:
    """A tick that comes late is worth nothing."""
    say.apply_async(("stale",), expires=datetime.now(UTC) - timedelta(seconds=1))
    say.apply_async(("fresh",))

    assert log.wait(1) == ["fresh"]


def test_the_worker_answers_remote_control(worker: object) -> None:
    """S1 asks workers what they do, over fanout and reply queues."""
    answers = app.control.inspect(timeout=5, limit=1).ping()

    assert [answer["ok"] for answer in answers.values()] == ["pong"]
