"""Schedules on the pages and in the admin."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from subsystems.recursion.queries import root_system
from subsystems.s2_coordination.models import Schedule, ScheduleRun
from subsystems.s2_coordination.policies import Overlap
from tests.support.factories import make_system, make_user
from tests.support.scheduled import Beat, end, make_schedule

pytestmark = pytest.mark.django_db
NEW = {
    "name": "nightly", "task": "diagnostics.echo", "arguments": '{"text": "hello"}', "crontab": "30 2 * * *",
    "timezone": "Europe/Berlin", "overlap": "skip", "catch_up": "latest", "catch_up_limit": "10",
    "grace_seconds": "60", "longest_run_seconds": "3600",
}  # fmt: skip
POLICIES = {"overlap": "queue", "catch_up": "all", "catch_up_limit": 5, "grace_seconds": 60, "longest_run_seconds": 60}


@pytest.fixture
def operator(client: Client) -> Client:
    """A browser in which an operator of the root system is logged in."""
    client.force_login(make_user(role="operator", system=root_system()))
    return client


@pytest.fixture
def admin(client: Client) -> Client:
    """A browser in which a superuser is logged in."""
    client.force_login(make_user(superuser=True))
    return client


def test_an_empty_page_says_how_to_begin(operator: Client) -> None:
    """And shows the platform's own jobs, which nobody made."""
    page = operator.get("/dashboard/schedules/").content.decode()

    assert "Nothing is scheduled yet" in page
    assert "s1_operations.collect" in page
    assert "No beat runs" in page


def test_a_schedule_is_made_with_the_form(operator: Client) -> None:
    """Its own page then shows the next runs and the nights to think about."""
    answer = operator.post("/dashboard/schedules/", NEW)
    task = PeriodicTask.objects.get()

    page = operator.get(f"/dashboard/schedules/{task.pk}/").content.decode()

    assert (answer.status_code, task.name) == (302, "nightly")
    assert str(task.crontab) == "30 2 * * * (m/h/dM/MY/d) Europe/Berlin"
    assert "does not exist on this day" in page
    assert "comes twice on this day" in page


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"crontab": "x"}, "five fields"),
        ({"timezone": "Mars"}, "no time zone"),
        ({"arguments": "{"}, "not JSON"),
        ({"arguments": '{"text": 5}'}, "arguments.text"),
        ({"arguments": "[]"}, "must be an object"),
        ({"every_seconds": "60"}, "one of them"),
        ({"task": "s3_control.tidy"}, "Select a valid choice"),
        ({"at": "yesterday"}, "valid date"),
    ],
)
def test_what_cannot_be_scheduled_is_told_beside_its_field(operator: Client, change: dict[str, str], told: str) -> None:
    """And nothing is made."""
    answer = operator.post("/dashboard/schedules/", {**NEW, **change})

    assert (answer.status_code, PeriodicTask.objects.count()) == (400, 0)
    assert told in answer.content.decode()


def test_a_schedule_is_paused_resumed_switched_and_deleted(operator: Client) -> None:
    """Everything that a person on call needs, without the admin."""
    schedule = make_schedule(now=timezone.now())
    one = f"/dashboard/schedules/{schedule.task_id}/"

    operator.post(f"{one}pause/", {"minutes": "30", "reason": "moving house"})
    paused = operator.get(one).content.decode()
    operator.post(f"{one}resume/")
    operator.post(f"{one}switch/")
    off = Schedule.objects.select_related("task").get(pk=schedule.pk)
    operator.post(f"{one}delete/")

    assert "moving house" in paused
    assert not off.terms.paused(timezone.now())
    assert not off.task.enabled
    assert not Schedule.objects.exists()


def test_the_picture_of_punctuality_shows_each_outcome(operator: Client) -> None:
    """One look at a row tells whether it is well."""
    now = timezone.now() - timedelta(seconds=200)
    schedule, beat = make_schedule(now=now), Beat(now)
    beat.run_until(now + timedelta(seconds=61), step=timedelta(seconds=10))
    end(beat.sent[0], now=now + timedelta(seconds=70))
    ScheduleRun.objects.create(schedule=schedule, due_at=now, state="skipped", reason="overlap")

    page = operator.get("/dashboard/schedules/").content.decode()

    assert page.count("<rect") == 2
    assert 'class="good"' in page
    assert "the run before it still went" in page


def test_the_page_takes_the_same_few_queries_however_long_it_is(operator: Client) -> None:
    """People keep it open."""
    counts = []
    for count in (2, 10):
        for _ in range(count):
            make_schedule(now=timezone.now())
        operator.get("/dashboard/schedules/")
        with CaptureQueriesContext(connection) as asked:
            operator.get("/dashboard/schedules/")
        counts.append(len(asked))

    assert counts[0] == counts[1]


def test_strangers_do_not_find_the_page(client: Client) -> None:
    """Schedules are the installation's."""
    schedule = make_schedule(now=timezone.now())
    client.force_login(make_user(role="operator", system=make_system("tenant")))

    assert client.get("/dashboard/schedules/").status_code == 404
    assert client.get(f"/dashboard/schedules/{schedule.task_id}/").status_code == 404
    assert client.post(f"/dashboard/schedules/{schedule.task_id}/delete/").status_code == 404
    assert "Schedules" not in client.get("/dashboard/").content.decode()


def test_those_who_only_read_change_nothing(client: Client) -> None:
    """A viewer of the root system sees the page without its forms."""
    schedule = make_schedule(now=timezone.now())
    client.force_login(make_user(role="viewer", system=root_system()))
    one = f"/dashboard/schedules/{schedule.task_id}/"

    assert client.get(one).status_code == 200
    verbs = ("pause", "resume", "switch", "delete")
    assert {client.post(f"{one}{verb}/").status_code for verb in verbs} == {403}
    assert client.post("/dashboard/schedules/", NEW).status_code == 403


# --- Admin ------------------------------------------------------------------------------------------------------------
def form(**fields: object) -> dict[str, object]:
    inline = {f"steward-0-{name}": value for name, value in POLICIES.items()}
    management = {"steward-TOTAL_FORMS": 1, "steward-INITIAL_FORMS": 0}
    interval = IntervalSchedule.objects.get_or_create(every=5, period="minutes")[0]
    given = {"name": "tidy", "regtask": "s3_control.tidy", "enabled": "on", "interval": interval.pk}
    texts = {"args": "[]", "kwargs": "{}", "headers": "{}"}
    return {**inline, **management, **given, **texts, **fields}


def test_a_periodic_task_is_made_in_the_admin_with_its_policies(admin: Client) -> None:
    """django-celery-beat's own page, and the platform's words beside it."""
    admin.post(reverse("admin:django_celery_beat_periodictask_add"), form())

    made = Schedule.objects.get(task__name="tidy")
    assert (made.overlap, made.catch_up_limit) == (Overlap.QUEUE.value, 5)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"regtask": "", "task": "os.system"}, "task"),
        ({"args": "{}"}, "args"),
        ({"kwargs": "[]"}, "kwargs"),
        ({"kwargs": "{"}, "kwargs"),
    ],
)
def test_the_admin_takes_no_periodic_task_that_cannot_run(admin: Client, fields: dict[str, object], field: str) -> None:
    """A row of the database must not be a way to run anything at all."""
    answer = admin.post(reverse("admin:django_celery_beat_periodictask_add"), form(**fields))

    assert field in answer.context["adminform"].form.errors
    assert not PeriodicTask.objects.exists()


def test_every_page_of_schedules_in_the_admin_opens(admin: Client) -> None:
    """Without an inline script, which the content policy refuses."""
    now = timezone.now()
    schedule = make_schedule(now=now, cron={"minute": "5"})
    ScheduleRun.objects.create(schedule=schedule, due_at=now)
    Beat(now).look()
    names = ["django_celery_beat_periodictask", "django_celery_beat_crontabschedule", "s2_coordination_schedulerun"]
    names += ["s2_coordination_beatprocess", "s2_coordination_beatlease"]

    for name in names:
        assert admin.get(reverse(f"admin:{name}_changelist"), {"q": "a"}).status_code in (200, 302)
    page = admin.get(reverse("admin:django_celery_beat_periodictask_change", args=[schedule.task_id]))
    crontab = admin.get(
        reverse("admin:django_celery_beat_crontabschedule_change", args=[CrontabSchedule.objects.get().pk])
    )
    assert (page.status_code, crontab.status_code) == (200, 200)
    assert "<script>" not in page.content.decode()
