"""The configuration audit of another team's workers on real brokers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from subsystems.recursion.queries import root_system
from subsystems.s1_operations.adapters.celery_link import close_links
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.queries import fleet_ref
from subsystems.s1_operations.services import watch_fleet
from subsystems.s3_control.audit import services
from subsystems.s3_control.audit.gathering import gather
from subsystems.s3_control.audit.models import Finding, FleetAudit
from subsystems.s3_control.audit.rules import RULES
from tests.support.brokers import fleet_broker
from tests.support.watched_app import eventually, watched_worker

pytestmark = pytest.mark.django_db(transaction=True)
BROKERS = {"amqp": "rabbitmq", "redis": "redis"}
OUTLASTS = {"amqp": "consumer-timeout", "redis": "visibility-timeout"}  # its one late task has no time limit


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """The address of a broker of the wanted kind; Redis by a database that the platform does not use."""
    return fleet_broker(request.param)


@pytest.fixture
def fleet(url: str) -> Iterator[Fleet]:
    yield watch_fleet(root_system(), url, name=f"fleet-{uuid4().hex[:8]}")
    close_links()


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_another_teams_workers_are_audited_as_they_run(fleet: Fleet, url: str, request: Any) -> None:
    """Their settings are asked for, not guessed; what Celery leaves off by default is found."""
    queue = f"watched-{uuid4().hex[:8]}"
    with watched_worker(url, queue, events=False):
        reference = fleet_ref(fleet, [], [])
        facts, _ = eventually(lambda: (found := gather(reference)).workers and found, within=30)
        services.audit(fleet, now=timezone.now())

    row = FleetAudit.objects.get(fleet=fleet)
    rules = set(Finding.objects.filter(fleet=fleet).values_list("rule", flat=True))
    kind = request.node.callspec.params["url"]
    assert facts.broker.kind == BROKERS[kind]
    assert (facts.broker.version is None) == (facts.broker.kind == "redis")
    assert {worker.pool.rpartition(":")[2] for worker in facts.workers} == {"TaskPool"}
    assert {task.name for worker in facts.workers for task in worker.tasks} >= {"watched.succeed", "watched.fail"}
    assert rules == {"events-off", "sent-events-off", "gives-up-on-broker", "runs-on-after-loss", OUTLASTS[kind]}
    assert row.score == pytest.approx(1 - (8 + 3 + 3 + 8 + 15) / 100)
    assert len(row.kept) + len(row.not_applicable) + len(rules) == len(RULES)


@pytest.mark.parametrize("url", BROKERS, indirect=True)
def test_a_fleet_without_workers_is_unknown(fleet: Fleet) -> None:
    """An empty broker is no well-kept fleet."""
    run = services.audit(fleet, now=timezone.now())

    assert (run.score, run.error) == (None, "No worker answered.")
