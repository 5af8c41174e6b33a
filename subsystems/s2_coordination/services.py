"""Running what is scheduled once, and keeping its record: what workers report, pauses, and what was missed."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q, QuerySet, Value, Window
from django.db.models.functions import Coalesce, RowNumber
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTasks,
)

from subsystems.algedonic.queries import CAUSE, open_pains
from subsystems.algedonic.services import end_by_itself, try_to_raise
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.severity import Severity
from subsystems.kernel.times import moment_text
from subsystems.messaging.channels import Party
from subsystems.s2_coordination import leading, queries
from subsystems.s2_coordination.models import BEGUN, Schedule, ScheduleRun
from subsystems.s2_coordination.queries import When

logger = logging.getLogger(__name__)
STATE = ScheduleRun.State
KEEP = timedelta(days=30)
KEEP_RUNS = 10_000  # of each schedule
AT_ONCE = 5_000
SLACK = timedelta(seconds=5)  # a message may be on its way when it expires
NEW_WITHIN = timedelta(seconds=60)
LONGEST_PAUSE = timedelta(days=366)
LEADERLESS_AFTER = timedelta(seconds=15)
MISSED, LEADERLESS = "schedule_missed", "schedules_leaderless"


# --- What workers report ----------------------------------------------------------------------------------------------
def begin(run_id: UUID, *, worker: str, redelivered: bool, retries: int, now: datetime) -> bool:
    """Claim a run for the message that arrived; return False for a second message of the same run.

    A message may go out twice, when a beat dies between sending it and saying so. One that the broker delivers again
    because its worker died may begin again, and so may one that the task itself retries.
    """
    again = Q(state__in=BEGUN) if redelivered else Q(state=STATE.RETRYING) if retries else Q(pk=None)
    claimable = Q(state__in=[STATE.DUE, STATE.WAITING, STATE.SENT, STATE.LOST]) | again
    claimed = ScheduleRun.objects.filter(claimable, pk=run_id)
    return bool(
        claimed.update(
            state=STATE.RUNNING, worker=worker[:200], started_at=Coalesce("started_at", Value(now)),
            finished_at=None, attempts=F("attempts") + 1,
        )
    )  # fmt: skip


def finish(run_id: UUID, state: str, *, error: str = "", now: datetime) -> None:
    """Record how a run ended."""
    ended = None if state == STATE.RETRYING else now
    ScheduleRun.objects.filter(pk=run_id, state__in=[*BEGUN, STATE.LOST]).update(
        state=state, finished_at=ended, error=error.replace("\0", "")[:500]
    )


# --- What people decide -----------------------------------------------------------------------------------------------
@transaction.atomic
def pause(schedule: Schedule, until: datetime, *, by: User | None, reason: str, now: datetime) -> Schedule:
    """Run nothing of *schedule* until a moment; then it goes on by itself. Raises Invalid naming `until`."""
    if not now < until <= now + LONGEST_PAUSE:
        raise Invalid("A pause ends in the future, within a year.", field="until")
    schedule.paused_at, schedule.paused_until = now, until
    schedule.paused_by, schedule.pause_reason = by, reason[:200]
    schedule.save(update_fields=["paused_at", "paused_until", "paused_by", "pause_reason"])
    PeriodicTasks.update_changed()
    _record("schedule.paused", schedule, by, now, until=moment_text(until), reason=reason[:200])
    return schedule


@transaction.atomic
def resume(schedule: Schedule, *, by: User | None, now: datetime) -> Schedule:
    """End a pause now. Raises Refused when there is none."""
    if not schedule.terms.paused(now):
        raise Refused(f"{schedule} is not paused.", code="not_paused")
    schedule.paused_until = now  # what fell into the pause stays skipped
    schedule.save(update_fields=["paused_until"])
    PeriodicTasks.update_changed()
    _record("schedule.resumed", schedule, by, now)
    return schedule


@transaction.atomic
def change(schedule: Schedule, fields: dict[str, Any], *, by: User | None, now: datetime) -> Schedule:
    """Change policies of *schedule*, or switch it on or off (`enabled`)."""
    enabled = fields.pop("enabled", None)
    for name, value in fields.items():
        setattr(schedule, name, value)
    schedule.save(update_fields=list(fields))
    if enabled is not None:
        PeriodicTask.objects.filter(pk=schedule.task_id).update(enabled=enabled, date_changed=now)
        schedule.task.enabled = enabled
    PeriodicTasks.update_changed()
    said = fields if enabled is None else {**fields, "enabled": enabled}
    _record("schedule.changed", schedule, by, now, **said)
    return schedule


@transaction.atomic
def create(
    name: str,
    task: str,
    kwargs: Mapping[str, Any],
    when: When,
    policies: Mapping[str, Any] | None = None,
    *,
    by: User | None,
    now: datetime,
) -> Schedule:
    """Schedule the Celery task *task*. Raises Invalid naming `name`, `crontab`, `timezone`, `every_seconds` or `at`."""
    if PeriodicTask.objects.filter(name=name).exists():
        raise Invalid("There is a schedule of this name.", field="name", code="unique")
    made = PeriodicTask(name=name, task=task, kwargs=json.dumps(kwargs), **_when_fields(when, now))
    made.one_off = made.clocked is not None
    made.save()
    schedule = steward(made, now=now)
    for field, value in (policies or {}).items():
        setattr(schedule, field, value)
    schedule.save()
    _record("schedule.created", schedule, by, now, task=task)
    return schedule


@transaction.atomic
def delete(schedule: Schedule, *, by: User | None, now: datetime) -> None:
    """Delete *schedule* with its history."""
    _record("schedule.deleted", schedule, by, now, task=schedule.task.task)
    schedule.task.delete()


def _when_fields(when: When, now: datetime) -> dict[str, Any]:
    queries.check_when(when, now)
    if when.every_seconds:
        return {"interval": IntervalSchedule.objects.get_or_create(every=when.every_seconds, period="seconds")[0]}
    if when.crontab:
        return {"crontab": crontab_row(when.crontab, when.zone)}
    return {"clocked": ClockedSchedule.objects.get_or_create(clocked_time=when.at)[0]}


def crontab_row(text: str, zone: str) -> CrontabSchedule:
    """Return the stored crontab of a text of five fields. Raises Invalid naming `crontab` or `timezone`."""
    row = queries.read_crontab(text, zone)
    fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")
    found = CrontabSchedule.objects.filter(**{field: getattr(row, field) for field in fields}).first()
    if found is None:
        row.save()
    return found or row


def steward(task: PeriodicTask, *, now: datetime) -> Schedule:
    """Return what the platform keeps about *task*, made when there is nothing yet.

    What was due before, under another scheduler, was not missed here.
    """
    since = max(task.date_changed, now - NEW_WITHIN)
    made = {"anchor_at": now.replace(microsecond=0), "decided_until": since, "enabled_seen": task.enabled}
    return Schedule.objects.get_or_create(task=task, defaults=made)[0]


def _record(type_: str, schedule: Schedule, by: User | None, now: datetime, **data: Any) -> None:
    actor = by.get_username() if by else ""
    append(Stream.COORDINATION, type_, {"schedule": schedule.task.name, **data}, actor=actor, at=now)


# --- What was missed --------------------------------------------------------------------------------------------------
def watch(*, now: datetime) -> None:
    """Give up runs without an end, raise pain for what did not begin in time, and end that when it is over.

    Called outside beat, which cannot tell of its own death. Any number may look at the same time.
    """
    give_up(now=now)
    found = list(queries.schedules().filter(task__enabled=True))
    runs: dict[int, list[ScheduleRun]] = defaultdict(list)
    for run in queries.open_runs():
        runs[run.schedule_id].append(run)
    missed = {
        schedule.pk: (schedule, since)
        for schedule in found
        if (since := queries.missed_since(schedule, runs[schedule.pk], now=now)) is not None
    }
    _tell_missed(missed, runs, now)
    _tell_leaderless(now)


def give_up(*, now: datetime) -> int:
    """End the runs that no worker begins or ends any more; return how many."""
    lost, expired = [], []
    sent = ScheduleRun.objects.filter(state__in=[STATE.SENT, *BEGUN]).values_list(
        "pk", "state", "sent_at", "started_at", "schedule__longest_run_seconds", "schedule__task__expire_seconds"
    )
    for pk, state, sent_at, started_at, longest, expires in sent:
        since = started_at or sent_at or now
        if state == STATE.SENT and expires is not None and since + timedelta(seconds=expires) + SLACK <= now:
            expired.append(pk)
        elif since + timedelta(seconds=longest) <= now:
            lost.append(pk)
    return _end(lost, STATE.LOST, "No end was seen in time.", now) + _end(
        expired, STATE.EXPIRED, "No worker began in time.", now
    )


def lose_sent(*, now: datetime) -> int:
    """End every run that was sent: for a broker that loses all it holds when its process ends."""
    sent = ScheduleRun.objects.filter(state__in=[STATE.SENT, *BEGUN])
    return sent.update(state=STATE.LOST, finished_at=now, error="The platform ended before the run did.")


def _end(keys: Sequence[UUID], state: str, error: str, now: datetime) -> int:
    if not keys:
        return 0
    ended = ScheduleRun.objects.filter(pk__in=keys, state__in=[STATE.SENT, *BEGUN])
    return ended.update(state=state, finished_at=now, error=error)


def _tell_missed(
    missed: Mapping[int, tuple[Schedule, datetime]], runs: Mapping[int, Sequence[ScheduleRun]], now: datetime
) -> None:
    told = {pain.data.get("schedule"): pain for pain in open_pains(cause=MISSED)}
    for pk, pain in told.items():
        if pk not in missed:
            end_by_itself(pain, now=now, why="It runs again.")
    for pk, (schedule, since) in missed.items():
        if pk not in told:
            _raise_missed(schedule, since, runs.get(pk, []), now)


def _raise_missed(schedule: Schedule, since: datetime, runs: Sequence[ScheduleRun], now: datetime) -> None:
    run = next((run for run in runs if run.due_at == since), None)
    where = (
        "no beat has sent it"
        if run is None or run.sent_at is None
        else f"sent at {moment_text(run.sent_at)}, not begun"
    )
    try_to_raise(
        type="pain",
        source=f"schedule:{schedule.task.name}"[:200],
        severity=Severity.HIGH,
        data={
            CAUSE: MISSED,
            "schedule": schedule.pk,
            "name": schedule.task.name,
            "task": schedule.task.task,
            "due_at": moment_text(since),
            "grace_seconds": schedule.grace_seconds,
            "run": str(run.pk) if run else None,
            "sent_at": moment_text(run.sent_at) if run else None,
        },
        description=f"{schedule.task.name} was due at {moment_text(since)} and has not begun: {where}."[:2000],
        origin=Party.S2,
        at=now,
    )


def _tell_leaderless(now: datetime) -> None:
    """Raise pain when no beat leads: then nothing at all is sent, not even the platform's own jobs."""
    since = leading.leaderless_since(now=now)
    pains = open_pains(cause=LEADERLESS)
    if since is None:
        for pain in pains:
            end_by_itself(pain, now=now, why="A beat leads again.")
    elif not pains and now - since > LEADERLESS_AFTER:
        try_to_raise(
            type="pain",
            source="beat",
            severity=Severity.CRITICAL,
            data={CAUSE: LEADERLESS, "since": moment_text(since)},
            description=f"No beat has led since {moment_text(since)}: nothing that is scheduled runs.",
            origin=Party.S2,
            at=now,
        )


# --- Forgetting -------------------------------------------------------------------------------------------------------
def forget_runs(*, now: datetime) -> int:
    """Delete runs of more than 30 days ago, and of each schedule all but its newest; return how many."""
    return _delete(ScheduleRun.objects.filter(due_at__lt=now - KEEP)) + _delete(_surplus())


def _surplus() -> QuerySet[ScheduleRun]:
    number = Window(RowNumber(), partition_by=F("schedule_id"), order_by=F("due_at").desc())
    return ScheduleRun.objects.annotate(number=number).filter(number__gt=KEEP_RUNS)


def _delete(found: QuerySet[ScheduleRun]) -> int:
    """Delete in batches, so that nobody waits for the lock of a long one."""
    deleted = 0
    while keys := list(found.order_by().values_list("pk", flat=True)[:AT_ONCE]):
        deleted += ScheduleRun.objects.filter(pk__in=keys).delete()[0]
    return deleted
