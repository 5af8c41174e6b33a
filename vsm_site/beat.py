"""Celery's beat with a leader: the core jobs from code, and what people schedule from the database.

Of any number of beats one leads; the others look each second whether it still does. The core jobs claim their slots
and do no harm when two send them, so a beat that cannot reach the database goes on sending those.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery import Task
from celery.beat import Scheduler
from celery.exceptions import Ignore, Reject, Retry
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from django.utils import timezone
from django.utils.module_loading import import_string

from subsystems.s2_coordination import leading, services
from subsystems.s2_coordination.dispatch import RUN_HEADER, Dispatcher
from subsystems.s2_coordination.leading import Deposed, Reign
from subsystems.s2_coordination.models import ScheduleRun

logger = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
# Tasks of each second or few that seldom have anything to do, and who knows whether they have: asking costs far less
# than a task with its events.
ONLY_IF = {
    "algedonic.escalate": "subsystems.algedonic.queries.is_escalation_due",
    "s4_intelligence.patterns": "subsystems.s4_intelligence.patterns.queries.is_tick_due",
    "s4_intelligence.scan": "subsystems.s4_intelligence.queries.is_scan_due",
    "s3_control.steer": "subsystems.s3_control.carrying.is_steering_due",
    "s3_control.tend": "subsystems.s3_control.settling.is_tending_due",
    "s3_control.bargain": "subsystems.s3_control.bargaining.rounds.is_bargaining_due",
    "s3_control.scale": "subsystems.s3_control.scaling.services.is_scaling_due",
}
# The tasks of what can be switched off (requirements 004-41), by how they begin, and the setting that does it.
SWITCHES = {
    "telemetry.": "TELEMETRY", "vsm_site.export": "TELEMETRY", "s4_intelligence.look": "TELEMETRY",
    "s4_intelligence.foresee": "TELEMETRY", "s4_intelligence.patterns": "EVENT_PROCESSING",
}  # fmt: skip
STATE = ScheduleRun.State


class Lead:
    """One beat's part in leading: what it holds, and what it does while it does."""

    def __init__(self, dispatcher: Dispatcher, clock: Callable[[], datetime] = leading.database_now) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"
        self.reign: Reign | None = None
        self.next_due_at: datetime | None = None
        self._dispatcher = dispatcher
        self._clock = clock
        self._started_at: datetime | None = None
        self._reported_at: datetime | None = None

    def turn(self) -> datetime | None:
        """Lead if nobody else does; decide and send as the leader. Return since when core jobs are unsent, if new."""
        now = self._clock()
        self._report(now)
        taken = None
        if self.reign is None:
            self.reign = leading.take(self.name, now=now)
            if self.reign is None:
                return None
            logger.info("This beat leads (epoch %s).", self.reign.epoch)
            self._dispatcher.forget()
            taken = self.reign.vacant_since or now
        elif self.reign.expires_at - now < leading.RENEW_BEFORE:
            self.reign = leading.renew(self.reign, now=now)
        self.next_due_at = self._dispatcher.turn(self.reign, now=now)
        return taken

    def seconds_to_next(self) -> float:
        """Return how long nothing is due."""
        if self.reign is None or self.next_due_at is None:
            return LOOK_SECONDS
        return min(max((self.next_due_at - self._clock()).total_seconds(), 0.0), LOOK_SECONDS)

    def leave(self) -> None:
        """Leave the lead to whoever stands by."""
        if self.reign is not None:
            leading.give_up(self.reign, now=self._clock())
            self.reign = None
        leading.leave(self.name)
        self._dispatcher.close()

    def _report(self, now: datetime) -> None:
        if self._started_at is None:
            self._started_at = now
        if self._reported_at is None or now - self._reported_at >= leading.SEEN_EVERY:
            leading.report(self.name, self._started_at, now=now)
            self._reported_at = now


class LedScheduler(Scheduler):  # type: ignore[misc]
    """Celery's scheduler of the core jobs, while this beat leads."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self._lead = Lead(Dispatcher(app))
        self._look_at = 0.0
        self._first = True

    def tick(self, **options: Any) -> float:
        """Do what is due and return for how many seconds nothing is."""
        if time.monotonic() >= self._look_at:
            self._look()
        if self._lead.reign is None:
            return LOOK_SECONDS
        until_look = max(self._look_at - time.monotonic(), 0.0)
        wait: float = super().tick(**options)
        return min(wait, until_look)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send a task, unless it would find nothing to do."""
        if has_work(entry.task, now=timezone.now()):
            super().apply_entry(entry, producer=producer)

    def close(self) -> None:
        """Give up the lead: who stands by takes over at once."""
        super().close()
        try:
            self._lead.leave()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The lead could not be given up: %s", error)
        connections.close_all()

    def _look(self) -> None:
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            self._forget_what_no_broker_holds()
            taken_since = self._lead.turn()
        except Deposed:
            logger.warning("Another beat leads now: this one stands by.")
            self._lead.reign = None
            return
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The database is away (%s): only the core jobs are sent.", error)
            connections.close_all()
            return
        if taken_since is not None:
            self._begin_after(taken_since)
        self._look_at = time.monotonic() + self._lead.seconds_to_next()

    def _forget_what_no_broker_holds(self) -> None:
        """The broker inside the process began empty: what an earlier process sent is lost."""
        if self._first and settings.BROKER_URL.startswith("vsm://"):
            services.lose_sent(now=timezone.now())
        self._first = False

    def _begin_after(self, moment: datetime) -> None:
        """Send what a predecessor left: it may have died before it sent what was due in its last second."""
        for entry in self.schedule.values():
            entry.last_run_at = moment - timedelta(seconds=LOOK_SECONDS)
        self._heap = None


def has_work(task: str, *, now: datetime) -> bool:
    """Return whether *task* would find something to do; where nobody can tell, it may look for itself."""
    if not all(getattr(settings, switch) for start, switch in SWITCHES.items() if task.startswith(start)):
        return False
    question = ONLY_IF.get(task)
    if question is None:
        return True
    try:
        return bool(import_string(question)(now=now))
    except (DatabaseError, InterfaceError):
        connections.close_all()
        return True


class ScheduledTask(Task):  # type: ignore[misc]
    """The base of every task: one that a schedule sent claims its run first, and tells how it ended."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        if request.called_directly:
            return super().__call__(*args, **kwargs)
        run_id = (request.headers or {}).get(RUN_HEADER)
        if run_id is None:
            return self.run(*args, **kwargs)
        return self._run_scheduled(UUID(run_id), args, kwargs)

    def _run_scheduled(self, run_id: UUID, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        request = self.request
        redelivered = bool((request.delivery_info or {}).get("redelivered"))
        worker = request.hostname or ""
        if not services.begin(
            run_id, worker=worker, redelivered=redelivered, retries=request.retries, now=timezone.now()
        ):
            logger.warning("A second message of run %s is ignored.", run_id)
            raise Ignore
        try:
            result = self.run(*args, **kwargs)
        except Retry:
            services.finish(run_id, STATE.RETRYING, now=timezone.now())
            raise
        except (Ignore, Reject) as error:
            services.finish(run_id, STATE.FAILED, error=type(error).__name__, now=timezone.now())
            raise
        except BaseException as error:
            services.finish(run_id, STATE.FAILED, error=f"{type(error).__name__}: {error}", now=timezone.now())
            raise
        services.finish(run_id, STATE.SUCCEEDED, now=timezone.now())
        return result
