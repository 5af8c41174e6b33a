"""Schedules over the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from subsystems.event_log.models import PendingEvent
from subsystems.recursion.models import Membership
from subsystems.recursion.queries import root_system
from subsystems.s2_coordination.models import Schedule, ScheduleRun
from tests.support.factories import bearer, make_system, make_token, make_user
from tests.support.scheduled import Beat, make_schedule

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/schedules/"
ECHO = {"name": "say", "task": "diagnostics.echo", "arguments": {"text": "hello"}, "every_seconds": 60}


@pytest.fixture
def client() -> Client:
    """A client that may read and operate everything."""
    root_system()
    return Client(headers=bearer(make_token(["read", "operate"])[1]))


def post(client: Client, address: str, body: Any = None) -> Any:
    return client.post(address, body or {}, content_type="application/json")


def test_a_schedule_is_made_followed_and_deleted(client: Client) -> None:
    """The whole life of one, as a program lives it."""
    made = post(client, ADDRESS, {**ECHO, "overlap": "queue", "grace_seconds": 30})
    assert made.status_code == 201, made.json()
    one = f"{ADDRESS}{made.json()['id']}/"
    now = timezone.now()
    beat = Beat(now)
    beat.look(now + timedelta(seconds=1))
    beat.look(now + timedelta(seconds=61))

    seen = client.get(one).json()
    runs = client.get(f"{one}runs/").json()["results"]
    gone = client.delete(one)

    assert (seen["overlap"], seen["grace_seconds"], seen["state"]) == ("queue", 30, "new")
    assert seen["kwargs"] == {"name": "diagnostics.echo", "arguments": {"text": "hello"}}
    assert len(seen["next_runs"]) == 5
    assert [(run["state"], run["id"]) for run in runs] == [("sent", str(beat.sent[0].pk))]
    assert gone.status_code == 204
    assert client.get(one).status_code == 404
    kinds = list(PendingEvent.objects.filter(type__startswith="schedule.").values_list("type", flat=True))
    assert kinds == ["schedule.created", "schedule.deleted"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"every_seconds": None}, "every_seconds", id="no number"),
        pytest.param({"every_seconds": 0}, "every_seconds", id="no time at all"),
        pytest.param({"crontab": "0 3 * * *"}, "crontab", id="two whens"),
        pytest.param({"every_seconds": ..., "crontab": "0 3 * *"}, "crontab", id="four fields"),
        pytest.param({"every_seconds": ..., "crontab": "61 3 * * *"}, "crontab", id="minute 61"),
        pytest.param({"every_seconds": ..., "crontab": "x 3 * * *"}, "crontab", id="no crontab"),
        pytest.param({"every_seconds": ..., "crontab": "0 3 * * *", "timezone": "Mars/Phobos"}, "timezone", id="zone"),
        pytest.param({"every_seconds": ..., "crontab": "0 3 * * *", "timezone": "../x"}, "timezone", id="path"),
        pytest.param({"every_seconds": ..., "crontab": "0 3 * * *", "timezone": "Europe"}, "timezone", id="folder"),
        pytest.param({"every_seconds": ..., "at": "2020-01-01T00:00:00Z"}, "at", id="in the past"),
        pytest.param({"every_seconds": ...}, "crontab", id="no when"),
        pytest.param({"overlap": "maybe"}, "overlap", id="no such policy"),
        pytest.param({"catch_up_limit": -1}, "catch_up_limit", id="negative"),
        pytest.param({"arguments": {"text": 5}}, "arguments.text", id="an argument of the wrong type"),
        pytest.param({"arguments": {"other": 5}}, "arguments.other", id="an argument that nobody knows"),
        pytest.param({"name": ""}, "name", id="no name"),
        pytest.param({"name": "taken"}, "name", id="a name twice"),
    ],
)
def test_what_cannot_be_scheduled_is_refused_by_field(client: Client, change: dict[str, Any], field: str) -> None:
    """A program must know which of its fields to mend, and nothing half-made may stay behind."""
    make_schedule(now=timezone.now(), name="taken")
    body = {name: value for name, value in {**ECHO, **change}.items() if value is not ...}

    answer = post(client, ADDRESS, body)

    assert answer.status_code == 400, answer.json()
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert PeriodicTask.objects.count() == 1


def test_only_what_may_be_triggered_may_be_scheduled(client: Client) -> None:
    """A schedule must be no way to any task of the platform."""
    answer = post(client, ADDRESS, {**ECHO, "task": "messaging.receive"})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_listed")


def test_a_schedule_is_paused_and_resumed(client: Client) -> None:
    """For a stated time, by a person with a reason."""
    one = f"{ADDRESS}{make_schedule(now=timezone.now()).task_id}/"

    paused = post(client, f"{one}pause/", {"seconds": 600, "reason": "moving house"}).json()
    resumed = post(client, f"{one}resume/")
    again = post(client, f"{one}resume/")

    assert (paused["state"], paused["pause_reason"]) == ("paused", "moving house")
    assert all(run["paused"] for run in paused["next_runs"])
    assert resumed.json()["paused_until"] is None
    assert (again.status_code, again.json()["code"]) == (409, "not_paused")


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "seconds"), ({"seconds": 5, "until": "2030-01-01T00:00:00Z"}, "seconds"), ({"seconds": 0}, "seconds"),
     ({"until": "2020-01-01T00:00:00Z"}, "until"), ({"until": "tomorrow"}, "until")],
)  # fmt: skip
def test_a_pause_without_an_end_is_refused(client: Client, body: dict[str, Any], field: str) -> None:
    """What is paused for ever is forgotten."""
    answer = post(client, f"{ADDRESS}{make_schedule(now=timezone.now()).task_id}/pause/", body)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_policies_are_changed(client: Client) -> None:
    """And a schedule is switched off."""
    schedule = make_schedule(now=timezone.now())

    answer = client.patch(
        f"{ADDRESS}{schedule.task_id}/", {"catch_up": "all", "enabled": False}, content_type="application/json"
    )

    assert (answer.json()["catch_up"], answer.json()["state"]) == ("all", "disabled")
    assert not PeriodicTask.objects.get(pk=schedule.task_id).enabled


def test_a_preview_shows_the_nights_when_the_clock_changes(client: Client) -> None:
    """Before it is saved, not on the morning after."""
    query = {"crontab": "30 2 * * *", "timezone": "Europe/Berlin", "count": 3}
    answer = client.get(f"{ADDRESS}preview/", query).json()
    changes = {change["forward"]: change for change in answer["clock_changes"]}

    assert len(answer["next_runs"]) == 3
    assert set(changes) == {True, False}
    assert [run["shift"] for run in changes[True]["runs"]] == ["skipped"]
    assert [run["shift"] for run in changes[False]["runs"]] == ["repeated"]
    assert "does not exist" in changes[True]["runs"][0]["note"]


def test_strangers_see_no_schedules(client: Client) -> None:
    """They are the installation's: a tenant's people neither see nor touch them."""
    schedule = make_schedule(now=timezone.now())
    tenant = make_user(role="operator", system=make_system())
    stranger = Client(headers=bearer(make_token(["read", "operate"], user=tenant)[1]))
    reader = make_user(role="viewer")
    Membership.objects.create(user=reader, system=make_system(), role="operator")
    viewer = Client(headers=bearer(make_token(["read", "operate"], user=reader)[1]))
    one = f"{ADDRESS}{schedule.task_id}/"

    assert stranger.get(ADDRESS).json()["results"] == []
    assert stranger.get(one).status_code == stranger.get(f"{one}runs/").status_code == 404
    assert stranger.get(f"{ADDRESS}leader/").status_code == 403
    assert post(stranger, f"{one}pause/", {"seconds": 5}).status_code == 404
    assert post(stranger, ADDRESS, ECHO).status_code == 403
    assert viewer.get(one).status_code == 200
    assert post(viewer, f"{one}pause/", {"seconds": 5}).status_code == 403
    assert Client().get(ADDRESS).status_code == 401


def test_the_list_takes_the_same_few_queries_however_long_it_is(client: Client) -> None:
    """It is a page that people keep open."""
    now = timezone.now()
    for number in range(12):
        schedule = make_schedule(now=now)
        ScheduleRun.objects.bulk_create(
            ScheduleRun(schedule=schedule, due_at=now - timedelta(minutes=minute)) for minute in range(number)
        )
    client.get(ADDRESS)

    with CaptureQueriesContext(connection) as asked:
        found = client.get(ADDRESS).json()["results"]

    assert len(found) == Schedule.objects.count() == 12
    assert len(asked) <= 7, [query["sql"] for query in asked]
