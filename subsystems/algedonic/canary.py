"""The lane tested all the time by messages of its own, and what happens when none comes through.

A lane that has failed cannot carry the news of it: that pain is written to the database and pushed to open dashboards
directly. So this must run outside the lane: in a thread of the relay and in the collectors' task.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from datetime import datetime, timedelta
from typing import Protocol

from django.db import DatabaseError, InterfaceError, close_old_connections, connections, transaction
from django.db.models import F, Max
from django.utils import timezone

from subsystems.algedonic import emission, lane, queries
from subsystems.algedonic.intensity import SignalType
from subsystems.algedonic.models import CanaryRun, Lane, Signal, SignalRoute
from subsystems.algedonic.routes import CANARY_PRIORITY, CANARY_TYPE, plan
from subsystems.algedonic.services import end_by_itself, raise_signal, tell_of_channels, tell_of_plug_ins
from subsystems.kernel.severity import Severity
from subsystems.messaging import fast_lane, outbox
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.live import push
from subsystems.messaging.models import Message
from subsystems.messaging.slots import slot_once
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system

logger = logging.getLogger(__name__)
JOB = "algedonic.canary"
SOURCE = "algedonic_lane"
WATCH_SECONDS = 5.0
BLIND = "database_away"  # the id of a signal that only open dashboards know


class Look(Protocol):
    def __call__(self, *, now: datetime) -> object: ...


# --- Sending and answering --------------------------------------------------------------------------------------------
def send_due(*, now: datetime) -> CanaryRun | None:
    """Send the canary of the current 10 seconds, unless somebody has."""
    began = time.monotonic()
    with slot_once(JOB, lane.PERIOD_SECONDS, now=now) as slot:
        # Claiming the slot is no part of the way that pain takes.
        return None if slot is None else send(now=now + timedelta(seconds=time.monotonic() - began))


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
        origin=Party.PLATFORM, description=why, raised_at=now, last_seen_at=now, received_at=now, counted=True,
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
    """A thread that sends canaries and looks after the lane, without a broker.

    *also* are other looks that must not depend on what they look at; each is called with `now`.
    """

    def __init__(self, *also: Look, period_seconds: float = WATCH_SECONDS) -> None:
        self._also = also
        self._period = period_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lane-watch", daemon=True)
        self._root: System | None = None
        self._blind_since: datetime | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(2)

    def _run(self) -> None:
        # At uneven times: those of a schedule would all meet the tick, or none.
        while not self._stopped.wait(self._period * random.uniform(0.5, 1.5)):
            try:
                now = timezone.now()
                self._look(now)
                for look in self._also:
                    look(now=now)
            except (DatabaseError, InterfaceError) as error:
                self._blind(error, timezone.now())
                connections.close_all()
            close_old_connections()
        connections.close_all()

    def _look(self, now: datetime) -> None:
        self._root = root_system()
        if self._blind_since is not None:
            report_blindness(self._root, self._blind_since, now)
            self._blind_since = None
        send_due(now=now)
        check(now=now)
        tell_of_plug_ins(now=now)
        tell_of_channels(now=now)

    def _blind(self, error: Exception, now: datetime) -> None:
        """The database is away: say so past it, to open dashboards and to whoever reads the log."""
        if self._blind_since is None:
            self._blind_since = now
            logger.critical("The database is away (%s): no pain can be written down or heard.", error)
        if self._root is not None:
            push(self._root.pk, "signal", BLIND, _blindness(self._root, self._blind_since))


def _blindness(system: System, since: datetime) -> dict[str, object]:
    """Return what open dashboards show as long as no signal can be written: one that stands in no database."""
    words = "The database is away: no pain can be written down or heard."
    signal = Signal(
        pk=BLIND, system=system, type=SignalType.PAIN, severity=Severity.CRITICAL, intensity=1.0, source=SOURCE,
        origin=Party.PLATFORM, description=words, raised_at=since, last_seen_at=since, expires_at=since,
    )  # fmt: skip
    return queries.signal_body(signal, told=[])


def report_blindness(system: System, since: datetime, now: datetime) -> None:
    """Write down, once the database is back, how long nothing could be, and take back what dashboards were told."""
    seconds = (now - since).total_seconds()
    logger.warning("The database is back after %.0f s.", seconds)
    push(system.pk, "signal", BLIND, None)
    words = f"The database was away for {seconds:.0f} s: until then no pain could be written down or heard."
    signal = raise_signal(
        type="pain", source=SOURCE, severity="critical", description=words, origin=Party.PLATFORM, at=since,
        system_id=system.pk, data={"seconds": round(seconds, 1)},
    )  # fmt: skip
    if signal is not None:
        end_by_itself(signal, now=now, why="The database is back.")
