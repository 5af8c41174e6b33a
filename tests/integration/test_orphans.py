"""What a lost worker leaves behind: its tasks one by one, and the queues that nobody else reads."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subsystems.algedonic.models import Signal
from subsystems.fleets.models import QueueState, StuckFinding, Task, WorkerState
from subsystems.kernel.errors import Refused
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control import captures, handing_over, steering
from subsystems.s3_control.launching import services
from subsystems.s3_control.models import Action, Recommendation, ResentTask
from tests.integration.test_api_steering import make_captured, make_fleet
from tests.integration.test_inbox_pages import logged_in
from tests.support.factories import make_system, make_user

pytestmark = pytest.mark.django_db
RUNS, HELD = {"acknowledged": True}, {"acknowledged": False}


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def fleet() -> Fleet:
    return make_fleet()


def worker(fleet: Fleet, node: str, now: datetime, *, lost: bool = False, **fields: Any) -> Unit:
    at = (now - timedelta(minutes=2 if lost else 0)).timestamp()
    told = {"role": "w@x", "observed_at": at, "progress_at": at, "queues": ["mail"], "active_count": 0, **fields}
    goodbye = told.pop("goodbye", None)
    WorkerState.objects.create(fleet=fleet, name=node, reserved_count=0, **told)
    return Unit.objects.create(
        system=fleet.system, fleet=fleet, kind="celery_worker", name=f"{fleet.name}/{node}",
        state="silent" if lost else "active", last_seen_at=datetime.fromtimestamp(at, tz=now.tzinfo),
        said_goodbye_at=goodbye,
    )  # fmt: skip


def held(task_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "name": "shop.pay", "started_at": None, "queue": "mail", "priority": None, **fields}


def task(fleet: Fleet, task_id: str, state: int = Task.State.STARTED, node: str = "a@x") -> None:
    at = timezone.now()
    Task.objects.create(
        fleet=fleet, uuid=task_id, name="shop.pay", queue="mail", state=state, worker=node, changed_at=at, seen_at=at
    )


def lose(fleet: Fleet, now: datetime) -> Unit:
    """Lose a worker with four tasks: two went down with it, one is given out again, one another has by now."""
    active = [held("gone", **RUNS), held("bare", **RUNS), held("late", **HELD), held("moved", **HELD)]
    unit = worker(fleet, "a@x", now, lost=True, active=active, reserved=[held("kept", **HELD)])
    for task_id in ("gone", "bare", "late"):
        task(fleet, task_id)
    task(fleet, "moved", node="b@x")
    task(fleet, "kept", Task.State.SUCCESS, "b@x")
    captures.keep(fleet, [make_captured(each) for each in ("gone", "late")])
    return unit


def test_each_task_of_a_lost_worker_has_its_fate(fleet: Fleet, now: datetime) -> None:
    """Acknowledged when it began: lost. Not yet: its broker gives it out again, or another has it already."""
    lose(fleet, now)

    with CaptureQueriesContext(
        connection,
    ) as asked:
        found = {each.task_id: each for _, each in handing_over.orphans([fleet.pk], now=now)}

    assert {name: each.fate for name, each in found.items()} == {
        "gone": "lost", "bare": "lost", "late": "waits", "moved": "taken", "kept": "ended",
    }  # fmt: skip
    assert (found["moved"].by, [name for name, each in found.items() if each.can_resend]) == ("b@x", ["gone"])
    assert len(asked) <= 10


def test_a_worker_that_said_goodbye_leaves_nothing(fleet: Fleet, now: datetime) -> None:
    """It was stopped on purpose: gone is not lost."""
    unit = worker(fleet, "a@x", now, lost=True, goodbye=now, active=[held("gone", **RUNS)])
    task(fleet, "gone")

    assert not handing_over.is_lost(unit)
    assert (handing_over.orphans([fleet.pk], now=now), handing_over.look_around(now=now)) == ([], 0)


def test_only_what_is_lost_and_whole_is_sent_again_and_only_once(fleet: Fleet, now: datetime) -> None:
    """What waits for its broker would run twice; what was sent again before, too."""
    lose(fleet, now)
    user = make_user(role="operator")

    def ask(*ids: str, **fields: Any) -> Action:
        return steering.propose(steering.Request(fleet, "task.resend", "", {"ids": list(ids)}, **fields), by=user)

    rehearsed = ask("gone", "bare", "late", dry_run=True)
    proposed = ask("gone", "late")
    for ids in (["late"], ["bare"], ["unheard-of"]):
        with pytest.raises(Refused):
            ask(*ids)
    ResentTask.objects.create(fleet=fleet, task_id="gone", new_id="x", action=proposed)
    with pytest.raises(Refused, match="1 were sent again before"):
        ask("gone")

    assert rehearsed.before == {"asked": 3, "lost": 2, "sent_before": 0, "captured": 1}


def test_what_the_detector_is_not_sure_of_is_not_sent_again(fleet: Fleet, now: datetime) -> None:
    """Below the confidence at which it raises pain."""
    task(fleet, "nowhere", Task.State.PENDING, "")
    finding = StuckFinding.objects.create(
        fleet=fleet, kind="lost_tasks", subject="in mail", summary="x", confidence=0.5, since=now, found_at=now,
        seen_at=now, evidence={"tasks": ["nowhere"]},
    )  # fmt: skip

    unsure = handing_over.lost_among(fleet, ["nowhere"], now=now)
    StuckFinding.objects.filter(pk=finding.pk).update(confidence=0.9)

    assert (unsure, handing_over.lost_among(fleet, ["nowhere"], now=now)) == (set(), {"nowhere"})


@pytest.mark.parametrize("means", ["peer", "launcher", "people"])
def test_a_queue_that_nobody_reads_any_more_is_handed_over_once_and_hurts(
    fleet: Fleet, now: datetime, settings: Any, means: str
) -> None:
    """To the idlest of its role; else a launcher starts a worker; else people are told (004-33)."""
    settings.LAUNCHERS = ["systemd"]
    lose(fleet, now)
    worker(fleet, "other@x", now, role="others@x", queues=["else"])
    if means == "peer":
        worker(fleet, "busy@x", now, queues=["post"], active_count=3)
        worker(fleet, "idle@x", now, queues=["post"])
    if means == "launcher":
        config = {"unit": "w@.service"}
        services.save(fleet, {"name": "mail", "kind": "systemd", "queues": ["mail"], "config": config}, by="ann")
    QueueState.objects.create(fleet=fleet, name="mail", observed_at=now.timestamp(), ready=3, consumers=0)

    first, second = [handing_over.look_around(now=now) for _ in range(2)]

    row, pain = Recommendation.objects.get(), Signal.objects.get()
    assert (first, second) == (1, 0)
    assert (row.act_kind, row.act_target) == {
        "peer": ("worker.add_consumer", "idle@x"), "launcher": ("worker.start", "mail"), "people": ("", ""),
    }[means]  # fmt: skip
    assert (pain.severity, pain.source, pain.data["affected_subsystems"]) == (
        "high", "cluster_management", ["shop/mail"],
    )  # fmt: skip


def test_a_queue_that_somebody_reads_or_nobody_knows_is_left_alone(fleet: Fleet, now: datetime) -> None:
    """Another reader, a consumer of which no worker tells, a queue that was not seen lately."""
    lose(fleet, now)
    queue = QueueState.objects.create(fleet=fleet, name="mail", observed_at=now.timestamp(), ready=3, consumers=1)
    foreign = handing_over.look_around(now=now)
    QueueState.objects.filter(pk=queue.pk).update(consumers=0, observed_at=(now - timedelta(seconds=40)).timestamp())
    unseen = handing_over.look_around(now=now)
    QueueState.objects.filter(pk=queue.pk).update(observed_at=now.timestamp())
    worker(fleet, "b@x", now)

    assert (foreign, unseen, handing_over.look_around(now=now)) == (0, 0, 0)


def test_lost_tasks_are_shown_and_sent_again_from_their_page(fleet: Fleet, now: datetime) -> None:
    """On the page of the worker and on that of all; a reader sends nothing, a stranger sees nothing."""
    client = logged_in()
    empty = client.get("/dashboard/tasks/lost/").content.decode()
    unit = lose(fleet, now)
    pages = [client.get(path).content.decode() for path in ("/dashboard/tasks/lost/", f"/dashboard/units/{unit.pk}/")]
    path = f"/dashboard/tasks/lost/{fleet.pk}/resend/"
    none, sent = client.post(path), client.post(path, {"ids": ["gone"]})

    assert "None, as far as" in empty
    assert all("its broker gives it out again" in each and 'value="gone"' in each for each in pages)
    assert all('value="late"' not in each for each in pages)
    assert (none.url, Action.objects.get().kind, sent.status_code) == ("/dashboard/tasks/lost/", "task.resend", 302)
    assert logged_in("viewer").post(path, {"ids": ["gone"]}).status_code == 403
    assert logged_in(system=make_system()).post(path, {"ids": ["gone"]}).status_code == 404
