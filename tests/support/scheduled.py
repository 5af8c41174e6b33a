"""Schedules for tests, and a beat that is moved by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from subsystems.s2_coordination import leading, services
from subsystems.s2_coordination.dispatch import Dispatcher
from subsystems.s2_coordination.models import Schedule, ScheduleRun
from vsm_site.beat import Lead
from vsm_site.celery import app

_numbers = count(1)


def make_schedule(
    *, now: datetime, every_seconds: int = 60, cron: dict[str, str] | None = None, **fields: Any
) -> Schedule:
    """Return a schedule that began at *now*; fields of both rows may be given."""
    of_steward = {field.name for field in Schedule._meta.get_fields()} - {"id", "task"}
    own = {name: fields.pop(name) for name in list(fields) if name in of_steward}
    if cron is not None:
        fields["crontab"] = CrontabSchedule.objects.get_or_create(**cron)[0]
    elif not {"crontab", "clocked", "solar", "interval"} & set(fields):
        fields["interval"] = IntervalSchedule.objects.get_or_create(every=every_seconds, period="seconds")[0]
    given = {"name": f"schedule-{next(_numbers)}", "task": "s3_control.tidy", **fields}
    task = PeriodicTask.objects.create(**given)
    PeriodicTask.objects.filter(pk=task.pk).update(date_changed=now)
    task.refresh_from_db()
    schedule = services.steward(task, now=now)
    for name, value in own.items():
        setattr(schedule, name, value)
    schedule.save()
    return schedule


class Beat:
    """A beat without a thread: it looks when it is told to, at the time it is told."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.sent: list[ScheduleRun] = []
        self.lead = Lead(Dispatcher(app, self.sent.append), lambda: self.now)

    def look(self, now: datetime | None = None) -> bool:
        """Look once; return whether this beat leads."""
        self.now = now or self.now
        try:
            self.lead.turn()
        except leading.Deposed:
            self.lead.reign = None
        return self.lead.reign is not None

    def run_until(self, end: datetime, *, step: timedelta = timedelta(seconds=1)) -> None:
        """Look each *step* until *end*, as the real one does."""
        while self.now < end:
            self.look(self.now + step)


def end(run: ScheduleRun, *, now: datetime, state: str = "succeeded") -> None:
    """Let a worker begin and end *run*."""
    assert services.begin(run.pk, worker="w@host", redelivered=False, retries=0, now=now)
    services.finish(run.pk, state, now=now)


def states(schedule: Schedule) -> list[str]:
    """Return what became of each due time, oldest first."""
    runs = ScheduleRun.objects.filter(schedule=schedule).order_by("due_at")
    return [run.reason or str(run.state) for run in runs]
