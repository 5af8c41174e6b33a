"""The collection cycle: true numbers, in time, whatever any one unit does."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subsystems.kernel import triggerable
from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import adapters, collection, services, tasks
from subsystems.s1_operations.adapters import base
from subsystems.s1_operations.adapters.base import Reading
from subsystems.s1_operations.models import CollectionCycle, CollectionFailure, Fleet, Unit
from subsystems.telemetry.queries import latest, window
from tests.support.factories import make_unit
from tests.support.writers import hang_up

pytestmark = pytest.mark.django_db(transaction=True)


class LocalServer:
    """A real HTTP server in a thread: `/ok`, `/fail`, `/away` (redirects), and `/hang`, which never answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self._ready.wait(5)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        await hang_up(self._writers)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            self.asked.append(path)
            if path == "/hang":
                await self._stop.wait()
            status = {"/fail": "503 No", "/away": "302 Found\r\nLocation: /ok"}.get(path, "200 OK")
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".encode())
            await writer.drain()
        writer.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    def unit(self, path: str, name: str = "") -> Unit:
        return make_unit(name or f"http{path}", kind="http", config={"url": f"http://127.0.0.1:{self.port}{path}"})


@pytest.fixture
def server(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    settings.HTTP_ALLOW = ["127.0.0.0/8"]
    monkeypatch.setattr(base, "UNIT_TIMEOUT_SECONDS", 30.0)  # a busy machine is not a service that hangs
    running = LocalServer()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _no_round_without_workers(request: pytest.FixtureRequest, transactional_db: None) -> None:
    """A round waits a second for workers that nobody knows: only the test that has one asks."""
    if "worker" not in request.fixturenames:
        Fleet.objects.create(system=root_system(), name=services.OWN_FLEET, own=True, enabled=False)


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    """Collect what open dashboards would be told."""
    told: list[tuple[str, str, Any]] = []
    for module in (collection, services):
        monkeypatch.setattr(module, "push", lambda _system, kind, key, body: told.append((kind, key, body)))
    return told


def newest(unit: Unit) -> dict[str, float]:
    found = latest(unit.system_id, sources=[unit.name]).get(unit.name, {})
    return {metric: value for metric, (_, value) in found.items()}


def test_the_platform_watches_its_own_host_unasked() -> None:
    """A newcomer sees true numbers without configuring anything."""
    collection.collect_now()
    collection.collect_now()

    unit = Unit.objects.get(kind="host", name=socket.gethostname())
    assert unit.state == Unit.State.ACTIVE
    assert {"cpu_ratio", "memory_ratio", "disk_ratio", "load_1m", "net_sent_bytes_per_second"} <= newest(unit).keys()
    assert unit.score is not None


def test_what_was_seen_is_kept_before_the_samples_that_alerts_are_judged_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 hears of an alert at once and asks what was seen of the queue: of this cycle, not of the one before."""
    order: list[str] = []
    record = collection.record
    monkeypatch.setattr(collection.rounds, "hand_on", lambda *_: order.append("rounds"))
    monkeypatch.setattr(collection, "record", lambda *args, **more: (order.append("samples"), record(*args, **more))[1])

    collection.collect_now()

    assert order[:2] == ["rounds", "samples"]


@pytest.mark.usefixtures("worker")
def test_the_platforms_own_worker_and_queues_appear() -> None:
    """Over the same road as any other fleet's."""
    collection.collect_now()

    worker = Unit.objects.get(kind="celery_worker")
    assert worker.fleet is not None
    assert worker.fleet.own
    assert newest(worker)["pool_size"] == 4.0
    assert newest(worker)["worker_up"] == 1.0
    queue = Unit.objects.get(kind="celery_queue", name="vsm/vsm.algedonic.v1")
    assert newest(queue)["consumers"] == 1.0


@pytest.mark.usefixtures("worker")
def test_each_host_is_measured_once_by_what_its_workers_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a host on which no cycle runs, and one that the platform has let go; two workers make no second sample."""
    collection.collect_now()
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    let_go = make_unit("elsewhere", kind="host", state="gone")

    collection.collect_now()
    collection.collect_now()

    let_go.refresh_from_db()
    assert (let_go.state, let_go.fleet) == (Unit.State.ACTIVE, None)
    assert newest(let_go).keys() >= {"cpu_ratio", "memory_ratio", "disk_ratio", "load_1m"}
    at = timezone.now().timestamp()
    times, _ = window(let_go.system_id, "memory_ratio", sources=["elsewhere"], start=at - 60, end=at)["elsewhere", ""]
    assert len(times) == 2


def test_a_worker_that_says_goodbye_while_it_is_asked_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every restart would leave a failure, and an open dashboard would show the worker as it was before."""
    services.ensure_own_units()
    fleet = Fleet.objects.get(own=True)
    unit = make_unit("vsm/w@h", kind="celery_worker", fleet=fleet, state="active", last_seen_at=timezone.now())
    answer = Reading(unit.pk, error="no answer", heard=False)

    def leave_meanwhile(*_: Any) -> collection.Findings:
        services.report_own_offline("w@h", now=timezone.now())
        return collection.Findings([answer])

    monkeypatch.setattr(collection, "measure", leave_meanwhile)
    collection.collect_now()

    unit.refresh_from_db()
    assert (unit.state, unit.last_error) == (Unit.State.GONE, "said goodbye")
    assert not CollectionFailure.objects.filter(unit=unit).exists()


def test_every_thread_reaches_the_platforms_own_application() -> None:
    """Celery's current application is per thread; a stranger would look for a broker where none is."""
    names: list[str] = []
    thread = threading.Thread(target=lambda: names.append(current_app.main))
    thread.start()
    thread.join()

    assert names == ["vsm"]


def test_http_services_are_measured_side_by_side(server: LocalServer) -> None:
    """What each answered, and a redirect that is not followed."""
    units = {path: server.unit(path) for path in ("/ok", "/fail", "/away")}

    collection.collect_now()

    found = {path: newest(unit) for path, unit in units.items()}
    assert {path: metrics["http_status"] for path, metrics in found.items()} == {"/ok": 200, "/fail": 503, "/away": 302}
    assert {path: metrics["http_up"] for path, metrics in found.items()} == {"/ok": 1, "/fail": 0, "/away": 1}
    assert 0 < found["/ok"]["latency_seconds"] < base.UNIT_TIMEOUT_SECONDS
    assert sorted(server.asked) == ["/away", "/fail", "/ok"]
    units["/fail"].refresh_from_db()
    assert (units["/fail"].state, units["/fail"].last_error) == (Unit.State.ACTIVE, "answered with status 503")


def test_a_unit_that_hangs_costs_a_second_and_one_failure_row(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One dead service must not stop the tick (002-18, 002-22)."""
    monkeypatch.setattr(base, "UNIT_TIMEOUT_SECONDS", 1.0)
    fine, hung = server.unit("/ok"), server.unit("/hang")
    collection.collect_now()
    CollectionFailure.objects.all().delete()

    collection.collect_now()

    assert newest(fine)["http_up"] == 1.0
    failure = CollectionFailure.objects.get()
    assert (failure.unit, failure.error, failure.details) == (hung, "collection_failed", "no answer within 1 s")


def test_an_internal_address_is_refused_when_it_is_not_listed(server: LocalServer, settings: Any) -> None:
    """Also by a name that resolves to one, and nothing is sent to it."""
    settings.HTTP_ALLOW = []
    literal = server.unit("/ok")
    named = make_unit("by-name", kind="http", config={"url": f"http://localhost:{server.port}/ok"})

    collection.collect_now()

    assert server.asked == []
    for unit in (literal, named):
        unit.refresh_from_db()
        assert "internal address" in unit.last_error


class Plug:
    """A plug-in whose behaviour a test chooses."""

    kind = "plug"
    title = "Plug"
    Config = base.Config

    def __init__(self, behave: Any) -> None:
        self.behave = behave

    async def collect(self, units: Any, context: base.Context) -> list[base.Reading]:
        return self.behave(units)


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(behave: Any) -> Unit:
        kinds = {**adapters.registry(), "plug": Plug(behave)}
        monkeypatch.setattr(adapters, "registry", lambda: kinds)
        return make_unit("plugged", kind="plug")

    return install


def test_a_plug_in_is_collected_like_the_others(plug: Any) -> None:
    """Its readings become samples, health and state."""
    unit = plug(lambda units: [base.Reading(units[0].id, {"level": 3.0}, parts={"level": 0.75, "other": None})])

    collection.collect_now()

    unit.refresh_from_db()
    assert (unit.state, unit.score, newest(unit)) == (Unit.State.ACTIVE, 0.75, {"level": 3.0})


def test_a_plug_in_that_raises_costs_only_its_own_units(plug: Any) -> None:
    """Foreign code may raise anything."""
    unit = plug(lambda units: 1 / 0)

    collection.collect_now()

    unit.refresh_from_db()
    assert unit.last_error.startswith("ZeroDivisionError")
    assert Unit.objects.get(kind="host").state == Unit.State.ACTIVE


def test_a_plug_in_that_blocks_costs_only_its_own_units(plug: Any) -> None:
    """Code that blocks an event loop would otherwise hold everybody's."""
    release = threading.Event()
    unit = plug(lambda units: release.wait(60) and [])

    try:
        collection.collect_now()  # returns although the plug-in has not
    finally:
        release.set()

    unit.refresh_from_db()
    assert unit.last_error == "no answer within 3 s"
    assert Unit.objects.get(kind="host").state == Unit.State.ACTIVE


def test_a_slot_is_collected_once() -> None:
    """Two beats, or a tick that is delivered again."""
    now = timezone.now()

    first, second = [collection.collect(now=now) for _ in range(2)]

    assert first is not None
    assert second is None
    assert CollectionCycle.objects.get().slot == first.slot


def test_a_cycle_is_recorded_and_told(pushed: list[Any]) -> None:
    """The dashboard shows the age of the last tick (002-19, 002-26)."""
    seen = collection.collect(now=timezone.now())

    assert seen is not None
    cycle = CollectionCycle.objects.get(slot=seen.slot)
    assert cycle.answered_count >= 1
    assert cycle.sample_count >= 3
    assert {"unit", "samples", "tick"} <= {kind for kind, _, _ in pushed}
    tick = next(body for kind, _, body in pushed if kind == "tick")
    assert tick.keys() == {"slot", "at", "duration_ms", "unit_count", "answered_count"}


def test_an_agent_that_stops_pushing_is_silent_and_returns(monkeypatch: pytest.MonkeyPatch, pushed: list[Any]) -> None:
    """Silence is a state of its own: score 0, and never mistaken for quiet."""
    monkeypatch.setattr(collection, "_started_at", timezone.now() - timedelta(hours=1))
    make_unit("fresh", state="active", last_seen_at=timezone.now() - timedelta(seconds=10))
    late = make_unit("late", state="active", last_seen_at=timezone.now() - timedelta(seconds=16))
    make_unit("patient", state="active", last_seen_at=late.last_seen_at, config={"silent_after_seconds": 60})

    collection.collect_now()

    states = {unit.name: str(unit.state) for unit in Unit.objects.filter(kind="agent")}
    assert states == {"fresh": "active", "late": "silent", "patient": "active"}
    late.refresh_from_db()
    assert (late.score, late.health_parts) == (0.0, {"heard": 0.0})
    assert [body["state"] for kind, key, body in pushed if (kind, key) == ("unit", str(late.pk))] == ["silent"]


def test_silence_is_counted_from_when_the_platform_listened(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an hour's outage of our own, nobody else has been silent."""
    monkeypatch.setattr(collection, "_started_at", timezone.now())
    unit = make_unit("agent", state="active", last_seen_at=timezone.now() - timedelta(hours=1))

    collection.collect_now()

    unit.refresh_from_db()
    assert unit.state == Unit.State.ACTIVE


def test_a_unit_that_was_never_heard_is_unknown() -> None:
    """Missing telemetry must not read as healthy, nor as ill (2-31)."""
    unit = make_unit("new")

    collection.collect_now()

    unit.refresh_from_db()
    assert (unit.state, unit.score, unit.health.value) == (Unit.State.NEW, None, "unknown")


def test_a_paused_unit_is_left_alone(server: LocalServer) -> None:
    """Also when somebody paused it while it was measured."""
    unit = services.pause_unit(server.unit("/ok"))

    collection.collect_now()

    unit.refresh_from_db()
    assert (unit.state, server.asked) == (Unit.State.PAUSED, [])


def test_the_number_of_statements_does_not_grow_with_the_units(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 pushing agents and 200 services within 5 s leave no time for a query per unit."""
    monkeypatch.setattr(collection, "CYCLE_TIMEOUT_SECONDS", 60.0)  # a busy machine is not what is measured
    now = timezone.now()
    collection.collect_now()
    small = statements_of_a_settled_cycle()
    Unit.objects.bulk_create(
        [Unit(system=root_system(), kind="agent", name=f"a{n}", state="active", last_seen_at=now) for n in range(1000)]
    )
    config = {"url": f"http://127.0.0.1:{server.port}/ok"}
    Unit.objects.bulk_create([Unit(system=root_system(), kind="http", name=f"h{n}", config=config) for n in range(200)])

    collection.collect_now()

    assert Unit.objects.filter(kind="http", state="active").count() == 200
    assert statements_of_a_settled_cycle() <= small + 3  # wherever a latency moved, a part or two is written


def statements_of_a_settled_cycle() -> int:
    """The fewest of a few cycles: a latency that moves adds a statement or two, one for each unit stays."""
    collection.collect_now()
    counts = []
    for _ in range(3):
        with CaptureQueriesContext(connection) as captured:
            collection.collect_now()
        counts.append(len(captured))
    return min(counts)


def test_many_polled_units_are_shared_out_once(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what one process can poll, other workers take a part each, and none twice."""
    monkeypatch.setattr(collection, "SHARD_SIZE", 3)
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(collection, "announce", lambda *_: None)
    monkeypatch.setattr(collection.current_app, "send_task", lambda name, kwargs, **_: sent.append(kwargs))
    for number in range(7):
        server.unit("/ok", name=f"h{number}")

    seen = collection.collect(now=timezone.now())
    assert seen is not None
    answered = [tasks.collect_shard(**part) for part in sent for _ in range(2)]

    assert [(part["shard"], part["shards"]) for part in sent] == [(1, 3), (2, 3)]
    assert len(answered) == 4
    assert len(server.asked) == 7
    assert CollectionCycle.objects.get().answered_count >= 8
    assert Unit.objects.filter(kind="http", state="active").count() == 7


def test_a_unit_whose_adapter_is_gone_says_so() -> None:
    """A plug-in was uninstalled; its units remain."""
    unit = make_unit("orphan", kind="tide")

    collection.collect_now()

    unit.refresh_from_db()
    assert unit.last_error == "its adapter is not installed"


def test_a_fleet_sealed_under_another_key_is_named(settings: Any) -> None:
    """A restored database with a new secret key: the fleet says so, the tick goes on."""
    fleet = Fleet.objects.create(system=root_system(), name="old", broker_url_sealed="gAAAA-other")

    collection.collect_now()

    fleet.refresh_from_db()
    assert "sealed under another secret key" in fleet.last_error
    assert Unit.objects.get(kind="host").state == Unit.State.ACTIVE


def test_probing_a_unit_measures_it_now(server: LocalServer) -> None:
    """Triggered by a person who wants to know before the next tick."""
    unit = server.unit("/ok")
    entry = triggerable.find("operations.probe_unit")

    answer = entry.run(entry.arguments(unit_id=unit.pk))

    assert (answer["unit"], answer["heard"], answer["metrics"]["http_status"]) == (unit.name, True, 200.0)


def test_an_agent_cannot_be_probed() -> None:
    """It is refused with a reason rather than reported as failed."""
    entry = triggerable.find("operations.probe_unit")

    with pytest.raises(Refused):
        entry.run(entry.arguments(unit_id=make_unit("pusher").pk))
    with pytest.raises(Invalid):
        entry.run(entry.arguments(unit_id=987_654))


def test_collecting_now_answers_with_what_it_saw() -> None:
    """The result of a triggered run comes back as plain JSON."""
    entry = triggerable.find("operations.collect_now")

    answer = entry.run(entry.arguments())

    assert answer["answered_count"] >= 1
    assert answer["duration_ms"] > 0


def test_old_failures_and_cycles_are_forgotten() -> None:
    """Kept a day (002-16)."""
    now = timezone.now()
    unit = make_unit("w", kind="celery_worker", state="silent", score=0.0)
    for hours in (1, 25):
        CollectionFailure.objects.create(unit=unit, slot=hours, at=now - timedelta(hours=hours), details="x")
        CollectionCycle.objects.create(slot=hours, started_at=now - timedelta(hours=hours))

    deleted = services.forget_failures(now=now)

    assert (deleted, CollectionFailure.objects.get().slot, CollectionCycle.objects.get().slot) == (1, 1, 1)
