"""The resource bargain between processes: a unit's program, the platform and a real fleet, over RabbitMQ."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone
from kombu import Connection, Consumer, Queue
from kombu.message import Message as Delivered

from subsystems.event_log.models import Event
from subsystems.messaging.models import DeadLetter, Message
from subsystems.messaging.topology import EXCHANGE, INBOUND, declare
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services as operations
from subsystems.s1_operations.adapters.celery_control import control_of
from subsystems.s1_operations.adapters.celery_link import close_links
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control import permitting
from subsystems.s3_control.models import Action, Allocation, Bargain, PoolUnit, Recommendation, ResourcePool
from subsystems.s3_control.previews import rates_now, reference, workers_now
from tests.support.brokers import fleet_broker
from tests.support.factories import make_token
from tests.support.platform_processes import platform_processes, relay_process
from tests.support.waiting import wait_for
from tests.support.watched_app import watched_worker

pytestmark = [
    pytest.mark.skipif(not settings.BROKER_URL.startswith("amqp"), reason="needs RabbitMQ as the broker"),
    pytest.mark.django_db(transaction=True),
]
PATIENCE = 300.0  # of a test that three processes start for on a busy machine
CALM = {"cooldown_seconds": 0, "per_hour": 60}


class Program:
    """A unit's own program: it knows the broker and a token, writes envelopes, and hears its channel."""

    def __init__(self, link: Connection) -> None:
        self._secret, self._link = make_token(["operate"])[1], link
        self._heard: list[int] = []
        mine = Queue("", EXCHANGE, routing_key="resource_bargain", exclusive=True, auto_delete=True, durable=False)
        self._consumer = Consumer(link.default_channel, [mine], callbacks=[self._hear], accept=["json"])
        self._consumer.consume()

    def says(self, type_: str, *, sender: str = "s1", about: str = "", **payload: Any) -> str:
        """Write one envelope to the queue for programs outside; return its id."""
        number = f"program-{uuid4().hex}"
        body = {
            "id": number, "from": sender, "to": "s3" if sender == "s1" else "s1", "channel": "resource_bargain",
            "type": type_, "payload": payload, "correlation_id": about,
        }  # fmt: skip
        self._link.Producer(exchange=EXCHANGE, auto_declare=False).publish(
            json.dumps(body).encode(), routing_key=INBOUND.routing_key, content_type="application/json",
            content_encoding="binary", delivery_mode=2, headers={"authorization": f"Bearer {self._secret}"},
        )  # fmt: skip
        return number

    def heard(self) -> list[tuple[str, str]]:
        """Return who said what, of all that the broker carried on the channel."""
        try:
            while True:
                self._link.drain_events(timeout=0.05)
        except TimeoutError:
            pass
        rows = Message.objects.in_bulk(self._heard)
        return [(rows[number].sender, rows[number].type) for number in self._heard if number in rows]

    def _hear(self, body: Any, message: Delivered) -> None:
        numbers = body[0][0]  # a Celery task: positional arguments first, and first of these the messages' numbers
        self._heard += [number for number in numbers if number not in self._heard]
        message.ack()


@pytest.fixture
def program() -> Iterator[Program]:
    root_system()
    with Connection(settings.BROKER_URL) as link:
        declare(link)  # what a program says before the platform ever ran would be lost
        yield Program(link)


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    yield operations.watch_fleet(root_system(), fleet_broker("amqp"), name=f"fleet-{uuid4().hex[:8]}")
    close_links()


@contextmanager
def at_work(fleet: Fleet, queue: str, *permitted: str) -> Iterator[str]:
    """Run the platform and one worker of the fleet, with what S5 permits; yield the worker's name."""
    for kind in permitted:
        permitting.set_permission(fleet.system_id, kind, "auto", CALM, by="policy")
    with (
        platform_processes(queue),
        watched_worker(fleet_broker("amqp"), queue, pool="prefork", size=2, prefetch=1) as (_, node),
    ):
        try:
            yield node
        finally:
            for row in (*Bargain.objects.values(), *Recommendation.objects.values(), *Action.objects.values()):
                print(row)  # shown where the test failed: what waits for what


class Worker:
    """What a worker of the fleet says of itself."""

    def __init__(self, fleet: Fleet, node: str) -> None:
        self._reference, self._node = reference(fleet), node

    def slots(self) -> int | None:
        with control_of(self._reference) as control:
            seen = workers_now(control, [self._node]).get(self._node)  # none while its pool grows: it does not answer
        return seen.size if seen else None

    def limit(self) -> str | None:
        """Return the limit of the task, "?" where it did not answer."""
        with control_of(self._reference) as control:
            return rates_now(control, "watched.succeed", [self._node]).get(self._node, "?")


def shared(fleet: Fleet, name: str, unit: str, **fields: Any) -> ResourcePool:
    """Return a pool of one unit, whose own program answers for it."""
    pool = ResourcePool.objects.create(system=fleet.system, fleet=fleet, name=name, mode="auto", **fields)
    PoolUnit.objects.create(pool=pool, system=fleet.system, name=unit, accept_from=None)
    return pool


def let_effect_show(kind: str) -> None:
    """Let the minute be over in which what was done shows its effect, and nothing else is done to its subject."""
    soon = timezone.now() + timedelta(seconds=5)
    applied = Recommendation.objects.filter(act_kind=kind, state="applied", settled_at=None)
    wait_for(lambda: applied.update(settle_seconds=5, next_at=soon), seconds=PATIENCE)


def bargain(message_id: str, state: str) -> Callable[[], Bargain | None]:
    return lambda: Bargain.objects.filter(message_id=message_id, state=state).first()


def test_what_units_ask_for_is_offered_accepted_and_granted_to_the_worker(fleet: Fleet, program: Program) -> None:
    """Slots and a rate, by a program that speaks to the broker alone; the worker itself shows both, and the end of one.

    Five slots of four are asked for: four are offered, accepted, and the pool grows from two. A rate is held until it
    is given back. What nobody accepts is over at its deadline.
    """
    queue = f"bargained-{uuid4().hex[:8]}"
    shared(fleet, "cpu", queue, limit=4)
    shared(fleet, "calls", "watched.succeed", kind="task_rate", limit=6)
    with at_work(fleet, queue, "worker.grow", "task.fleet_rate_limit", "task.end_fleet_rate_limit") as node:
        worker = Worker(fleet, node)
        slots = program.says("request", resource="cpu", amount=5)
        rate = program.says("request", resource="calls", amount=3)
        offers = [wait_for(bargain(each, "offered"), seconds=PATIENCE) for each in (slots, rate)]
        program.says("accept", bargain=str(offers[0].pk), number=offers[0].offer_number)
        program.says("accept", about=rate, number=offers[1].offer_number)
        held = wait_for(bargain(slots, "allocated"), seconds=PATIENCE)
        wait_for(lambda: worker.slots() == 4, seconds=PATIENCE)
        wait_for(lambda: worker.limit() == "3/s", seconds=PATIENCE)
        let_effect_show("task.fleet_rate_limit")

        program.says("release", about=rate)
        late = program.says("request", resource="cpu", amount=3, within_seconds=3)
        wait_for(lambda: worker.limit() in (None, "", "0", "0/s"), seconds=PATIENCE)
        over = wait_for(bargain(late, "expired"), seconds=PATIENCE)
        told = program.heard()

    grown = Recommendation.objects.get(act_kind="worker.grow")
    assert ([each.offered for each in offers], held.answered_by) == ([4, 3], "S1")
    assert (grown.act_target, grown.act_parameters, grown.by_itself) == (node, {"by": 2}, True)
    assert over.deadline - over.asked_at <= timedelta(seconds=4)
    assert [(each.unit.name, each.amount) for each in Allocation.objects.filter(ended_at=None)] == [(queue, 4)]
    assert {("s1", "request"), ("s3", "offer"), ("s1", "accept"), ("s1", "release")} <= set(told)


def test_words_of_s3_that_a_program_writes_are_refused_and_kept(fleet: Fleet, program: Program) -> None:
    """Nobody accepts by an offer that S3 did not make, and who tried is on record."""
    pool = shared(fleet, "cpu", "mail", limit=4)
    PoolUnit.objects.update(accept_from=0.0)
    open_ = Bargain.objects.create(
        pool=pool, unit=pool.units.get(), system=pool.system, message_id="m1", origin="message", wanted=4,
        state="offered", offered=4, offer_number=1, offer_until=timezone.now() + timedelta(hours=1),
        deadline=timezone.now() + timedelta(hours=1),
    )  # fmt: skip
    with relay_process():
        for word in ("offer", "accept", "decline"):
            program.says(word, sender="s3", bargain=str(open_.pk), number=1, amount=400)
        wait_for(lambda: DeadLetter.objects.count() == 3, seconds=PATIENCE)
        wait_for(lambda: Event.objects.filter(type="message.refused").count() == 3, seconds=PATIENCE)

    open_.refresh_from_db()
    assert (open_.state, open_.heard_at, Allocation.objects.count()) == ("offered", None, 0)
    assert not Message.objects.filter(channel="resource_bargain").exists()
