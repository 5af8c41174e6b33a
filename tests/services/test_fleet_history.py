"""The history of tasks on real brokers: a real worker's tasks, and a receiver that is killed, absent or frozen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from django.db import connection
from django.db.models import Sum

from subsystems.fleets import reconciling, rolling_up
from subsystems.fleets.models import BlindSpell, ExceptionGroup, Listening, Task, TaskRetry, TaskRollUp
from subsystems.fleets.receiver import FleetReceivers
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services
from subsystems.s1_operations.adapters.celery_link import watching_app
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.queries import fleet_ref
from tests.support.brokers import fleet_broker
from tests.support.waiting import wait_for
from tests.support.watched_app import producer, watched_worker

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
LISTEN = "import django; django.setup(); from subsystems.fleets import receiver; receiver.start_all()._thread.join()"


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """The address of a broker of the wanted kind; Redis by a database that the platform does not use."""
    return fleet_broker(getattr(request, "param", "amqp"))


@pytest.fixture
def fleet(url: str) -> Fleet:
    return services.watch_fleet(root_system(), url, name=f"fleet-{uuid4().hex[:8]}")


@pytest.fixture
def heard(fleet: Fleet) -> Iterator[FleetReceivers]:
    """Receivers in threads of this process, listening when the test begins."""
    receivers = FleetReceivers()
    receivers.start()
    wait_for(lambda: fleet.pk in receivers._receivers and receivers._receivers[fleet.pk].listening.is_set())
    yield receivers
    receivers.stop()


def task(fleet: Fleet, uuid: str) -> Task | None:
    return Task.objects.filter(fleet=fleet, uuid=uuid).first()


def in_state(fleet: Fleet, uuid: str, state: Task.State) -> Callable[[], Task | None]:
    return lambda: Task.objects.filter(fleet=fleet, uuid=uuid, state=state).first()


@pytest.mark.parametrize("url", ["amqp", "redis"], indirect=True)
def test_the_tasks_of_a_real_worker_are_in_the_history(fleet: Fleet, url: str, heard: FleetReceivers) -> None:
    """How each ended, on which queue, after how long a wait, and what it was given, without its secrets."""
    queue = f"watched-{uuid4().hex[:8]}"
    client = producer(url, queue)
    client.conf.task_send_sent_event = True
    with watched_worker(url, queue) as (_, node):
        good = client.send_task("watched.succeed", kwargs={"password": "hunter2"}, expires=3600).id
        bad = client.send_task("watched.fail").id
        again = client.send_task("watched.retry_once").id
        found = wait_for(in_state(fleet, bad, Task.State.FAILURE), seconds=40)
        done = wait_for(in_state(fleet, good, Task.State.SUCCESS))
        retried = wait_for(in_state(fleet, again, Task.State.SUCCESS))

    assert (done.name, done.queue, done.worker, done.kwargs) == ("watched.succeed", queue, node, "{'password': •••}")
    assert done.wait_seconds is not None
    assert done.runtime_seconds is not None
    assert done.expires_at is not None
    assert (found.exception, retried.retries) == ("ValueError('as asked')", 1)
    assert "ValueError: as asked" in found.traceback
    assert ExceptionGroup.objects.get(fleet=fleet).count == 1
    assert TaskRetry.objects.get(fleet=fleet, uuid=again).worker == node


def send(client: Celery, count: int) -> list[str]:
    """Send the events of *count* tasks as a worker does; return their ids."""
    uuids = [str(uuid4()) for _ in range(count)]
    with client.connection_for_write() as link:
        teller = client.events.Dispatcher(link, hostname="w1@told", buffer_while_offline=False)
        for uuid in uuids:
            teller.send("task-received", uuid=uuid, name="told.task", args="()", kwargs="{}", retries=0)
            teller.send("task-started", uuid=uuid)
            teller.send("task-succeeded", uuid=uuid, result="1", runtime=0.1)
    return uuids


@contextmanager
def receiver_process() -> Iterator[subprocess.Popen[bytes]]:
    """A receiver in a process of its own, on this test's database."""
    chosen = connection.settings_dict
    host = f"{chosen['USER']}:{chosen['PASSWORD']}@{chosen['HOST']}:{chosen['PORT']}"
    environment = {**os.environ, "DATABASE_URL": f"postgres://{host}/{chosen['NAME']}"}
    environment["DJANGO_SETTINGS_MODULE"] = "vsm_site.settings"
    process = subprocess.Popen([sys.executable, "-c", LISTEN], cwd=ROOT, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def kept(fleet: Fleet) -> int:
    return Task.objects.filter(fleet=fleet, state=Task.State.SUCCESS).count()


def test_a_killed_receiver_loses_nothing_and_counts_nothing_twice(fleet: Fleet, url: str) -> None:
    """Kill -9 in the middle of writing, events while nobody listens, and another start: every task once."""
    client = Celery("told", broker=url, set_as_current=False, fixups=[])
    with receiver_process() as process:
        wait_for(lambda: Listening.objects.filter(fleet=fleet, since__isnull=False).exists(), seconds=40)
        first = send(client, 200)
        wait_for(lambda: kept(fleet) > 0)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    while_dead = send(client, 200)
    with receiver_process():
        wait_for(lambda: kept(fleet) == 400, seconds=40)

    while rolling_up.add_up(fleet.pk):
        pass

    assert set(Task.objects.filter(fleet=fleet).values_list("uuid", flat=True)) == {*first, *while_dead}
    assert TaskRollUp.objects.filter(fleet=fleet).aggregate(n=Sum("succeeded"))["n"] == 400
    assert not BlindSpell.objects.filter(fleet=fleet, lost=True).exists()


@pytest.mark.parametrize("url", ["redis"], indirect=True)
def test_an_absence_that_the_broker_does_not_bridge_is_a_blind_spell(fleet: Fleet, url: str) -> None:
    """Redis keeps no event for who is away: the history says from when to when it knows nothing."""
    gone_at = time.time() - 300
    began = _as_last_heard(fleet, gone_at)

    receivers = FleetReceivers()
    receivers.start()
    spell = wait_for(lambda: BlindSpell.objects.filter(fleet=fleet).first())
    receivers.stop()

    assert (spell.reason, spell.lost, spell.began_at.timestamp()) == ("not_running", True, began)
    assert spell.ended_at.timestamp() > gone_at + 299


def _as_last_heard(fleet: Fleet, at: float) -> float:
    moment = datetime.fromtimestamp(at, UTC)
    Listening.objects.create(fleet=fleet, written_at=moment)
    return moment.timestamp()


def test_a_receiver_that_stood_still_says_so(fleet: Fleet, url: str) -> None:
    """A stopped process (SIGSTOP, a frozen machine) cannot know what it missed; it must know that it was away."""
    with receiver_process() as process:
        wait_for(lambda: Listening.objects.filter(fleet=fleet, since__isnull=False).exists(), seconds=40)
        process.send_signal(signal.SIGSTOP)
        time.sleep(6.5)  # longer than UNKEPT_SECONDS: nothing else can make a process miss them
        process.send_signal(signal.SIGCONT)
        spell = wait_for(lambda: BlindSpell.objects.filter(fleet=fleet).first(), seconds=30)

    assert (spell.reason, spell.lost) == ("stalled", False)
    assert 5 < (spell.ended_at - spell.began_at).total_seconds() < 30


def test_workers_without_events_are_asked_for_them(fleet: Fleet, url: str, heard: FleetReceivers) -> None:
    """Most teams never started their workers with -E: the history fills all the same, and says who tells nothing."""
    queue = f"watched-{uuid4().hex[:8]}"
    client = producer(url, queue)
    with watched_worker(url, queue, events=False) as (_, node):
        hearing = wait_for(lambda: _told_of(heard, fleet, node), seconds=40)
        assert hearing["tells_tasks"] in (None, False)
        sent: list[str] = []

        def something_came() -> Any:
            sent.append(client.send_task("watched.succeed").id)
            time.sleep(0.3)
            return Task.objects.filter(fleet=fleet, uuid__in=sent, state=Task.State.SUCCESS).first()

        wait_for(something_came, seconds=40)

    assert _told_of(heard, fleet, node)["tells_tasks"] is True


def test_a_quiet_fleet_stays_connected(fleet: Fleet, url: str, heard: FleetReceivers) -> None:
    """What was acknowledged is not acknowledged again at the next flush, at which RabbitMQ would hang up."""
    client = Celery("told", broker=url, set_as_current=False, fixups=[])
    receiver = heard._receivers[fleet.pk]
    for _ in range(3):
        sent = send(client, 1)
        wait_for(lambda sent=sent: task(fleet, sent[0]))
        acknowledged = wait_for(lambda: receiver._acknowledged)
        flushes = heard.flushes
        wait_for(lambda flushes=flushes: heard.flushes > flushes + 3)

    assert acknowledged
    assert receiver._generation == 1
    assert not BlindSpell.objects.filter(fleet=fleet).exists()


def test_a_task_that_its_worker_does_not_have_ended_unseen(fleet: Fleet, url: str) -> None:
    """Its end was missed; one that runs, however long, is left alone, and so is that of a worker that says nothing."""
    queue = f"watched-{uuid4().hex[:8]}"
    client = producer(url, queue)
    with watched_worker(url, queue) as (_, node):
        running = client.send_task("watched.sleep", args=[60]).id
        wait_for(lambda: running in _held(fleet, node), seconds=40)
        for uuid, worker in ((running, node), ("ended", node), ("elsewhere", "gone@host")):
            at = time.time() - 100
            Task.objects.create(fleet=fleet, uuid=uuid, worker=worker, state=11, changed_at=at, seen_at=at)

        found = reconciling.reconcile(fleet_ref(fleet, [], []))

    states = dict(Task.objects.filter(fleet=fleet).values_list("uuid", "state"))
    assert found == 1
    assert states == {running: 11, "ended": Task.State.UNKNOWN, "elsewhere": 11}
    assert Task.objects.get(uuid="ended").runtime_seconds is None


def _held(fleet: Fleet, node: str) -> set[str]:
    reference = fleet_ref(fleet, [], [])
    return reconciling.held_by_workers(watching_app(reference), [node], reference).get(node, set())


def _told_of(heard: FleetReceivers, fleet: Fleet, node: str) -> dict[str, Any] | None:
    return heard._receivers[fleet.pk].hearing()["workers"].get(node)
