"""Operations and variety from the tasks of a real worker on RabbitMQ."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone

from subsystems.fleets.receiver import FleetReceivers
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services as s1
from subsystems.variety import gathering, queries, services
from subsystems.variety.models import Operation
from tests.support.waiting import wait_for
from tests.support.watched_app import producer, watched_worker

pytestmark = pytest.mark.django_db(transaction=True)


def merged(unit: str, name: str) -> Operation | None:
    gathering.flush()
    services.merge(now=timezone.now())
    return Operation.objects.filter(unit=unit, name=name).first()


def test_the_tasks_of_a_real_worker_are_operations_of_its_unit() -> None:
    """Nobody changes the watched application; its events are enough, and a quiet fleet stays heard."""
    fleet = s1.watch_fleet(root_system(), settings.BROKER_URL, name=f"fleet-{uuid4().hex[:8]}")
    receivers = FleetReceivers()
    receivers.start()
    queue = f"watched-{uuid4().hex[:8]}"
    client = producer(settings.BROKER_URL, queue)
    wait_for(lambda: fleet.pk in receivers._receivers and receivers._receivers[fleet.pk].listening.is_set())
    try:
        with watched_worker(settings.BROKER_URL, queue) as (_, node):
            unit = f"{fleet.name}/{node}"
            for name in ("watched.succeed", "watched.fail"):
                client.send_task(name, queue=queue)
            wait_for(lambda: merged(unit, "watched.succeed") and merged(unit, "watched.fail"), seconds=30)
            client.send_task("watched.succeed", queue=queue)
            wait_for(lambda: (merged(unit, "watched.succeed") or Operation(count=0)).count == 2)
            connections = receivers._receivers[fleet.pk]._generation
    finally:
        receivers.stop()
    services.read_now(now=timezone.now() + timedelta(seconds=15))

    failed = queries.operation_body(Operation.objects.get(unit=unit, name="watched.fail"))
    assert [each["error"] for each in failed["errors"]] == ["ValueError('as asked')"]
    assert failed["p50"] is not None
    assert queries.variety_body(root_system())["environment"]["sample_size"] >= 3
    assert connections == 1
