"""Fleets on real brokers: a worker of another application appears, changes, and falls silent."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from threading import Event
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone

from subsystems.fleets.listening import FleetReceiver
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import collection, services
from subsystems.s1_operations.adapters.base import FleetRef
from subsystems.s1_operations.adapters.celery_link import Link, close_links
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s1_operations.queries import broker_url, fleet_ref
from subsystems.telemetry.queries import latest
from tests.support.brokers import fleet_broker
from tests.support.watched_app import eventually, producer, watched_worker
from tests.support.writers import hang_up

pytestmark = pytest.mark.django_db(transaction=True)
BROKERS = ["amqp", "redis"]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """The address of a broker of the wanted kind; Redis by a database that the platform does not use."""
    return fleet_broker(request.param)


@pytest.fixture
def fleet(url: str) -> Iterator[Fleet]:
    fleet = services.watch_fleet(root_system(), url, name=f"fleet-{uuid4().hex[:8]}")
    yield fleet
    close_links()


def collect_and_get(fleet: Fleet, kind: str, name: str) -> Unit | None:
    collection.collect_now()
    return Unit.objects.filter(fleet=fleet, kind=kind, name=f"{fleet.name}/{name}").first()


def newest(unit: Unit) -> dict[str, float]:
    return {metric: value for metric, (_, value) in latest(unit.system_id, sources=[unit.name])[unit.name].items()}


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_a_worker_of_another_application_appears_changes_and_falls_silent(fleet: Fleet, url: str) -> None:
    """The promise to whoever adds a broker's address: 15 s until it is seen, 15 s until a death is seen."""
    queue = f"watched-{uuid4().hex[:8]}"
    with watched_worker(url, queue) as (process, node):
        worker, _ = eventually(lambda: collect_and_get(fleet, "celery_worker", node), within=30)
        assert worker is not None
        assert (worker.state, newest(worker)["pool_size"]) == (Unit.State.ACTIVE, 2.0)
        assert collect_and_get(fleet, "celery_queue", queue) is not None

        producer(url, queue).send_task("watched.succeed")
        eventually(lambda: has_processed(fleet, node, 1.0), within=15)

        process.kill()
        _, taken = eventually(lambda: is_silent(fleet, node), within=20)

    assert taken < 15
    worker.refresh_from_db()
    assert (worker.score, worker.health_parts) == (0.0, {"heard": 0.0})


def has_processed(fleet: Fleet, node: str, wanted: float) -> bool:
    unit = collect_and_get(fleet, "celery_worker", node)
    return unit is not None and newest(unit).get("processed_total") == wanted


def is_silent(fleet: Fleet, node: str) -> bool:
    unit = collect_and_get(fleet, "celery_worker", node)
    return unit is not None and unit.state == Unit.State.SILENT


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_what_waits_in_a_queue_is_counted(fleet: Fleet, url: str) -> None:
    """A backlog that nobody works on is the first sign of a dead worker; priorities must not hide a part of it."""
    queue = f"watched-{uuid4().hex[:8]}"
    with watched_worker(url, queue) as (process, node):
        eventually(lambda: collect_and_get(fleet, "celery_queue", queue), within=30)
        process.kill()
        process.wait(10)
    client = producer(url, queue)
    # Redis spreads priorities over several lists; RabbitMQ ignores them on a queue without priorities.
    client.conf.broker_transport_options = {"priority_steps": list(range(10))}
    for priority in (0, 5, 9):
        client.send_task("watched.succeed", priority=priority)

    unit, _ = eventually(lambda: has_ready(fleet, queue, 3.0), within=15)

    assert unit.health_parts["queue"] == 1.0


def has_ready(fleet: Fleet, queue: str, wanted: float) -> Any:
    unit = collect_and_get(fleet, "celery_queue", queue)
    return unit if unit and newest(unit).get("ready") == wanted else None


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_events_tell_how_tasks_end_and_who_says_goodbye(fleet: Fleet, url: str) -> None:
    """Rates and failures come from events alone, and a worker that is stopped properly is silent without waiting."""
    queue = f"watched-{uuid4().hex[:8]}"
    receiver = FleetReceiver(fleet_ref(fleet, [], []))
    receiver.start()
    told: dict[str, dict[str, float]] = {}
    offline: list[str] = []

    def listen() -> None:
        report = receiver.take().report
        told.update(report.metrics)
        offline.extend(report.offline)
        Event().wait(0.05)

    def heard_failure(node: str) -> bool:
        listen()
        return told.get(node, {}).get("failed_total") == 1

    def heard_goodbye(node: str) -> bool:
        listen()
        return node in offline

    try:
        assert receiver.listening.wait(10)
        with watched_worker(url, queue) as (process, node):
            for task in ("watched.succeed", "watched.fail"):
                producer(url, queue).send_task(task)
            eventually(lambda: heard_failure(node), within=30)
            process.terminate()
            eventually(lambda: heard_goodbye(node), within=15)
    finally:
        receiver.stop()
        receiver.join(5)

    assert told[node]["task_rate"] > told[node]["failure_rate"] > 0


def test_a_broker_that_is_down_is_watched_and_says_so() -> None:
    """Operators add a fleet before, during and after its outage; only the credentials must stay unseen."""
    url = "amqp://someone:s3cret-word@127.0.0.1:1//"
    started = time.monotonic()

    fleet = services.watch_fleet(root_system(), url)
    collection.collect_now()
    fleet.refresh_from_db()

    assert time.monotonic() - started < 6
    assert fleet.last_error
    assert "s3cret" not in f"{fleet.last_error} {fleet.broker_display} {fleet.broker_url_sealed}"
    assert broker_url(fleet) == url


class Gate:
    """A door to the broker in front of it: shut, it hangs up on whoever comes."""

    def __init__(self, host: str, port: int) -> None:
        self._behind = (host, port)
        self.is_open, self.came = False, 0
        self._writers: list[asyncio.StreamWriter] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self._ready.wait(5)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._receive, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        await hang_up(self._writers)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        self._writers.append(writer)
        if self.is_open:
            there, back = await asyncio.open_connection(*self._behind)
            self._writers.append(back)
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    parts = urlsplit(settings.BROKER_URL)
    gate = Gate(parts.hostname or "127.0.0.1", parts.port or 5672)
    yield gate
    gate.close()


def test_a_broken_link_is_mended_beside_the_cycles(gate: Gate) -> None:
    """A broker that is away must not cost each cycle an attempt; back again, it is found without a restart."""
    parts = urlsplit(settings.BROKER_URL)
    url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{gate.port}").geturl()
    fleet = FleetRef(1, "far", url, heard_at=timezone.now())
    link = Link(fleet)

    first, came = link.round(fleet), gate.came
    again = [link.round(fleet) for _ in range(50)]

    assert first.error.startswith("unreachable since ")
    assert {found.error for found in again} == {first.error}
    assert gate.came == came
    gate.is_open = True
    eventually(lambda: not link.round(fleet).error, within=15)
    link.close()


def test_wrong_credentials_are_reported_without_being_repeated() -> None:
    """A broker's refusal may quote the address that it was given."""
    host = settings.BROKER_URL.rpartition("@")[2]

    fleet = services.watch_fleet(root_system(), f"amqp://nobody:s3cret-word@{host}")

    assert fleet.last_error
    assert "s3cret" not in fleet.last_error
    assert fleet.connected_at is None


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_a_fleet_that_answers_is_connected(fleet: Fleet) -> None:
    """The dashboard shows since when a broker is out of reach."""
    Fleet.objects.filter(pk=fleet.pk).update(connected_at=timezone.now() - timedelta(hours=1))

    collection.collect_now()
    fleet.refresh_from_db()

    assert fleet.connected_at is not None
    assert timezone.now() - fleet.connected_at < timedelta(minutes=1)
