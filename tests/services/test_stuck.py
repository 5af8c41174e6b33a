"""What is stuck on real brokers: workers deaf, stopped and killed, poison, starvation, queues that nobody reads."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psutil
import pytest
from django.utils import timezone

from subsystems.fleets import detection
from subsystems.fleets.detectors.base import Patience
from subsystems.fleets.models import QueueState, StuckFinding, Task, WorkerState
from subsystems.fleets.receiver import FleetReceivers
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import collection, services
from subsystems.s1_operations.adapters.celery_link import close_links
from subsystems.s1_operations.models import Fleet, Unit
from tests.support.brokers import fleet_broker
from tests.support.waiting import wait_for
from tests.support.watched_app import producer, watched_worker

pytestmark = pytest.mark.django_db(transaction=True)
# A hundredth of the usual patience: the same decisions, in the time of a test.
QUICK = Patience(
    stalled_seconds=0.6, unread_seconds=0.3, starved_seconds=1.0, lost_seconds=0.5, frozen_seconds=3.0,
    extra_seconds=0.3, gone_seconds=0.5, republished_seconds=0.2, settled_seconds=0.1,
)  # fmt: skip


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return fleet_broker(getattr(request, "param", "amqp"))


@pytest.fixture
def fleet(url: str) -> Iterator[Fleet]:
    yield services.watch_fleet(root_system(), url, name=f"fleet-{uuid4().hex[:8]}")
    close_links()


@pytest.fixture
def heard(fleet: Fleet) -> Iterator[FleetReceivers]:
    receivers = FleetReceivers()
    receivers.start()
    wait_for(lambda: fleet.pk in receivers._receivers and receivers._receivers[fleet.pk].listening.is_set())
    yield receivers
    receivers.stop()


@pytest.fixture
def queue() -> str:
    return f"watched-{uuid4().hex[:8]}"


def look(fleet: Fleet, **changed: Any) -> dict[str, StuckFinding]:
    """Ask workers and brokers, look for what is stuck, and return it by kind."""
    collection.collect_now()
    patience = Patience(**{**{name: getattr(QUICK, name) for name in QUICK.__slots__}, **changed})
    detection.look(now=timezone.now(), patience=patience, fleets=[Fleet.objects.get(pk=fleet.pk)])
    return {finding.kind: finding for finding in StuckFinding.objects.filter(fleet=fleet, ended_at=None)}


def found(fleet: Fleet, kind: str, **changed: Any) -> StuckFinding:
    return wait_for(lambda: look(fleet, **changed).get(kind), seconds=40)


def answered(fleet: Fleet, node: str) -> WorkerState:
    def once() -> WorkerState | None:
        collection.collect_now()
        return WorkerState.objects.filter(fleet=fleet, name=node, queues__isnull=False).first()

    return wait_for(once, seconds=40)


@pytest.mark.parametrize("url", ["amqp", "redis"], indirect=True)
def test_a_long_task_is_no_stall_and_a_deaf_worker_is(fleet: Fleet, url: str, queue: str) -> None:
    """The worker answers ping all the time: only what it does tells the two apart."""
    client = producer(url, queue)
    with watched_worker(url, queue, size=1, prefetch=1) as (_, node):
        answered(fleet, node)
        for _ in range(4):
            client.send_task("watched.sleep", [1.2])
        wait_for(lambda: (row := answered(fleet, node)).active_count == 1 and row)
        busy = [look(fleet) for _ in range(6)]
        wait_for(lambda: answered(fleet, node).active_count == 0, seconds=30)
        client.control.broadcast("go_deaf", destination=[node], reply=True, timeout=2, limit=1)
        client.send_task("watched.succeed")
        finding = found(fleet, "stalled_worker")

    assert busy == [{}] * 6
    assert (finding.subject, finding.evidence["how"], finding.evidence["waiting_queues"]) == (node, "deaf", [queue])
    assert finding.signal_id is not None


def test_a_pool_that_stands_still_and_a_worker_that_is_frozen(fleet: Fleet, url: str, queue: str) -> None:
    """SIGSTOP to the pool's process, then to the whole worker; each ends when it may go on."""
    client = producer(url, queue)
    with watched_worker(url, queue, pool="prefork", size=1) as (process, node):
        answered(fleet, node)
        (child,) = psutil.Process(process.pid).children()
        child.send_signal(signal.SIGSTOP)
        client.send_task("watched.succeed")
        still = found(fleet, "stalled_worker")
        child.send_signal(signal.SIGCONT)
        wait_for(lambda: not look(fleet), seconds=30)
        process.send_signal(signal.SIGSTOP)
        frozen = found(fleet, "stalled_worker")
        process.send_signal(signal.SIGCONT)
        wait_for(lambda: not look(fleet), seconds=30)

    assert [finding.evidence["how"] for finding in (still, frozen)] == ["still", "frozen"]
    assert frozen.evidence["queues_that_count_it"] == [queue]
    assert StuckFinding.objects.filter(fleet=fleet, signal__state="resolved").count() == 2


def test_a_queue_that_only_a_client_names_is_found_unread(
    fleet: Fleet, url: str, queue: str, heard: FleetReceivers
) -> None:
    """A typing error in a route: no worker ever told of this queue."""
    producer(url, queue, tells=True).send_task("watched.succeed")

    finding = found(fleet, "queue_without_consumer")

    assert (finding.subject, finding.evidence["ready"]) == (queue, 1.0)
    assert Unit.objects.filter(fleet=fleet, kind="celery_queue", name=f"{fleet.name}/{queue}").exists()


def test_what_a_killed_worker_ran_is_lost_and_what_it_held_is_not(
    fleet: Fleet, url: str, queue: str, heard: FleetReceivers
) -> None:
    """Celery acknowledges before it runs: that one is gone. The others go back to the queue, which nobody reads."""
    client = producer(url, queue, tells=True)
    with watched_worker(url, queue, size=1) as (process, node):
        answered(fleet, node)
        running = client.send_task("watched.sleep", [60]).id
        held = [client.send_task("watched.succeed").id for _ in range(3)]
        wait_for(lambda: Task.objects.filter(fleet=fleet, uuid=held[2], state=Task.State.RECEIVED).exists())
        wait_for(lambda: (row := answered(fleet, node)).active and row)
        process.kill()
        process.wait(10)
        lost = found(fleet, "lost_tasks")
        unread = found(fleet, "queue_without_consumer")

    assert (lost.subject, lost.evidence["tasks"], lost.evidence["how"]) == (f"on {node}", [running], "never_finished")
    assert (unread.subject, unread.evidence["ready"]) == (queue, 3.0)


def test_a_task_that_kills_whoever_runs_it_is_a_loop(fleet: Fleet, url: str, queue: str, heard: FleetReceivers) -> None:
    """Late acknowledgement and a task that takes all memory: given out again for ever."""
    client = producer(url, queue)
    with watched_worker(url, queue, pool="prefork", size=1) as (_, node):
        answered(fleet, node)
        poison = client.send_task("watched.die").id
        finding = found(fleet, "redelivery_loop")
        client.control.revoke(poison)

    assert (finding.subject, finding.evidence["tasks"]) == ("watched.die", [poison])
    assert finding.evidence["most_redeliveries"] >= 3


def test_a_low_priority_that_never_gets_its_turn_starves(
    fleet: Fleet, url: str, queue: str, heard: FleetReceivers
) -> None:
    """High ones keep coming and are started first; the same load in order is only slow."""
    client = producer(url, queue, tells=True, priorities=10)
    with watched_worker(url, queue, size=1, prefetch=1, priorities=10) as (_, node):
        answered(fleet, node)
        client.send_task("watched.sleep", [5], priority=9)
        wait_for(lambda: (row := answered(fleet, node)).active_count == 1 and row)
        low = {client.send_task("watched.sleep", [0.05], priority=1).id for _ in range(6)}
        for _ in range(1_200):  # a minute of work at least: the line of high ones does not end while we look
            client.send_task("watched.sleep", [0.05], priority=9)
        finding = found(fleet, "starved_priority", starved_seconds=3.0)

    assert finding.subject == queue
    assert set(finding.evidence["tasks"][:4]) <= low  # the oldest are named first
    assert finding.evidence["later_ones_started"] >= 10


@pytest.mark.parametrize("url", ["redis"], indirect=True)
def test_depths_by_priority_and_what_workers_hold_are_told_on_redis(fleet: Fleet, url: str, queue: str) -> None:
    """Each priority is a list of its own there: whoever looks at the first alone sees an empty queue."""
    client = producer(url, queue)
    for priority in (0, 9, 9):
        client.send_task("watched.sleep", [30], priority=priority)
    services.notice_queues(fleet, [queue])
    collection.collect_now()
    waiting = QueueState.objects.get(fleet=fleet, name=queue)
    with watched_worker(url, queue, size=1, prefetch=1):
        held = wait_for(lambda: _collected(fleet, queue, unacked__gte=1), seconds=40)

    assert (waiting.ready, waiting.levels, waiting.unacked, waiting.consumers) == (3, {"0": 1, "9": 2}, 0, 0)
    assert held.ready is not None
    assert held.ready < 3


def _collected(fleet: Fleet, queue: str, **wanted: Any) -> QueueState | None:
    collection.collect_now()
    return QueueState.objects.filter(fleet=fleet, name=queue, **wanted).first()
