"""A real worker is killed in the midst of its work: what went down with it is sent again, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.utils import timezone

from subsystems.fleets.models import Task, WorkerState
from subsystems.kernel.errors import Refused
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import collection
from subsystems.s1_operations import services as operations
from subsystems.s1_operations.adapters.celery_link import close_links
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control import captures, handing_over
from tests.services.test_steering import Steer, operator, read, steer  # noqa: F401
from tests.support.brokers import fleet_broker
from tests.support.waiting import wait_for
from tests.support.watched_app import producer, watched_worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def url() -> str:
    return fleet_broker("amqp")


@pytest.fixture
def fleet(url: str) -> Iterator[Fleet]:
    yield operations.watch_fleet(root_system(), url, name=f"fleet-{uuid4().hex[:8]}")
    close_links()


def running(fleet: Fleet, node: str, task_id: str) -> bool:
    collection.collect_now()
    seen = WorkerState.objects.filter(fleet=fleet, name=node).first()
    return seen is not None and any(each["id"] == task_id for each in seen.active)


def test_what_went_down_with_a_killed_worker_is_sent_again_once(
    fleet: Fleet,
    url: str,
    steer: Steer,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Acknowledged when it began, so that its broker has forgotten it; another worker does it in the end."""
    queue, log = f"orphaned-{uuid4().hex[:8]}", tmp_path / "log"
    client = producer(url, queue)
    args = [str(log), "x", 0.5]
    with watched_worker(url, queue, name=f"{queue}-1") as (process, node):
        task_id = client.send_task("watched.write", [str(log), "x", 60.0]).id
        wait_for(lambda: running(fleet, node, task_id), seconds=40)
        process.kill()
        process.wait(10)
    at = timezone.now()
    Task.objects.create(
        fleet=fleet, uuid=task_id, name="watched.write", queue=queue, state=Task.State.STARTED, worker=node,
        changed_at=at, seen_at=at,
    )  # fmt: skip
    headers = {"lang": "py", "task": "watched.write", "id": task_id}
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    message = {"id": task_id, "name": "watched.write", "queue": queue, "headers": headers, "at": at.timestamp()}
    captures.keep(fleet, [{**message, "body": json.dumps([args, {}, embed])}])
    Unit.objects.filter(fleet=fleet, kind="celery_worker").update(state="silent")
    fates = [each.fate for _, each in handing_over.orphans([fleet.pk], now=timezone.now())]
    with watched_worker(url, queue, name=f"{queue}-2"):
        sent = steer("task.resend", ids=[task_id])
        wait_for(lambda: "ended" in [line[0] for line in read(log)], seconds=40)
        with pytest.raises(Refused, match="1 were sent again before"):
            steer("task.resend", ids=[task_id])
    with client.connection_for_write() as connection:
        connection.default_channel.queue_delete(queue)

    assert (fates, sent.state, sent.done) == (["lost"], "verified", 1)
    assert [line[0] for line in read(log)] == ["began", "began", "ended"]
