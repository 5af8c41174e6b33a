"""What a schedule sends, carried out by a real worker."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from subsystems.s2_coordination.dispatch import Dispatcher
from subsystems.s2_coordination.models import ScheduleRun
from subsystems.s3_control.models import TaskRun
from subsystems.s3_control.tasks import SCHEDULED
from tests.support.scheduled import Beat, make_schedule
from tests.support.waiting import wait_for
from vsm_site.celery import app

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def send_first(now: datetime, **fields: object) -> ScheduleRun:
    """Send the first run of a new schedule; return it as it is when the worker has ended it."""
    schedule = make_schedule(now=now - timedelta(seconds=60), **fields)  # type: ignore[arg-type]
    beat = Beat(now)
    beat.lead._dispatcher = Dispatcher(app)
    beat.look()
    beat.lead.leave()
    return wait_for(lambda: ScheduleRun.objects.filter(schedule=schedule, finished_at__isnull=False).first())


def echo(text: object) -> str:
    return json.dumps({"name": "diagnostics.echo", "arguments": {"text": text}})


@pytest.mark.usefixtures("worker")
def test_a_run_tells_its_whole_story(now: datetime) -> None:
    """When it was due, sent, begun and done, by whom."""
    run = send_first(now, task=SCHEDULED, kwargs=echo("hello"))

    assert (run.state, run.attempts) == ("succeeded", 1)
    assert run.worker
    assert run.started_at is not None
    assert run.finished_at is not None
    assert run.due_at <= run.started_at <= run.finished_at
    assert TaskRun.objects.get().result["text"] == "hello"


@pytest.mark.usefixtures("worker")
def test_a_run_that_fails_says_why(now: datetime) -> None:
    """Its arguments were changed by hand to something the task does not take."""
    run = send_first(now, task=SCHEDULED, kwargs=echo(5))

    assert run.state == "failed"
    assert "arguments.text" in run.error


@pytest.mark.usefixtures("worker")
def test_a_second_message_of_a_run_does_nothing(now: datetime) -> None:
    """As a beat leaves it behind that dies between sending and saying so."""
    run = send_first(now, task=SCHEDULED, kwargs=echo("once"))

    for mark in ("twice", "last"):
        headers = {"schedule_run": str(run.pk)} if mark == "twice" else {}
        app.send_task(SCHEDULED, kwargs=json.loads(echo(mark)), headers=headers)
    wait_for(lambda: TaskRun.objects.filter(arguments={"text": "last"}, state="succeeded").exists())

    assert {found.arguments["text"] for found in TaskRun.objects.all()} == {"once", "last"}
    assert ScheduleRun.objects.get().attempts == 1
