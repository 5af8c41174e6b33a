"""What beat sends each second only when there is something to do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery.beat import ScheduleEntry, Scheduler
from django.db import OperationalError
from django.utils import timezone

from subsystems.algedonic.models import Signal
from subsystems.algedonic.services import raise_signal
from vsm_site import beat
from vsm_site.beat import LedScheduler, has_work
from vsm_site.celery import app

ESCALATE, STEER = "algedonic.escalate", "s3_control.steer"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that beat hands to the broker."""
    found: list[str] = []
    monkeypatch.setattr(Scheduler, "apply_entry", lambda self, entry, producer=None: found.append(entry.task))
    return found


def tick_once(task: str) -> None:
    LedScheduler(app, lazy=True).apply_entry(ScheduleEntry(name=task, task=task, app=app))


@pytest.mark.django_db
def test_an_idle_second_sends_no_task(sent: list[str]) -> None:
    """A task with its events costs far more than asking does, every second of the year."""
    tick_once(ESCALATE)
    tick_once(STEER)

    assert sent == []


@pytest.mark.django_db
def test_pain_whose_deadline_has_passed_is_escalated_by_the_next_second(sent: list[str]) -> None:
    """Saving a task must not cost anybody a deadline."""
    raised = raise_signal(type="pain", source="pump", severity="critical")
    assert raised is not None
    Signal.objects.update(deadline_at=timezone.now() - timedelta(milliseconds=1))

    tick_once(ESCALATE)

    assert sent == [ESCALATE]


@pytest.mark.django_db
def test_pain_is_due_from_its_deadline_on() -> None:
    """A second too early the task would find nothing, a second too late S5 would wait."""
    raised = raise_signal(type="pain", source="pump", severity="critical")
    assert raised is not None
    assert raised.deadline_at is not None

    found = [has_work(ESCALATE, now=raised.deadline_at + timedelta(milliseconds=each)) for each in (-1, 0)]

    assert found == [False, True]


def test_what_cannot_be_asked_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away for a moment may be back when the task runs."""

    def away(**_: Any) -> bool:
        raise OperationalError("away")

    monkeypatch.setattr(beat, "import_string", lambda name: away)

    assert has_work(ESCALATE, now=timezone.now())


def test_other_tasks_are_always_sent() -> None:
    """Only what is seldom due is asked about."""
    assert has_work("s1_operations.collect", now=timezone.now())
