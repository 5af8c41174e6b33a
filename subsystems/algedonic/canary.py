"""The lane tested all the time by messages of its own, and what happens when none comes through.

A lane that has failed cannot carry the news of it: that pain is written to the database and pushed to open dashboards
directly. So this must run outside the lane: in a thread of the relay and in the collectors' task.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime

from django.db import DatabaseError, InterfaceError, close_old_connections, connections, transaction
from django.db.models import F, Max
from django.utils import timezone

from subsystems.algedonic import emission, lane, queries
from subsystems.algedonic.intensity import SignalType
from subsystems.algedonic.models import CanaryRun, Lane, Signal, SignalRoute
from subsystems.algedonic.routes import CANARY_PRIORITY, CANARY_TYPE, plan
from subsystems.algedonic.services import end_by_itself
from subsystems.kernel.severity import Severity
from subsystems.messaging import fast_lane, outbox
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.models import Message
from subsystems.messaging.slots import slot_once
from subsystems.recursion.queries import root_system

logger = logging.getLogger(__name__)
JOB = "algedonic.canary"
SOURCE = "algedonic_lane"
WATCH_SECONDS = 5.0


# --- Sending and answering --------------------------------------------------------------------------------------------
def send_due(*, now: datetime) -> CanaryRun | None:
    """Send the canary of the current 10 seconds, unless somebody has."""
    with slot_once(JOB, lane.PERIOD_SECONDS, now=now) as slot:
        return None if slot is None else send(now=now)


@transaction.atomic
def send(*, now: datetime) -> CanaryRun:
    """Send a canary as pain travels: a row, the fast lane, the broker, S5's handler.

    Its row is written here and not by `publish`, because the event log shall not hold 8,640 of them a day, and no
    limit may hold one up.
    """
    run = CanaryRun.objects.create(sent_at=now)
    message = Message.objects.create(
        id=run.pk, channel=Channel.ALGEDONIC, sender=Party.PLATFORM, recipient=Party.S5, type=CANARY_TYPE,
        priority=CANARY_PRIORITY, created_at=now, due_at=now + outbox.FRESH_LEASE,
    )  # fmt: skip
    lane_of_pain = fast_lane.lane(algedonic=True)
    transaction.on_commit(lambda: lane_of_pain.offer([outbox.letter_of(message)]), robust=True)
    return run


def answer(canary_id: str, *, now: datetime) -> bool:
    """Record that a canary came through; return False when that was known or it was forgotten."""
    run = CanaryRun.objects.filter(pk=canary_id, received_at=None).first()
    if run is None:
        return False
    latency = max((now - run.sent_at).total_seconds(), 0.0)
    return bool(CanaryRun.objects.filter(pk=run.pk, received_at=None).update(received_at=now, latency_seconds=latency))


# --- Watching ---------------------------------------------------------------------------------------------------------
def check(*, now: datetime) -> bool:
    """Look whether the lane works; raise pain around it once per outage, end that when it works again.

    Returns whether it works. Any number may look at the same time.
    """
    row = _look(now)
    _count_lost(now)
    last = CanaryRun.objects.aggregate(answered=Max("received_at"), sent=Max("sent_at"))
    since = row.watching_since or now
    why = lane.failed(answered_at=last["answered"], sent_at=last["sent"], watching_since=since, now=now)
    if why:
        if row.failing_since is None:
            _report_failure(why, now)
        return False
    if row.failing_since is not None and last["answered"] and last["answered"] > row.failing_since:
        _report_recovery(row, now)
    return True


def _look(now: datetime) -> Lane:
    """Note that somebody looks; after a pause of all who do (a night switched off) watching begins anew."""
    row, _ = Lane.objects.get_or_create(pk=queries.LANE_ROW)
    if row.watching_since is None or row.watched_at is None or now - row.watched_at > lane.FAILED_AFTER:
        row.watching_since = now
    row.watched_at = now
    row.save(update_fields=["watching_since", "watched_at"])
    return row


def _count_lost(now: datetime) -> None:
    late = CanaryRun.objects.filter(received_at=None, lost=False, sent_at__lte=now - lane.FAILED_AFTER)
    if late.exists() and (lost := late.update(lost=True)):
        Lane.objects.filter(pk=queries.LANE_ROW).update(lost_total=F("lost_total") + lost)


@transaction.atomic
def _report_failure(why: str, now: datetime) -> None:
    """Raise critical pain without the lane: S5 finds it in the database and on the dashboards."""
    if not Lane.objects.filter(pk=queries.LANE_ROW, failing_since=None).update(failing_since=now):
        return
    logger.critical("%s", why)
    route = plan(SignalType.PAIN, Severity.CRITICAL)
    signal = Signal(
        system=root_system(), type=SignalType.PAIN, severity=Severity.CRITICAL, intensity=1.0, source=SOURCE,
        origin=Party.PLATFORM, description=why, raised_at=now, last_seen_at=now, received_at=now,
        expires_at=now + route.time_to_live, deadline_at=now + route.answer_within if route.answer_within else None,
    )  # fmt: skip
    signal.fingerprint = emission.fingerprint(signal)
    signal.save(force_insert=True)
    SignalRoute.objects.create(signal=signal, party=Party.S5, told_at=now, heard_at=now)
    emission.append_emitted(signal, route)
    emission.count_in(signal)
    emission.told(signal.pk, Party.S5, 0)
    Lane.objects.filter(pk=queries.LANE_ROW).update(signal=signal)


@transaction.atomic
def _report_recovery(row: Lane, now: datetime) -> None:
    found = Lane.objects.filter(pk=row.pk, failing_since=row.failing_since)
    if not found.update(failing_since=None, signal=None):
        return
    logger.warning("The algedonic lane works again.")
    if row.signal is not None:
        end_by_itself(row.signal, now=now, why="The lane works again.")


class Watch:
    """A thread that sends canaries and looks after the lane, without a broker."""

    def __init__(self, *, period_seconds: float = WATCH_SECONDS) -> None:
        self._period = period_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lane-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(2)

    def _run(self) -> None:
        while not self._stopped.wait(self._period):
            try:
                now = timezone.now()
                send_due(now=now)
                check(now=now)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("The database is away (%s): the algedonic lane is not watched.", error)
                connections.close_all()
            close_old_connections()
        connections.close_all()
