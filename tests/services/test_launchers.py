"""Starting and stopping real workers: all of them or none, never a stranger's process, never in the midst of a task."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from django.utils import timezone

from subsystems.algedonic.models import Signal
from subsystems.kernel.errors import Forbidden, Refused
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services as operations
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control import carrying, permitting, recommending, settling, steering
from subsystems.s3_control.launching import queries, services, store
from subsystems.s3_control.launching.adapters import subprocesses
from subsystems.s3_control.models import Action, Hold, LaunchedProcess, Launcher, Recommendation
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from tests.services.test_steering import Steer, finish, operator, read, steer  # noqa: F401
from tests.support.brokers import fleet_broker
from tests.support.factories import make_user
from tests.support.waiting import wait_for
from tests.support.watched_app import ROOT, producer

pytestmark = pytest.mark.django_db(transaction=True)
Launch = Callable[..., Launcher]


@pytest.fixture
def url() -> str:
    return fleet_broker("amqp")


@pytest.fixture
def queue(url: str) -> Iterator[str]:
    name = f"launched-{uuid4().hex[:8]}"
    yield name
    with producer(url, name).connection_for_write() as connection:
        connection.default_channel.queue_delete(name)


@pytest.fixture
def fleet(url: str) -> Fleet:
    return operations.watch_fleet(root_system(), url, name=f"fleet-{uuid4().hex[:8]}")


@pytest.fixture
def launch(fleet: Fleet, queue: str, url: str, settings: Any) -> Iterator[Launch]:
    """Write down a launcher of Celery workers as processes; what is left of them is killed."""
    settings.LAUNCHERS = ["subprocess"]
    settings.CREDENTIALS = {"BROKER": url}
    name = f"l{uuid4().hex[:8]}"

    def made(*words: str, **fields: Any) -> Launcher:
        argv = [sys.executable, "-m", "celery", "-A", "tests.support.watched_app", "worker", "-n", "{node}", "-c", "1",
                "-P", "solo", "-Q", queue, "-l", "ERROR", "--without-gossip", "--without-mingle"]  # fmt: skip
        config = {
            "argv": list(words) or argv, "directory": str(ROOT), "credentials": {"WATCHED_BROKER": "env:BROKER"},
            "environment": {"WATCHED_QUEUE": queue, "WATCHED_PREFETCH": "1"},
        }  # fmt: skip
        given = {"name": name, "kind": "subprocess", "queues": [queue], "most": 3, "config": config, **fields}
        return services.save(fleet, given, by="ann")

    yield made
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if any(f"{name}-0" in word for word in process.cmdline()):
                process.kill()
    for child in subprocesses._children.values():
        child.wait(10)


def sizes(launcher: Launcher) -> int | None:
    return queries.seen_now(launcher).size


def test_workers_are_started_and_stopped_without_interrupting_a_task(
    launch: Launch,
    queue: str,
    url: str,
    steer: Steer,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Each ends only when the process runs and the worker answers, or both are gone; undoing is the same road back."""
    launcher = launch()
    rehearsed = steering.propose(
        steering.Request(launcher.fleet, "worker.start", launcher.name, {"workers": 2}, dry_run=True),
        by=make_user("reader", role="operator"),
    )
    rehearsed_size = sizes(launcher)
    started = steer("worker.start", launcher.name, workers=2)
    log = tmp_path / "log"
    client = producer(url, queue)
    for number in range(4):
        client.send_task("watched.write", [str(log), str(number), 0.6])
    wait_for(lambda: bool(read(log)), seconds=20)
    undone = finish(steering.undo(started, by=make_user("bob", role="operator")), within=60)
    words = [line[0] for line in read(log)]

    assert (rehearsed.state, rehearsed_size) == ("rehearsed", 0)
    assert "celery -A tests.support.watched_app worker" in rehearsed.detail
    assert (started.state, undone.state, sizes(launcher)) == ("verified", "verified", 0), (
        started.detail,
        undone.detail,
    )
    assert words.count("began") == words.count("ended") >= 1
    assert not LaunchedProcess.objects.exists()


def test_bounds_permission_and_other_writers_hold_it_back(launch: Launch, steer: Steer) -> None:  # noqa: F811
    """Before anything is done; of two that were let through at the same moment one is turned away."""
    launcher = launch(most=1)
    fleet, user = launcher.fleet, make_user("ann", role="operator")

    def ask(kind: str = "worker.start", count: int = 1) -> Action:
        return steering.propose(steering.Request(fleet, kind, launcher.name, {"workers": count}), by=user)

    with pytest.raises(Refused, match="1 are the most"):
        ask(count=2)
    with pytest.raises(Refused, match="0 can be stopped"):
        ask("worker.stop")
    first, second = ask(), ask()
    carrying.carry_out(str(first.pk), now=timezone.now())
    carrying.carry_out(str(second.pk), now=timezone.now())
    second.refresh_from_db()
    with pytest.raises(Refused, match="one writer"):
        ask()
    finish(first)
    permitting.set_permission(fleet.system_id, "worker.stop", "never", by="policy")
    with pytest.raises(Forbidden):
        ask("worker.stop")

    assert (first.state, second.state, sizes(launcher)) == ("verified", "failed", 1)
    assert "one writer at a time" in second.detail


def test_a_restart_in_the_midst_starts_nobody_twice_and_a_strange_process_is_left_alone(
    launch: Launch,
    steer: Steer,  # noqa: F811
) -> None:
    """Whoever died between starting a worker and noting its number; and a number that is another's by now."""
    launcher = launch()
    action = steer("worker.start", launcher.name, to_end=False, workers=1)
    carrying.carry_out(str(action.pk), now=timezone.now())
    row = LaunchedProcess.objects.get()
    LaunchedProcess.objects.update(pid=None, began=None)
    action.refresh_from_db()
    plan = {**action.memory["launch"], "told": False}
    Action.objects.filter(pk=action.pk).update(memory={**action.memory, "launch": plan})
    finish(action)
    again = LaunchedProcess.objects.get()
    LaunchedProcess.objects.update(pid=os.getpid(), began=psutil.Process().create_time())
    seen = queries.seen_now(launcher)
    store.actuator(launcher).stop([again.name], 0)  # would end this very process
    os.kill(row.pid, signal.SIGKILL)

    assert (action.state, again.pid, again.name) == ("verified", row.pid, row.name)
    assert (seen.size, seen.instances[0].state, LaunchedProcess.objects.count()) == (0, "failed", 0)


def test_a_start_that_fails_is_taken_back_and_after_some_it_hurts(launch: Launch, fleet: Fleet, queue: str) -> None:
    """One of two that cannot come up takes the other with it; policy's number of such corrections stops them."""
    flaky = "import sys, time; sys.exit(3) if '0002' in sys.argv[-1] else time.sleep(60)"
    launcher = launch(sys.executable, "-c", flaky, "{node}")
    permitting.set_permission(
        fleet.system_id, "worker.start", "auto", {"stop_after": 2, "cooldown_seconds": 0}, by="policy"
    )
    subject = f"{fleet.name}/{queue}"
    for number in range(2):
        now = timezone.now()
        record({subject: [Sample("slots", now.timestamp(), 0.0, {})]}, system_id=fleet.system_id, now=now.timestamp())
        row = recommending.recommend(
            system_id=fleet.system_id, kind="resource", source="s3", subject=subject, title="Start two", fleet=fleet,
            act={"kind": "worker.start", "target": launcher.name, "parameters": {"workers": 2}}, measured_at=now,
            expected_effect={"metric": "slots", "source": subject, "from": 0, "to": 2}, now=now,
        )  # fmt: skip
        assert recommending.approve_by_itself(row, now=now), Recommendation.objects.get(pk=row.pk).waits_for
        ended = finish(Action.objects.get(recommendation=row))
        assert (number, ended.state) == (number, "failed")
        assert "status 3" in ended.detail
        settling.tend(now=timezone.now() + timedelta(seconds=1))

    assert (sizes(launcher), LaunchedProcess.objects.count(), Hold.objects.count()) == (0, 0, 1)
    assert Signal.objects.get(source="s3_control").severity == "high"
