"""Hearing every fleet and writing what was heard: tasks, workers, and how well it was heard."""

from __future__ import annotations

import gc
import logging
import threading
import time

from django.db import DatabaseError, close_old_connections, connections
from django.utils import timezone

from subsystems.fleets import reconciling, rolling_up, services
from subsystems.fleets.listening import FleetReceiver, Heard
from subsystems.fleets.models import HistoryRules, Listening
from subsystems.fleets.services import masking_of
from subsystems.s1_operations.adapters.base import FleetRef
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.queries import broker_url
from subsystems.s1_operations.sealing import CannotOpen

logger = logging.getLogger(__name__)
FLUSH_SECONDS = 0.4  # a page shows a task within a second of its event
WORKERS_EVERY_SECONDS = 1.0
HEARING_EVERY_SECONDS = 2.0
ROLL_UP_SECONDS = 5.0
RECONCILE_SECONDS = 30.0
LOOK_SECONDS = 3.0  # how soon a fleet that was added, changed or forgotten is noticed


class FleetReceivers:
    """One receiver per fleet, kept in step with the table of fleets."""

    def __init__(self) -> None:
        self._receivers: dict[int, FleetReceiver] = {}
        self._fleets: dict[int, Fleet] = {}
        self._unwritten: dict[int, Heard] = {}
        self._due: dict[str, float] = {}
        self._reconciler: threading.Thread | None = None
        self.flushes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet-receivers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; returns when the threads have ended, or after a few seconds."""
        self._stop.set()
        self._thread.join(5)
        for receiver in self._receivers.values():
            receiver.stop()
        for receiver in self._receivers.values():
            receiver.join(3)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self._is_due("look", LOOK_SECONDS):
                    self._look()
                self._flush()
                if self._is_due("roll_up", ROLL_UP_SECONDS):
                    self._roll_up()
                if self._is_due("hearing", HEARING_EVERY_SECONDS):
                    self._note_hearing()
                if self._is_due("reconcile", RECONCILE_SECONDS):
                    self._reconcile()
            except DatabaseError as error:
                logger.warning("What fleets said could not be kept: %s", error)
                close_old_connections()  # only now: opening SQLite anew costs as much as a hundred events
            self._stop.wait(FLUSH_SECONDS)
        connections.close_all()

    def _is_due(self, what: str, every_seconds: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every_seconds
        return True

    def _reconcile(self) -> None:
        """Let a thread of its own ask the workers: their answers take seconds, and events do not wait."""
        if self._reconciler is not None and self._reconciler.is_alive():
            return
        fleets = [receiver.fleet for receiver in self._receivers.values() if receiver.listening.is_set()]
        self._reconciler = threading.Thread(target=_reconcile_all, args=(fleets,), name="reconcile", daemon=True)
        self._reconciler.start()

    def _look(self) -> None:
        """Start receivers of fleets that are new or moved, stop those of fleets that left, hand on changed rules."""
        wanted = {fleet.pk: fleet for fleet in Fleet.objects.filter(enabled=True).select_related("listening")}
        rules = HistoryRules.objects.in_bulk(list(wanted))
        self._fleets = wanted
        for pk, receiver in list(self._receivers.items()):
            if pk not in wanted or _ref(wanted[pk]) != receiver.fleet:
                receiver.stop()
                del self._receivers[pk]
                self._unwritten.pop(pk, None)
        for pk, fleet in wanted.items():
            reference = _ref(fleet)
            if reference is None:
                continue
            if pk not in self._receivers:
                self._receivers[pk] = FleetReceiver(reference, last_heard=_last_heard(fleet))
                self._receivers[pk].start()
            self._receivers[pk].folder.masking = masking_of(rules.get(pk))
            self._receivers[pk].ask_events = rules[pk].ask_events if pk in rules else True

    def _flush(self) -> None:
        workers = self._is_due("workers", WORKERS_EVERY_SECONDS)
        for pk, receiver in self._receivers.items():
            fleet = self._fleets[pk]
            heard = self._unwritten.pop(pk, None) or receiver.take(with_report=workers)
            try:
                services.keep(fleet, heard, now=timezone.now())
            except DatabaseError:
                self._unwritten[pk] = heard  # first thing next time; meanwhile the broker is held back
                raise
            receiver.settle(heard.receipt)
        self.flushes += 1

    def _roll_up(self) -> None:
        for pk in self._receivers:
            rolling_up.add_up(pk)

    def _note_hearing(self) -> None:
        now = timezone.now()
        for pk, receiver in self._receivers.items():
            services.note_hearing(self._fleets[pk], receiver.hearing(), now=now)


def _reconcile_all(fleets: list[FleetRef]) -> None:
    try:
        for fleet in fleets:
            reconciling.reconcile(fleet)
    except DatabaseError as error:
        logger.warning("The history could not be set right: %s", error)
    finally:
        connections.close_all()


def _last_heard(fleet: Fleet) -> float | None:
    """Return when the fleet was heard for the last time, by this process or an earlier one."""
    try:
        return fleet.listening.written_at.timestamp()
    except Listening.DoesNotExist:
        return None


def _ref(fleet: Fleet) -> FleetRef | None:
    try:
        return FleetRef(fleet.pk, fleet.name, broker_url(fleet), own=fleet.own)
    except CannotOpen:
        return None  # the collector says so


_running: FleetReceivers | None = None


def start_all() -> FleetReceivers:
    """Listen to every fleet from this process. Calling it twice changes nothing."""
    global _running
    if _running is None:
        gc.freeze()  # what is loaded by now stays: looking through it again and again costs a tenth of hearing
        _running = FleetReceivers()
        _running.start()
    return _running


def stop_all() -> None:
    """Stop what `start_all` started."""
    global _running
    if _running is not None:
        _running.stop()
        _running = None
