"""Ends that nobody heard, learned from a real result backend: Celery itself stores, on Redis."""

from __future__ import annotations

import pickle
import time
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery

from subsystems.fleets import reconciling, services
from subsystems.fleets.models import ExceptionGroup, HistoryRules, Task
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services as operations
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.queries import fleet_ref
from tests.support.brokers import fleet_broker

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:Call to deprecated setex"),  # by Celery, where it stores a result
]


@pytest.fixture
def results() -> Any:
    """The result backend of another team's application."""
    app = Celery("theirs", backend=fleet_broker("redis"), set_as_current=False, fixups=[])
    yield app.backend
    app.backend.client.close()


@pytest.fixture
def fleet() -> Fleet:
    fleet = operations.watch_fleet(root_system(), fleet_broker("amqp"), name=f"fleet-{uuid4().hex[:8]}")
    services.set_rules(fleet, result_backend=fleet_broker("redis"), masked_tasks=["billing.*"])
    return fleet


def begun(fleet: Fleet, name: str, *, ago: float = 100.0, **fields: Any) -> str:
    """Note a task that began *ago* seconds before now, and of which no end was heard."""
    uuid, at = f"{name}-{uuid4().hex}", time.time() - ago
    fields = {"state": Task.State.STARTED, "changed_at": at, "seen_at": at, "last_started_at": at, **fields}
    Task.objects.create(fleet=fleet, uuid=uuid, name=name, **fields)
    return uuid


def reconciled(fleet: Fleet) -> int:
    return reconciling.reconcile(fleet_ref(fleet, [], []))


def test_an_end_that_nobody_heard_is_learned_from_its_result(fleet: Fleet, results: Any) -> None:
    """Whatever was known of the task before; what is hidden stays hidden, and one that is not over stays open."""
    well, badly, hidden = begun(fleet, "shop.add"), begun(fleet, "shop.fail"), begun(fleet, "billing.charge")
    sent = begun(fleet, "shop.sent", state=Task.State.PENDING, last_started_at=None)
    lost = begun(fleet, "shop.lost", state=Task.State.UNKNOWN)
    running, unheard = begun(fleet, "shop.run"), begun(fleet, "shop.unheard")
    for uuid in (well, sent, lost):
        results.store_result(uuid, {"sum": 5, "token": "hunter2"}, "SUCCESS")
    results.store_result(badly, ValueError("no", 3), "FAILURE", traceback="Traceback…\nValueError: no")
    results.store_result(hidden, "4111 1111", "SUCCESS")
    results.store_result(running, None, "STARTED")

    found = reconciled(fleet)

    tasks = {task.uuid: task for task in Task.objects.filter(fleet=fleet)}
    assert found == 5
    assert {tasks[uuid].state for uuid in (well, sent, lost, hidden)} == {Task.State.SUCCESS}
    assert {tasks[uuid].finished_at for uuid in (running, unheard)} == {None}
    assert tasks[well].result == "{'sum': 5, 'token': •••}"
    assert 99 < tasks[well].runtime_seconds < 110
    assert (tasks[badly].state, tasks[badly].exception) == (Task.State.FAILURE, "ValueError('no', 3)")
    assert ExceptionGroup.objects.get(fleet=fleet).count == 1
    assert tasks[hidden].result == "•••"
    assert reconciled(fleet) == 0


def test_what_is_no_plain_result_is_left_alone(fleet: Fleet, results: Any) -> None:
    """A pickle is never opened, and nothing that is stored there stops the others."""

    class Bomb:
        def __reduce__(self) -> Any:
            return pytest.fail, ("a pickle was opened",)

    pickled, listed, huge, fine = (begun(fleet, name) for name in ("pickled", "listed", "huge", "fine"))
    for uuid, stored in ((pickled, pickle.dumps(Bomb())), (listed, b"[1]"), (huge, b'{"status": "' + b"S" * 300_000)):
        results.client.set(results.get_key_for_task(uuid), stored)
    results.store_result(fine, 1, "SUCCESS")

    assert reconciled(fleet) == 1
    assert Task.objects.get(fleet=fleet, state=Task.State.SUCCESS).uuid == fine


def test_a_result_backend_that_is_away_is_told_and_stops_nothing(fleet: Fleet, results: Any) -> None:
    """The page of fleets says so, without the password; when it answers again, that is forgotten."""
    uuid = begun(fleet, "shop.add")
    results.store_result(uuid, 1, "SUCCESS")
    services.set_rules(fleet, result_backend="redis://:hunter2@127.0.0.1:1/0")

    assert reconciled(fleet) == 0
    told = HistoryRules.objects.get(fleet=fleet).result_backend_error
    assert "127.0.0.1:1" in told
    assert "hunter2" not in told

    services.set_rules(fleet, result_backend=fleet_broker("redis"))
    assert reconciled(fleet) == 1
    assert HistoryRules.objects.get(fleet=fleet).result_backend_error == ""
