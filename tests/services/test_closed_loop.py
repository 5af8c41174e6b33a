"""The closed loop on a real worker: from a full queue to a measured effect, and what happens when nothing helps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from alerts import services as alerts
from subsystems.algedonic.models import Signal
from subsystems.messaging.models import Message
from subsystems.messaging.receiving import receive
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import collection, services
from subsystems.s1_operations.adapters.celery_control import control_of
from subsystems.s1_operations.adapters.celery_link import close_links
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control import carrying, gauging, permitting, recommending, settling
from subsystems.s3_control.models import Action, Hold, Recommendation
from subsystems.s3_control.previews import reference, workers_now
from tests.services.test_stuck import answered
from tests.support.brokers import fleet_broker
from tests.support.factories import make_user
from tests.support.waiting import wait_for
from tests.support.watched_app import producer, watched_worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setattr(gauging, "WINDOW_SECONDS", 0.5)  # an effect of a test shows within seconds
    yield services.watch_fleet(root_system(), fleet_broker("amqp"), name=f"fleet-{uuid4().hex[:8]}")
    close_links()


@pytest.fixture
def queue() -> str:
    return f"looped-{uuid4().hex[:8]}"


def deliver() -> None:
    for _ in range(3):
        for number in list(Message.objects.exclude(channel="platform").values_list("number", flat=True)):
            receive([number], worker="w@test")


def carried_out() -> None:
    """Do what the message and then the clock would do, until no action is open."""

    def ended() -> bool:
        for pk in Action.objects.filter(state="proposed").values_list("pk", flat=True):
            carrying.carry_out(str(pk), now=timezone.now())
        carrying.carry_on(now=timezone.now())
        threading.Event().wait(0.05)
        return not Action.objects.filter(state__in=Action.OPEN).exists()

    wait_for(ended, seconds=30)


def settled(row: Recommendation) -> Recommendation:
    """Measure now what came of it."""
    collection.collect_now()
    Recommendation.objects.filter(pk=row.pk, settled_at=None).update(next_at=timezone.now())
    settling.tend(now=timezone.now())
    row.refresh_from_db()
    return row


def test_a_full_queue_is_relieved_and_the_effect_is_measured(fleet: Fleet, queue: str) -> None:
    """Degraded unit, alert, suggestion, approval, action on a real worker, verified improvement (002-4)."""
    client = producer(fleet_broker("amqp"), queue)
    with watched_worker(fleet_broker("amqp"), queue, pool="prefork", size=1, prefetch=1) as (_, node):
        answered(fleet, node)
        for _ in range(40):
            client.send_task("watched.sleep", [0.3])
        wait_for(lambda: collection.collect_now() and _ready(fleet, queue) > 20, seconds=20)
        unit = Unit.objects.get(fleet=fleet, name=f"{fleet.name}/{queue}")
        alerts.create_rule(
            root_system(), None, name="Full", metric="ready", threshold=10, severity="critical", unit=unit
        )
        alerts.evaluate(now=timezone.now())
        deliver()
        row = Recommendation.objects.get()
        collection.collect_now()
        recommending.approve(row, by=make_user("ann", role="operator"), reason="it fits")
        carried_out()
        wait_for(lambda: collection.collect_now() and _ready(fleet, queue) < 2, seconds=30)
        settled(row)
        with control_of(reference(fleet)) as control:
            size = workers_now(control, [node])[node].size

    assert (row.act_kind, row.act_target, row.evidence["alert_title"][:4]) == ("worker.grow", node, "Full")
    assert (row.state, row.met, size) == ("verified", True, 2)
    assert row.outcome["before"] > row.outcome["after"]
    assert row.action is not None
    assert row.action.state == "verified"


def test_what_does_not_help_is_stopped_undone_and_felt(fleet: Fleet, queue: str) -> None:
    """Two corrections that the worker carries out to the letter, and nothing gets better."""
    other = [f"{queue}-{each}" for each in "ab"]
    permitting.set_permission(
        fleet.system_id, "worker.add_consumer", "auto", {"stop_after": 2, "cooldown_seconds": 0}, by="policy"
    )
    with watched_worker(fleet_broker("amqp"), queue, pool="prefork", size=1, prefetch=1) as (_, node):
        answered(fleet, node)
        with control_of(reference(fleet)) as control:
            for name in other:
                control.ensure_queue(name)
        rows = [_corrected(fleet, node, name, f"{fleet.name}/{queue}") for name in other]
        settling.tend(now=timezone.now())
        carried_out()
        with control_of(reference(fleet)) as control:
            reads = workers_now(control, [node])[node].queues

    hold, signal = Hold.objects.get(), Signal.objects.get(source="s3_control")
    assert (hold.failures, hold.signal_id, signal.severity, signal.type) == (2, signal.pk, "high", "pain")
    assert [Recommendation.objects.get(pk=row.pk).state for row in rows] == ["undone", "undone"]
    assert reads == (queue,)


def _corrected(fleet: Fleet, node: str, queue: str, subject: str) -> Recommendation:
    collection.collect_now()
    now = timezone.now()
    told: dict[str, Any] = {
        "act": {"kind": "worker.add_consumer", "target": node, "parameters": {"queue": queue}},
        "expected_effect": {"metric": "ready", "source": subject, "from": 0, "to": -10},
    }
    row = recommending.recommend(
        system_id=fleet.system_id, kind="optimisation", source="pattern", subject=subject, title=f"Read {queue}",
        fleet=fleet, measured_at=now, now=now, **told,
    )  # fmt: skip
    settling.tend(now=timezone.now())
    carried_out()
    return settled(row)


def _ready(fleet: Fleet, queue: str) -> float:
    found = gauging.measured(fleet.system_id, f"{fleet.name}/{queue}", "ready", timezone.now())
    return -1.0 if found.value is None else found.value
