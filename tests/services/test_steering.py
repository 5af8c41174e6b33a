"""Steering real workers on real brokers: what was asked is done, and the workers themselves prove it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from subsystems.fleets.models import Task
from subsystems.fleets.receiver import FleetReceivers
from subsystems.kernel.errors import Refused
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services as operations
from subsystems.s1_operations.adapters.celery_control import FleetControl, control_of
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control import captures, carrying, standing, steering
from subsystems.s3_control.models import Action, StandingOrder
from subsystems.s3_control.previews import rates_now, reference, workers_now
from subsystems.s3_control.workers import capabilities
from tests.support.brokers import fleet_broker
from tests.support.factories import make_user
from tests.support.waiting import wait_for
from tests.support.watched_app import producer, watched_worker

pytestmark = pytest.mark.django_db(transaction=True)
BROKERS = ["amqp", "redis"]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return fleet_broker(getattr(request, "param", "amqp"))


@pytest.fixture
def fleet(url: str) -> Fleet:
    return operations.watch_fleet(root_system(), url, name=f"fleet-{uuid4().hex[:8]}")


@pytest.fixture
def queue() -> str:
    return f"steered-{uuid4().hex[:8]}"


@pytest.fixture
def operator() -> User:
    return make_user(role="operator")


Steer = Callable[..., Action]


@pytest.fixture
def steer(fleet: Fleet, operator: User) -> Steer:
    """Propose an act and carry it out to its end, as the handler and the clock do."""

    def act(kind: str, target: str = "", *, to_end: bool = True, **parameters: Any) -> Action:
        action = steering.propose(steering.Request(fleet, kind, target, parameters), by=operator)
        return finish(action) if to_end else action

    return act


def finish(action: Action, within: float = 30.0) -> Action:
    """Do what the message and then the clock would do, until *action* has ended."""
    carrying.carry_out(str(action.pk), now=timezone.now())

    def ended() -> bool:
        action.refresh_from_db()
        if action.state not in Action.OPEN:
            return True
        carrying.carry_on(now=timezone.now())
        threading.Event().wait(0.05)
        return False

    wait_for(ended, seconds=within)
    return action


def expect(fleet: Fleet, *nodes: str) -> None:
    """Let the platform know its workers, as the first collection does, and wait until they answer."""
    for node in nodes:
        Unit.objects.create(
            system=fleet.system, fleet=fleet, kind="celery_worker", name=f"{fleet.name}/{node}", state="active"
        )

    def reading() -> bool:
        with control_of(reference(fleet)) as control:
            return {node for node, worker in workers_now(control).items() if worker.queues} >= set(nodes)

    wait_for(reading, seconds=30)


def read(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_a_worker_is_steered_and_shows_it(fleet: Fleet, queue: str, url: str, steer: Steer) -> None:
    """Each act ends only when the worker itself shows what was asked of it; what was before is kept to undo it."""
    other = f"{queue}-other"
    with watched_worker(url, queue, pool="prefork", size=1) as (_, node):
        expect(fleet, node)
        with control_of(reference(fleet)) as control:
            control.ensure_queue(other)

        done = [
            steer("worker.grow", node, by=2),
            steer("worker.shrink", node, by=1),
            steer("worker.add_consumer", node, queue=other),
            steer("worker.cancel_consumer", node, queue=other),
            steer("task.rate_limit", "watched.write", rate="90/m"),
            steer("task.time_limit", "watched.write", soft_seconds=20, hard_seconds=30),
        ]
        with control_of(reference(fleet)) as control:
            rates = rates_now(control, "watched.write", [node])
            size = workers_now(control)[node].size

    assert [(action.kind, action.state, action.detail) for action in done if action.state != "verified"] == []
    assert (rates, size) == ({node: "90/m"}, 2)
    assert done[0].before["workers"][node]["size"] == 1
    assert done[0].after["workers"][node]["size"] == 3


def test_what_a_pool_cannot_do_is_said_before_it_is_tried(fleet: Fleet, queue: str, url: str, steer: Steer) -> None:
    """Celery takes these orders and fails later, or says yes and does nothing."""
    with watched_worker(url, queue, pool="threads") as (_, node):
        expect(fleet, node)

        refusals = {}
        for kind, target, parameters in [
            ("worker.grow", node, {"by": 1}),
            ("worker.autoscale", node, {"max": 3, "min": 1}),
            ("task.time_limit", "watched.write", {"hard_seconds": 3}),
        ]:
            with pytest.raises(Refused) as refused:
                steer(kind, target, **parameters)
            refusals[kind] = refused.value.detail

    assert "fixed size" in refusals["worker.grow"]
    assert "--autoscale" in refusals["worker.autoscale"]
    assert "ignores them" in refusals["task.time_limit"]
    assert not Action.objects.exists()


@contextmanager
def hearing(fleet: Fleet) -> Iterator[None]:
    """Hear the fleet, in threads of this process."""
    receivers = FleetReceivers()
    receivers.start()
    wait_for(lambda: fleet.pk in receivers._receivers and receivers._receivers[fleet.pk].listening.is_set())
    try:
        yield
    finally:
        receivers.stop()


@pytest.mark.parametrize(
    ("pool", "cannot"),
    [
        pytest.param("gevent", {}, id="gevent can do all but what needs an autoscaler"),
        pytest.param(
            "solo",
            {"resize": "fixed size", "terminate": "cannot stop a task", "time_limit": "ignores them"},
            id="solo can do nothing but work",
        ),
    ],
)
def test_other_pools_are_heard_and_steered_as_far_as_they_can(
    fleet: Fleet, queue: str, url: str, steer: Steer, pool: str, cannot: dict[str, str], tmp_path: Path
) -> None:
    """What the platform says of a pool is true of a real one: it grows, limits and drains, or is refused before."""
    log = tmp_path / "log"
    with hearing(fleet), watched_worker(url, queue, pool=pool) as (process, node):
        expect(fleet, node)
        with control_of(reference(fleet)) as control:
            worker = workers_now(control)[node]
        grown = [] if "resize" in cannot else [steer("worker.grow", node, by=2), steer("worker.shrink", node, by=1)]
        for kind, target, parameters, verb in [
            ("worker.grow", node, {"by": 1}, "resize"),
            ("task.time_limit", "watched.write", {"hard_seconds": 30}, "time_limit"),
        ]:
            if verb in cannot:
                with pytest.raises(Refused, match=cannot[verb]):
                    steer(kind, target, **parameters)
            else:
                assert steer(kind, target, **parameters).state == "verified"
        limited = steer("task.rate_limit", "watched.write", rate="90/m")
        uuid = producer(url, queue).send_task("watched.write", [str(log), "x", 0.3]).id
        wait_for(lambda: read(log))
        drained = steer("worker.drain", node)
        process.wait(10)
        wait_for(lambda: Task.objects.filter(fleet=fleet, uuid=uuid, state=Task.State.SUCCESS, worker=node).exists())

    refusals = capabilities(worker)
    assert worker.pool == pool
    assert [each.state for each in [*grown, limited, drained]] == ["verified"] * (len(grown) + 2)
    assert [line[0] for line in read(log)] == ["began", "ended"]
    assert "--autoscale" in refusals.pop("autoscale")
    assert {verb for verb, why in refusals.items() if why} == set(cannot)
    assert all(why in refusals[verb] for verb, why in cannot.items())


def test_a_worker_that_scales_itself_grows_by_its_bounds(fleet: Fleet, queue: str, url: str, steer: Steer) -> None:
    """With an autoscaler Celery refuses to grow a pool: the bounds are what can be moved, and moved back."""
    with watched_worker(url, queue, pool="prefork", options=["--autoscale", "2,1"]) as (_, node):
        expect(fleet, node)

        grown = steer("worker.grow", node, by=2)
        moved = steer("worker.autoscale", node, max=3, min=2)

    assert (grown.state, grown.after["workers"][node]["autoscale"]) == ("verified", [4, 1])
    assert (moved.state, moved.after["workers"][node]["autoscale"]) == ("verified", [3, 2])


@pytest.mark.parametrize("url", BROKERS, indirect=True)
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_drained_worker_ends_its_work_first(
    fleet: Fleet, queue: str, url: str, pool: str, steer: Steer, tmp_path: Path
) -> None:
    """Scale-in must cost no task: what runs ends, what waits goes to whoever stays."""
    log = tmp_path / "log"
    with watched_worker(url, queue, pool=pool, size=2) as (process, node):
        expect(fleet, node)
        for number in range(6):
            producer(url, queue).send_task("watched.write", [str(log), str(number), 0.8])
        wait_for(lambda: len(read(log)) >= 2)

        drained = steer("worker.drain", node)
        process.wait(20)
        begun = {text for word, text, _ in read(log) if word == "began"}
        ended = {text for word, text, _ in read(log) if word == "ended"}
        with control_of(reference(fleet)) as control:
            left = control.depth(queue)

    assert (drained.state, drained.done) == ("verified", 1)
    assert begun == ended
    assert len(ended) + left == 6
    assert process.returncode == 0


def test_scale_in_takes_the_idle_worker_and_leaves_the_last(
    fleet: Fleet, queue: str, url: str, steer: Steer, tmp_path: Path
) -> None:
    """Of a busy and an idle worker the idle one is to go; the last one stays whatever was asked for."""
    log = tmp_path / "log"
    with (
        watched_worker(url, queue, name=f"{queue}-1") as (first, one),
        watched_worker(url, f"{queue}-idle", name=f"{queue}-2") as (second, two),
    ):
        expect(fleet, one, two)
        producer(url, queue).send_task("watched.write", [str(log), "x", 30.0])
        wait_for(lambda: read(log))

        scaled = steer("fleet.scale_in", workers=5)
        second.wait(10)
        still = first.poll()

    assert (scaled.state, scaled.done, scaled.total) == ("verified", 1, 1)
    assert list(scaled.before["workers"]) == [two]
    assert still is None


def test_a_drain_that_is_out_of_time_gives_the_worker_its_queues_back(
    fleet: Fleet, queue: str, url: str, steer: Steer, tmp_path: Path
) -> None:
    """Work is never killed: a worker that stays busy stays, and reads its queues again."""
    log = tmp_path / "log"
    with watched_worker(url, queue) as (process, node):
        expect(fleet, node)
        producer(url, queue).send_task("watched.write", [str(log), "x", 60.0])
        wait_for(lambda: read(log))

        drained = steer("worker.drain", node, wait_seconds=1.0)
        with control_of(reference(fleet)) as control:
            again = wait_for(lambda: workers_now(control)[node].queues)
        alive = process.poll() is None

    assert (drained.state, drained.after["workers"][node]["outcome"]) == ("failed", "it still had work")
    assert (again, alive) == ((queue,), True)


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_a_pause_holds_for_late_workers_and_ends_by_the_clock(
    fleet: Fleet, queue: str, url: str, steer: Steer, tmp_path: Path
) -> None:
    """Whoever pauses a queue for ten minutes may close the laptop; the database remembers, and the clock resumes."""
    log = tmp_path / "log"
    with watched_worker(url, queue, name=f"{queue}-1") as (_, one):
        expect(fleet, one)
        paused = steer("queue.pause", queue, minutes=10)
        with watched_worker(url, queue, name=f"{queue}-2") as (_, two):
            expect(fleet, two)

            def quiet() -> bool:
                standing.keep_orders(now=timezone.now())
                with control_of(reference(fleet)) as control:
                    return all(queue not in (worker.queues or ()) for worker in workers_now(control).values())

            wait_for(quiet)
            producer(url, queue).send_task("watched.write", [str(log), "x"])
            standing.keep_orders(now=timezone.now() + timedelta(minutes=11))
            before = read(log)
            resumed = finish(Action.objects.get(kind="queue.resume"))
            wait_for(lambda: len(read(log)) == 2)

    paused.refresh_from_db()
    assert (paused.state, resumed.state, resumed.actor, before) == ("verified", "verified", "the platform", [])
    assert paused.undone_by == resumed
    assert {one, two} == set(resumed.after["workers"])
    assert not StandingOrder.objects.filter(ended_at=None).exists()


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_a_revoke_is_proven_and_told_to_late_workers(
    fleet: Fleet, queue: str, url: str, steer: Steer, tmp_path: Path
) -> None:
    """Celery keeps revokes in memory: a worker that starts later would run what was revoked."""
    log = tmp_path / "log"
    client = producer(url, queue)
    with watched_worker(url, f"{queue}-x", name=f"{queue}-1") as (process, one):
        expect(fleet, one)
        ids = [client.send_task("watched.write", [str(log), str(number)]).id for number in range(5)]
        revoked = steer("task.revoke", ids=ids[:4])
        process.kill()
    with watched_worker(url, f"{queue}-x", name=f"{queue}-2") as (_, two):
        expect(fleet, two)
        Unit.objects.filter(name=f"{fleet.name}/{one}").update(state="gone")
        standing.keep_orders(now=timezone.now())
        with control_of(reference(fleet)) as control:
            control.tell("add_consumer", {"queue": queue}, [two])
        wait_for(lambda: len(read(log)) == 2)
        with control_of(reference(fleet)) as control:
            wait_for(lambda: control.depth(queue) == 0)
            held = set(control.ask("revoked", {}, [two])[two])

    order = StandingOrder.objects.get()
    assert (revoked.state, revoked.done, revoked.after["confirmed"]) == ("verified", 4, [one])
    assert {text for _, text, _ in read(log)} == {"4"}
    assert held >= set(ids[:4])
    assert set(order.confirmations.values_list("node", flat=True)) == {one, two}


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_a_parked_queue_comes_back_as_it_was(fleet: Fleet, queue: str, url: str, steer: Steer, tmp_path: Path) -> None:
    """Parking is for poison and for floods: nothing is lost, nothing is run, and what comes back is what went."""
    log = tmp_path / "log"
    client = producer(url, queue)
    with control_of(reference(fleet)) as control:
        control.ensure_queue(queue)
    sent = [client.send_task("watched.write", [str(log), str(number)]).id for number in range(30)]

    parked = steer("queue.park", queue)
    purged_from = steer("queue.replay", queue, limit=20)
    with control_of(reference(fleet)) as control:
        depths = control.depth(queue), control.depth(f"{queue}.parked")
    with watched_worker(url, queue) as (_, node):
        expect(fleet, node)
        wait_for(lambda: len(read(log)) == 40)
    thrown = steer("queue.purge", f"{queue}.parked")

    assert (parked.state, parked.done, purged_from.done, depths) == ("verified", 30, 20, (20, 10))
    assert sorted(int(text) for word, text, _ in read(log) if word == "ended") == list(range(20))
    assert (thrown.state, thrown.done, len(sent)) == ("verified", 10, 30)


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_tasks_are_sent_again_with_their_true_arguments(
    fleet: Fleet, queue: str, url: str, steer: Steer, tmp_path: Path
) -> None:
    """Events cut arguments off; only the message that was published tells them all."""
    log = tmp_path / "log"
    text = "long" * 500
    with watched_worker(url, queue) as (_, node):
        expect(fleet, node)
        captures.keep(fleet, [captured("one", queue, [str(log), text])])

        retried = steer("task.retry", ids=["one", "unknown"])
        wait_for(lambda: len(read(log)) == 2)
        triggered = steer("task.trigger", "watched.write", args=[str(log), "by hand"], queue=queue)
        wait_for(lambda: len(read(log)) == 4)

    results = dict(retried.items.values_list("key", "result"))
    assert (retried.state, retried.done, retried.failed) == ("applied", 1, 1)
    assert "not captured" in results["unknown"]
    assert [line[1] for line in read(log)][:2] == [text, text]
    assert triggered.state == "verified"


def captured(task_id: str, queue: str, args: list[Any]) -> dict[str, Any]:
    body = json.dumps([args, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    headers = {"lang": "py", "task": "watched.write", "id": task_id}
    return {
        "id": task_id,
        "name": "watched.write",
        "queue": queue,
        "body": body,
        "headers": headers,
        "at": 1_800_000_000,
    }


def test_a_retry_that_was_interrupted_is_not_sent_twice(fleet: Fleet, queue: str, url: str, steer: Steer) -> None:
    """A process that dies between sending and saying so leaves a doubt; a doubt is told, not repeated."""
    with control_of(reference(fleet)) as control:
        control.ensure_queue(queue)
    captures.keep(fleet, [captured(str(number), queue, []) for number in range(3)])
    action = steer("task.retry", to_end=False, ids=["0", "1", "2"], per_second=1)
    carrying.carry_out(str(action.pk), now=timezone.now())
    action.items.filter(key="1").update(state="sending")

    ended = finish(action)

    with control_of(reference(fleet)) as control:
        assert control.depth(queue) == 2
    assert (ended.done, ended.failed) == (2, 1)
    assert action.items.get(key="1").state == "uncertain"


def test_a_limit_across_the_fleet_is_divided_anew_when_workers_come_and_go(
    fleet: Fleet, queue: str, url: str, steer: Steer
) -> None:
    """Celery limits each worker apart: twice the workers would be twice the rate."""

    def rates(*nodes: str) -> dict[str, str | None]:
        with control_of(reference(fleet)) as control:
            return rates_now(control, "watched.write", nodes)

    with watched_worker(url, queue, name=f"{queue}-1") as (_, one):
        expect(fleet, one)
        limited = steer("task.fleet_rate_limit", "watched.write", rate="60/s")
        alone = rates(one)
        with watched_worker(url, queue, name=f"{queue}-2") as (_, two):
            expect(fleet, two)
            standing.keep_orders(now=timezone.now())
            shared = rates(one, two)
        Unit.objects.filter(name=f"{fleet.name}/{two}").update(state="gone")
        standing.keep_orders(now=timezone.now())
        left = rates(one)
        ended = steer("task.end_fleet_rate_limit", "watched.write")
        free = rates(one)

    assert (limited.state, ended.state) == ("verified", "verified")
    assert alone == left == {one: "60/s"}
    assert shared == {one: "30/s", two: "30/s"}
    assert free == {one: None}


def test_a_limit_whose_answer_was_lost_is_not_taken_for_the_workers_own(
    fleet: Fleet, queue: str, url: str, steer: Steer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker holds it, and nobody heard so: asked again it says that it holds just that. At the end it is free."""
    tell_each = FleetControl.tell_each
    with watched_worker(url, queue) as (_, one), control_of(reference(fleet)) as control:
        expect(fleet, one)
        with monkeypatch.context() as deaf:
            deaf.setattr(FleetControl, "tell_each", lambda self, *told: tell_each(self, *told, within=0.0))
            limited = steer("task.fleet_rate_limit", "watched.write", rate="60/s")
        held = rates_now(control, "watched.write", [one])
        ended = steer("task.end_fleet_rate_limit", "watched.write")
        free = rates_now(control, "watched.write", [one])

    assert (limited.state, ended.state) == ("verified", "verified")
    assert (held, free) == ({one: "60/s"}, {one: None})


@pytest.fixture(autouse=True)
def _no_queues_left(queue: str, url: str) -> Iterator[None]:
    yield
    with producer(url, queue).connection_for_write() as connection:
        for name in (queue, f"{queue}.parked", f"{queue}-other", f"{queue}-x", f"{queue}-idle"):
            connection.default_channel.queue_delete(name)
