"""What the leading beat does each second: decide about what came due, and send what may run now.

Deciding writes one row for each due time, in a transaction that is fenced by the lease; sending follows. A beat that
dies in between leaves rows behind that its successor sends; one that sends twice is told so by `services.begin`.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from amqp.exceptions import ConnectionError as BrokerGone
from amqp.exceptions import MessageNacked
from celery import Celery
from django.db import transaction
from django.db.models import Case, F, Max, Value, When
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from kombu import Connection
from kombu.exceptions import OperationalError

from subsystems.kernel.errors import Invalid
from subsystems.messaging.topology import declare
from subsystems.s2_coordination import leading, queries, services
from subsystems.s2_coordination.leading import Reign
from subsystems.s2_coordination.models import UNSENT, Schedule, ScheduleRun
from subsystems.s2_coordination.policies import Candidate, Decision, Overlap, Verdict, admit, decide
from subsystems.s2_coordination.timetable import Timetable, backlog, next_due

logger = logging.getLogger(__name__)
STATE = ScheduleRun.State
LOOKED_BACK = timedelta(days=31)  # further than runs are kept
MOST_RECORDED = 1000  # due times of one schedule and outage that get a row each
READ_AGAIN = timedelta(seconds=60)
CONFIRM_SECONDS = 2.0
AWAY = (OSError, OperationalError, BrokerGone, MessageNacked)  # worth another try
RUN_HEADER = "schedule_run"

Send = Callable[[ScheduleRun], None]


@dataclass
class Planned:
    """A schedule that runs, as the leader keeps it in memory."""

    schedule: Schedule
    table: Timetable
    next_due_at: datetime | None


class Dispatcher:
    """Decides and sends; one beat has one. It reads the schedules again when somebody changed them."""

    def __init__(self, app: Celery, send: Send | None = None) -> None:
        self._send = send or Postman(app)
        self._plan: dict[int, Planned] = {}
        self._read_at: datetime | None = None
        self._changed_at: datetime | None = None

    def close(self) -> None:
        """Let go of the broker."""
        if isinstance(self._send, Postman):
            self._send.close()

    def forget(self) -> None:
        """Read everything again at the next turn: another beat may have led meanwhile."""
        self._read_at = None

    def turn(self, reign: Reign, *, now: datetime) -> datetime | None:
        """Decide and send what is due; return when the next thing is. Raises Deposed when another beat leads."""
        self._read_changes(reign, now)
        due = [each for each in self._plan.values() if each.next_due_at is not None and each.next_due_at <= now]
        if due:
            self._decide(reign, due, now)
        if self._plan:
            self._send_waiting(now)
        return min((each.next_due_at for each in self._plan.values() if each.next_due_at is not None), default=None)

    # --- Reading ------------------------------------------------------------------------------------------------------
    def _read_changes(self, reign: Reign, now: datetime) -> None:
        changed_at = PeriodicTasks.objects.aggregate(at=Max("last_update"))["at"]
        fresh = self._read_at is not None and now - self._read_at < READ_AGAIN
        if fresh and changed_at == self._changed_at:
            return
        with transaction.atomic():
            leading.renew(reign, now=now)
            for task in queries.unstewarded():
                services.steward(task, now=now)
            _note_switched(now)
            self._plan = {schedule.pk: _planned(schedule, now) for schedule in queries.schedules()}
            _keep_plans(self._plan.values())
        self._read_at, self._changed_at = now, changed_at

    # --- Deciding -----------------------------------------------------------------------------------------------------
    def _decide(self, reign: Reign, due: Sequence[Planned], now: datetime) -> None:
        with transaction.atomic():
            leading.renew(reign, now=now)
            rows = [row for each in due for row in _decided(each, reign, now)]
            ScheduleRun.objects.bulk_create(rows, ignore_conflicts=True)
            _keep_plans(due)

    # --- Sending ------------------------------------------------------------------------------------------------------
    def _send_waiting(self, now: datetime) -> None:
        open_runs = list(queries.open_runs(self._plan))
        if not any(run.state in UNSENT for run in open_runs):
            return
        by_schedule: dict[int, list[ScheduleRun]] = defaultdict(list)
        for run in open_runs:
            run.schedule = self._plan[run.schedule_id].schedule
            by_schedule[run.schedule_id].append(run)
        try:
            for pk, runs in by_schedule.items():
                self._admit(self._plan[pk].schedule, runs, now)
        except AWAY as error:
            logger.warning("The broker is away (%s): what is due waits in the database.", error)

    def _admit(self, schedule: Schedule, runs: Sequence[ScheduleRun], now: datetime) -> None:
        held = schedule.terms.paused(now)
        unsent = {str(run.pk): run for run in runs if run.state in UNSENT and not (held and run.state == STATE.WAITING)}
        overlap = Overlap(schedule.overlap)
        candidates = [Candidate(key, run.late, run.state == STATE.WAITING) for key, run in unsent.items()]
        busy = any(run.state not in UNSENT for run in runs)
        for candidate, verdict, reason in admit(candidates, overlap, busy=busy):
            run = unsent[candidate.id]
            if verdict is Verdict.RUN:
                self._dispatch(run, now)
            elif verdict is Verdict.SKIP:
                _move(run, STATE.SKIPPED, reason=reason, finished_at=now)
            elif not candidate.waiting:
                _move(run, STATE.WAITING)

    def _dispatch(self, run: ScheduleRun, now: datetime) -> None:
        try:
            self._send(run)
        except AWAY:
            raise  # the broker is away for all of them, and asking it for each would take too long
        except Exception as error:  # noqa: BLE001  (whatever one schedule's message runs into, the others must go out)
            logger.warning("%s cannot be sent: %s", run.schedule, error)
            _move(run, STATE.FAILED, error=f"{type(error).__name__}: {error}"[:500], finished_at=now)
            return
        sent = ScheduleRun.objects.filter(pk=run.pk)  # a worker may have begun it already
        sent.update(sent_at=now, state=Case(When(state__in=UNSENT, then=Value(STATE.SENT.value)), default=F("state")))
        PeriodicTask.objects.filter(pk=run.schedule.task_id).update(
            last_run_at=now, total_run_count=F("total_run_count") + 1
        )


class Postman:
    """Sends runs and knows that the broker has them: what a process sends just before it dies may never arrive."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Connection | None = None

    def __call__(self, run: ScheduleRun) -> None:
        """Send the run's task under the run's id. Raises one of AWAY when the broker does not take it for now."""
        task = run.schedule.task
        try:
            self._app.send_task(
                task.task,
                args=json.loads(task.args or "[]"),
                kwargs=json.loads(task.kwargs or "{}"),
                task_id=str(run.pk),
                retry=False,
                **self._how(),
                **_options(task, run),
            )
        except AWAY:
            self.close()
            raise

    def _how(self) -> dict[str, Any]:
        if self._app.conf.broker_url.split("://")[0] not in {"amqp", "amqps"}:
            return {}
        if self._connection is None:
            waits = {"read_timeout": CONFIRM_SECONDS, "write_timeout": CONFIRM_SECONDS, "confirm_publish": True}
            url = self._app.conf.broker_url
            self._connection = Connection(url, connect_timeout=CONFIRM_SECONDS, transport_options=waits)
            declare(self._connection)
        return {"connection": self._connection, "mandatory": True, "confirm_timeout": CONFIRM_SECONDS}

    def close(self) -> None:
        """Leave the connection without waiting for a broker that may never answer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.collect(socket_timeout=0.1)


def _options(task: PeriodicTask, run: ScheduleRun) -> dict[str, Any]:
    given = {
        "queue": task.queue, "exchange": task.exchange, "routing_key": task.routing_key,
        "priority": task.priority, "expires": task.expire_seconds,
    }  # fmt: skip
    headers = {**json.loads(task.headers or "{}"), "periodic_task_name": task.name, RUN_HEADER: str(run.pk)}
    return {**{name: value for name, value in given.items() if value not in (None, "")}, "headers": headers}


def _planned(schedule: Schedule, now: datetime) -> Planned:
    if schedule.next_due_at is not None and schedule.next_due_at > now:
        schedule.decided_until = now  # nothing was due, so a timetable that has changed starts afresh
    try:
        table = queries.timetable_of(schedule.task, schedule.anchor_at)
    except Invalid as error:
        schedule.problem, schedule.next_due_at = error.detail[:200], None
        return Planned(schedule, queries.NEVER, None)
    schedule.problem = ""
    schedule.next_due_at = next_due(table, _since(schedule)) if schedule.task.enabled else None
    return Planned(schedule, table, schedule.next_due_at)


def _since(schedule: Schedule) -> datetime:
    """Return after which moment due times count: what was decided, and for a changed schedule its change."""
    start = schedule.task.start_time
    begun: list[datetime] = [] if start is None else [start - timedelta(microseconds=1)]
    found: datetime = max(schedule.decided_until, schedule.task.date_changed, *begun)
    return found


def _decided(each: Planned, reign: Reign, now: datetime) -> list[ScheduleRun]:
    """Return the rows of what came due, and move the schedule on."""
    schedule = each.schedule
    found = backlog(each.table, max(_since(schedule), now - LOOKED_BACK), now, keep=MOST_RECORDED)
    decisions = decide(found.times, schedule.terms, now=now)
    schedule.decided_until = now
    schedule.next_due_at = each.next_due_at = next_due(each.table, now)
    if schedule.task.one_off and any(decision.verdict is Verdict.RUN for decision in decisions):
        _end_one_off(schedule, now)
        each.next_due_at = schedule.next_due_at = None
    note = f"{found.older} older due times of the same outage have no row." if found.older else ""
    return [
        _row(schedule, decision, reign, now, note if number == 0 else "") for number, decision in enumerate(decisions)
    ]


def _row(schedule: Schedule, decision: Decision, reign: Reign, now: datetime, note: str) -> ScheduleRun:
    skipped = decision.verdict is Verdict.SKIP
    return ScheduleRun(
        schedule=schedule, due_at=decision.due_at, state=STATE.SKIPPED if skipped else STATE.DUE,
        reason=decision.reason, note=note, late=decision.late, epoch=reign.epoch, finished_at=now if skipped else None,
    )  # fmt: skip


def _end_one_off(schedule: Schedule, now: datetime) -> None:
    PeriodicTask.objects.filter(pk=schedule.task_id).update(enabled=False, date_changed=now)
    PeriodicTasks.update_changed()


def _move(run: ScheduleRun, state: str, **fields: Any) -> None:
    ScheduleRun.objects.filter(pk=run.pk, state__in=UNSENT).update(state=state, **fields)


def _keep_plans(planned: Iterable[Planned]) -> None:
    rows = [each.schedule for each in planned]
    Schedule.objects.bulk_update(rows, ["decided_until", "next_due_at", "problem"], batch_size=500)


def _note_switched(now: datetime) -> None:
    """Let a schedule that was switched on start afresh: what was due while it was off was not missed."""
    Schedule.objects.filter(task__enabled=True, enabled_seen=False).update(decided_until=now, enabled_seen=True)
    off = Schedule.objects.filter(task__enabled=False, enabled_seen=True)
    left = ScheduleRun.objects.filter(schedule__in=off, schedule__task__one_off=False, state__in=UNSENT)
    left.update(state=STATE.SKIPPED, reason="disabled", finished_at=now)
    off.update(enabled_seen=False)
