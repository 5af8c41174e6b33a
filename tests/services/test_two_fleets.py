"""Two fleets at once, one of them broken: what is out of order in one team's broker is no other team's business."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from subsystems.fleets.models import Task
from subsystems.fleets.receiver import FleetReceivers
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import collection, services
from subsystems.s1_operations.adapters.celery_link import close_links
from subsystems.s1_operations.adapters.conversation import CONNECT_TIMEOUT_SECONDS
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control import carrying, standing
from subsystems.s3_control.models import Action, StandingOrder
from tests.support.brokers import fleet_broker
from tests.support.factories import make_user
from tests.support.waiting import wait_for
from tests.support.watched_app import producer, watched_worker

pytestmark = pytest.mark.django_db(transaction=True)
ONE_WAIT_SECONDS = CONNECT_TIMEOUT_SECONDS  # for a broker that hangs


@pytest.fixture
def broken_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a broker that refuses, or of one that takes connections and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as door:  # the kernel takes connections that nobody will answer
        port = door.getsockname()[1]
        if request.param == "refuses":
            door.close()
        yield f"amqp://guest:guest@127.0.0.1:{port}//"


@pytest.fixture
def broken(broken_url: str) -> Fleet:
    return services.watch_fleet(root_system(), broken_url, name=f"broken-{uuid4().hex[:8]}")


@pytest.fixture
def healthy(broken: Fleet) -> Fleet:
    return services.watch_fleet(root_system(), fleet_broker("amqp"), name=f"healthy-{uuid4().hex[:8]}")


@pytest.fixture
def heard(broken: Fleet, healthy: Fleet) -> Iterator[FleetReceivers]:
    receivers = FleetReceivers()
    receivers.start()
    wait_for(lambda: healthy.pk in receivers._receivers and receivers._receivers[healthy.pk].listening.is_set())
    yield receivers
    receivers.stop()
    close_links()


@pytest.fixture
def operator() -> User:
    return make_user(role="operator")


def is_seen(fleet: Fleet, node: str) -> bool:
    collection.collect_now()
    return Unit.objects.filter(fleet=fleet, name=f"{fleet.name}/{node}", state="active").exists()


def make_act(fleet: Fleet, node: str, operator: User) -> Action:
    """An act whose message got lost: the clock finds it."""
    return Action.objects.create(
        system=fleet.system, fleet=fleet, kind="worker.add_consumer", target=node, parameters={"queue": node},
        actor=operator.username, requested_at=timezone.now() - 2 * carrying.LOST_AFTER,
    )  # fmt: skip


def seconds(what: Callable[[], object]) -> float:
    """Return the least of three durations: a busy machine slows one, a broker that is waited for slows all."""

    def once() -> float:
        started = time.monotonic()
        what()
        return time.monotonic() - started

    return min(once() for _ in range(3))


@pytest.mark.parametrize("broken_url", ["refuses", "hangs"], indirect=True)
def test_a_broken_fleet_costs_the_healthy_one_nothing(
    broken: Fleet, healthy: Fleet, heard: FleetReceivers, operator: User
) -> None:
    """The healthy fleet is heard, collected and steered, and never waits for the broker of the other."""
    queue = f"watched-{uuid4().hex[:8]}"
    with watched_worker(fleet_broker("amqp"), queue) as (_, node):
        wait_for(lambda: is_seen(healthy, node), seconds=40)
        uuid = producer(fleet_broker("amqp"), queue).send_task("watched.succeed").id
        wait_for(lambda: Task.objects.filter(fleet=healthy, uuid=uuid, state=Task.State.SUCCESS).exists())
        collected_in = seconds(collection.collect_now)
        Fleet.objects.filter(pk=broken.pk).update(enabled=False)
        alone_in = seconds(collection.collect_now)
        Fleet.objects.filter(pk=broken.pk).update(enabled=True)
        broken.refresh_from_db()

        waiting = [make_act(broken, "w1@broken", operator) for _ in range(20)]
        act = make_act(healthy, node, operator)
        StandingOrder.objects.create(fleet=broken, kind=StandingOrder.Kind.PAUSE, key="q", action=waiting[0])
        kept_in = seconds(lambda: standing.keep_orders(now=timezone.now()))
        started = time.monotonic()
        carrying.carry_on(now=timezone.now())
        carried_in = time.monotonic() - started

        def ended() -> bool:
            carrying.carry_on(now=timezone.now())
            act.refresh_from_db()
            return act.state not in Action.OPEN

        wait_for(ended)

    assert broken.last_error
    assert (act.state, act.done) == (Action.State.VERIFIED, 1)
    assert {each.detail[:20] for each in Action.objects.filter(fleet=broken)} == {"Waits for the broker"}
    assert max(collected_in - alone_in, kept_in) < ONE_WAIT_SECONDS / 2
    assert carried_in < len(waiting) * ONE_WAIT_SECONDS / 2  # one of them waited, for all
