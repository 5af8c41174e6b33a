"""Reading schedules: their timetables, their next and past runs, and who leads."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from celery.schedules import ParseException, crontab
from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from subsystems.kernel.errors import Invalid
from subsystems.kernel.times import moment_text
from subsystems.s2_coordination.models import OPEN, BeatLease, BeatProcess, Schedule, ScheduleRun
from subsystems.s2_coordination.timetable import (
    ClockChange,
    Cron,
    Interval,
    Occurrence,
    Once,
    Shift,
    Timetable,
    clock_changes,
    upcoming,
)

SHOWN_NEXT = 5
SHOWN_PAST = 40
SHORTEST = timedelta(seconds=1)
CRONTAB_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
MAX_CRONTAB_FIELD = 60
LONGEST_INTERVAL = 366 * 86_400
AHEAD = timedelta(days=366)
NEVER = Once(datetime.min.replace(tzinfo=UTC))
BEAT_SEEN_WITHIN = timedelta(seconds=15)
STATE = ScheduleRun.State
SHIFT_WORDS = {
    Shift.SKIPPED: "{local} does not exist on this day, the clock is put forward: it runs at the jump.",
    Shift.REPEATED: "{local} comes twice on this day, the clock is put back: it runs the first time.",
    Shift.FIRST: "{local} comes twice on this day: this is the first.",
    Shift.SECOND: "{local} comes twice on this day: this is the second.",
}


@dataclass(frozen=True)
class When:
    """When a new schedule is due: one of the three."""

    every_seconds: int | None = None
    crontab: str = ""  # five fields, as in a crontab: minute, hour, day of month, month, day of week
    zone: str = "UTC"
    at: datetime | None = None


# --- Timetables -------------------------------------------------------------------------------------------------------
def timetable_of(task: PeriodicTask, anchor_at: datetime) -> Timetable:
    """Return when *task* is due. Raises Invalid with the reason why the platform cannot run it."""
    if task.interval is not None:
        every = timedelta(**{task.interval.period: task.interval.every})
        if every < SHORTEST:
            raise Invalid("An interval is at least one second.", field="interval")
        return Interval(every, task.start_time or anchor_at)
    if task.crontab is not None:
        return cron_of(task.crontab)
    if task.clocked is not None:
        return Once(task.clocked.clocked_time)
    if task.solar is not None:
        raise Invalid("Solar schedules are not run: choose a crontab.", field="solar")
    raise Invalid("It has no schedule: choose an interval, a crontab or a time.", field="interval")


def cron_of(row: CrontabSchedule) -> Cron:
    """Return the timetable of a crontab, its fields as Celery reads them. Raises Invalid."""
    try:
        read = crontab(
            minute=row.minute, hour=row.hour, day_of_week=row.day_of_week,
            day_of_month=row.day_of_month, month_of_year=row.month_of_year,
        )  # fmt: skip
    except (ParseException, ValueError) as error:
        raise Invalid(f"The crontab cannot be read: {error}"[:200], field="crontab") from None
    return Cron(
        frozenset(read.minute), frozenset(read.hour), frozenset(read.day_of_month), frozenset(read.month_of_year),
        frozenset(read.day_of_week), ZoneInfo(str(row.timezone)),
    )  # fmt: skip


def read_crontab(text: str, zone: str) -> CrontabSchedule:
    """Return an unsaved crontab of five fields. Raises Invalid naming `crontab` or `timezone`."""
    fields = text.split()
    if len(fields) != len(CRONTAB_FIELDS):
        raise Invalid("A crontab has five fields: minute, hour, day of month, month, day of week.", field="crontab")
    if any(len(field) > MAX_CRONTAB_FIELD for field in fields):
        raise Invalid("A field of a crontab has at most 60 characters.", field="crontab")
    try:
        timezone = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a name, a text that cannot be one, a folder of zones
        raise Invalid(f"There is no time zone {zone!r:.80}.", field="timezone") from None
    row = CrontabSchedule(**dict(zip(CRONTAB_FIELDS, fields, strict=True)), timezone=timezone)
    cron_of(row)
    return row


def check_when(when: When, now: datetime) -> None:
    """Raise Invalid naming the field unless *when* says one thing that can be scheduled."""
    given = [field for field in ("every_seconds", "crontab", "at") if getattr(when, field)]
    if len(given) != 1:
        raise Invalid("Say when: every_seconds, crontab or at, one of them.", field=given[1] if given else "crontab")
    if when.every_seconds and not 1 <= when.every_seconds <= LONGEST_INTERVAL:
        raise Invalid("From one second to a year.", field="every_seconds")
    if when.at is not None and when.at <= now:
        raise Invalid("It has passed already.", field="at")


def preview(when: When, count: int, *, now: datetime) -> dict[str, Any]:
    """Return when something would be due, and which changes of the clock it would meet. Raises Invalid."""
    check_when(when, now)
    zone = ZoneInfo("UTC")
    table: Timetable
    if when.crontab:
        row = read_crontab(when.crontab, when.zone)
        table, zone = cron_of(row), ZoneInfo(str(row.timezone))
    elif when.every_seconds:
        table = Interval(timedelta(seconds=when.every_seconds), now.replace(microsecond=0))
    else:
        table = Once(when.at or now)
    return {
        "timezone": str(zone),
        "next_runs": [occurrence_body(found, zone) for found in upcoming(table, now, count)],
        "clock_changes": clock_bodies(table, zone, now=now),
    }


def when_text(task: PeriodicTask) -> str:
    """Return in words when *task* is due."""
    if task.crontab is not None:
        return str(task.crontab.human_readable)
    found = task.scheduler
    if found is None:
        return "never"
    return f"at {moment_text(task.clocked.clocked_time)}" if task.clocked is not None else str(found)


def zone_of(task: PeriodicTask) -> ZoneInfo:
    """Return the zone in which *task* is scheduled."""
    return ZoneInfo(str(task.crontab.timezone)) if task.crontab is not None else ZoneInfo("UTC")


# --- Rows -------------------------------------------------------------------------------------------------------------
def schedules() -> QuerySet[Schedule]:
    """Return every schedule with what its timetable and its body need."""
    return Schedule.objects.select_related(
        "task", "task__interval", "task__crontab", "task__clocked", "task__solar", "paused_by"
    )


def open_runs(schedule_ids: Iterable[int] | None = None) -> QuerySet[ScheduleRun]:
    """Return the runs that have not ended, oldest first."""
    found = ScheduleRun.objects.filter(state__in=OPEN).order_by("due_at")
    return found if schedule_ids is None else found.filter(schedule_id__in=list(schedule_ids))


def last_runs(schedule_ids: Iterable[int], count: int = SHOWN_PAST) -> dict[int, list[ScheduleRun]]:
    """Return the last *count* runs of each schedule, newest first, by one query."""
    numbered = ScheduleRun.objects.filter(schedule_id__in=list(schedule_ids)).annotate(
        number=Window(RowNumber(), partition_by=F("schedule_id"), order_by=F("due_at").desc())
    )
    found: dict[int, list[ScheduleRun]] = defaultdict(list)
    for run in numbered.filter(number__lte=count).order_by("-due_at"):
        found[run.schedule_id].append(run)
    return found


# --- States -----------------------------------------------------------------------------------------------------------
def state_of(schedule: Schedule, runs: Sequence[ScheduleRun], *, now: datetime) -> str:
    """Return in one word how a schedule does; *runs* are its last, newest first."""
    if schedule.problem:
        return "unable"
    if not schedule.task.enabled:
        return "disabled"
    if schedule.terms.paused(now):
        return "paused"
    if missed_since(schedule, runs, now=now) is not None:
        return "missed"
    if any(run.state in (STATE.RUNNING, STATE.RETRYING) for run in runs):
        return "running"
    ended = next((run for run in runs if run.state not in OPEN and run.state != STATE.SKIPPED), None)
    if ended is None:
        return "new"
    return "ok" if ended.state == STATE.SUCCEEDED else "failing"


def missed_since(schedule: Schedule, runs: Iterable[ScheduleRun], *, now: datetime) -> datetime | None:
    """Return the due time of the oldest run that should have begun by now, its grace included, and has not."""
    limit = now - timedelta(seconds=schedule.grace_seconds)
    late = [run.due_at for run in runs if run.state in (STATE.DUE, STATE.SENT) and run.due_at < limit]
    due = schedule.next_due_at
    if due is not None and due < limit and schedule.task.enabled and not schedule.terms.paused(due):
        late.append(due)
    return min(late, default=None)


# --- Bodies -----------------------------------------------------------------------------------------------------------
def schedule_bodies(found: Sequence[Schedule], *, now: datetime) -> list[dict[str, Any]]:
    """Return schedules as JSON, each with its next and its last runs."""
    runs = last_runs([schedule.pk for schedule in found])
    return [schedule_body(schedule, runs.get(schedule.pk, []), now=now) for schedule in found]


def schedule_body(schedule: Schedule, runs: Sequence[ScheduleRun], *, now: datetime) -> dict[str, Any]:
    """Return one schedule as JSON; *runs* are its last, newest first."""
    task, terms = schedule.task, schedule.terms
    paused = terms.paused(now)
    return {
        "id": task.pk,
        "name": task.name,
        "description": task.description,
        "task": task.task,
        "args": _json(task.args, []),
        "kwargs": _json(task.kwargs, {}),
        "last_run_at": moment_text(task.last_run_at),
        "queue": task.queue,
        "enabled": task.enabled,
        "one_off": task.one_off,
        "when": when_text(task),
        "timezone": str(zone_of(task)),
        "state": state_of(schedule, runs, now=now),
        "problem": schedule.problem,
        "overlap": schedule.overlap,
        "catch_up": schedule.catch_up,
        "catch_up_limit": schedule.catch_up_limit,
        "grace_seconds": schedule.grace_seconds,
        "longest_run_seconds": schedule.longest_run_seconds,
        "paused_until": moment_text(schedule.paused_until) if paused else None,
        "paused_by": schedule.paused_by.get_username() if paused and schedule.paused_by else None,
        "pause_reason": schedule.pause_reason if paused else "",
        "missed_since": moment_text(missed_since(schedule, runs, now=now)),
        "total_run_count": task.total_run_count,
        "next_runs": next_runs(schedule, now=now) if task.enabled else [],
        "last_run": run_body(runs[0]) if runs else None,
        "punctuality": punctuality(runs),
    }


def next_runs(schedule: Schedule, *, now: datetime, count: int = SHOWN_NEXT) -> list[dict[str, Any]]:
    """Return the next due times, each with its local time and what a change of the clock does to it."""
    try:
        table = timetable_of(schedule.task, schedule.anchor_at)
    except Invalid:
        return []
    terms = schedule.terms
    zone = zone_of(schedule.task)
    after = max(now, schedule.task.start_time - timedelta(microseconds=1)) if schedule.task.start_time else now
    return [
        {**occurrence_body(found, zone), "paused": terms.paused(found.at)}
        for found in upcoming(table, after, count)
        if terms.expires_at is None or found.at < terms.expires_at
    ]


def occurrence_body(found: Occurrence, zone: ZoneInfo) -> dict[str, Any]:
    """Return one due time as JSON, in UTC and as the clock on the wall shows it."""
    shown = found.at.astimezone(zone)
    words = SHIFT_WORDS.get(found.shift, "")
    return {
        "at": moment_text(found.at),
        "local": shown.isoformat(timespec="seconds"),
        "zone": shown.tzname() or "",
        "shift": found.shift.value,
        "note": words.format(local=f"{found.local:%H:%M}"),
    }


def clock_bodies(table: Timetable, zone: ZoneInfo, *, now: datetime) -> list[dict[str, Any]]:
    """Return the changes of the clock within a year, each with the due times of *table* that it touches."""
    return [_clock_body(change, table, zone) for change in clock_changes(zone, now, now + AHEAD)]


def _clock_body(change: ClockChange, table: Timetable, zone: ZoneInfo) -> dict[str, Any]:
    day = timedelta(days=1)
    near = upcoming(table, change.at - day, 3000) if isinstance(table, Cron) else []
    touched = [found for found in near if found.shift and abs(found.at - change.at) < day]
    return {
        "at": moment_text(change.at),
        "forward": change.forward,
        "from": change.starts.isoformat(timespec="minutes"),
        "to": change.ends.isoformat(timespec="minutes"),
        "runs": [occurrence_body(found, zone) for found in touched],
    }


def run_body(run: ScheduleRun) -> dict[str, Any]:
    """Return one run as JSON."""
    return {
        "id": str(run.pk),
        "due_at": moment_text(run.due_at),
        "state": str(run.state),
        "reason": run.reason,
        "note": run.note,
        "late": run.late,
        "epoch": run.epoch,
        "sent_at": moment_text(run.sent_at),
        "started_at": moment_text(run.started_at),
        "finished_at": moment_text(run.finished_at),
        "attempts": run.attempts,
        "worker": run.worker,
        "error": run.error,
        "sent_delay_seconds": _seconds(run.due_at, run.sent_at),
        "delay_seconds": _seconds(run.due_at, run.started_at),
        "runtime_seconds": _seconds(run.started_at, run.finished_at),
    }


def punctuality(runs: Sequence[ScheduleRun]) -> dict[str, Any]:
    """Return how punctual *runs* were: counts, and the median and largest delay from due to begun."""
    begun = sorted((run.started_at - run.due_at).total_seconds() for run in runs if run.started_at is not None)
    return {
        "runs": len(runs),
        "begun": len(begun),
        "skipped": sum(run.state == STATE.SKIPPED for run in runs),
        "failed": sum(run.state in (STATE.FAILED, STATE.LOST, STATE.EXPIRED) for run in runs),
        "median_delay_seconds": round(begun[len(begun) // 2], 3) if begun else None,
        "largest_delay_seconds": round(begun[-1], 3) if begun else None,
    }


def leader_body(*, now: datetime) -> dict[str, Any]:
    """Return which beat leads, since when, and which stand by."""
    lease = BeatLease.objects.first()
    leads = lease is not None and lease.expires_at is not None and lease.expires_at > now
    beats = BeatProcess.objects.filter(seen_at__gte=now - BEAT_SEEN_WITHIN)
    return {
        "leader": lease.holder if lease and leads else None,
        "epoch": lease.epoch if lease else 0,
        "since": moment_text(lease.taken_at) if lease and leads else None,
        "renewed_at": moment_text(lease.renewed_at) if lease else None,
        "beats": [
            {
                "name": beat.name,
                "leads": bool(leads and lease and lease.holder == beat.name),
                "started_at": moment_text(beat.started_at),
                "seen_at": moment_text(beat.seen_at),
            }
            for beat in beats
        ],
    }


def unstewarded() -> list[PeriodicTask]:
    """Return the periodic tasks that no beat has seen yet."""
    return list(PeriodicTask.objects.filter(steward=None))


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 6)


def _json(text: str, fallback: Any) -> Any:
    try:
        return json.loads(text or "null") or fallback
    except ValueError:
        return fallback
