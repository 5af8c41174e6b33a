"""Listening to the events of every fleet: what workers say by themselves, between two collections.

Events are lossy by design (libraries 2.7): they make numbers fresher and silence quicker to see, and nothing depends on
one of them arriving. Each fleet has a thread with its own connection that comes back by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import Any

from celery import Celery
from django.db import DatabaseError, close_old_connections, connections
from django.utils import timezone

from subsystems.s1_operations import services
from subsystems.s1_operations.adapters.base import FleetRef
from subsystems.s1_operations.adapters.celery_link import link_errors, watching_app
from subsystems.s1_operations.broker_urls import scrub
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.queries import broker_url
from subsystems.s1_operations.sealing import CannotOpen
from subsystems.s1_operations.tally import FleetTally, Report

logger = logging.getLogger(__name__)
FLUSH_SECONDS = 1.0
LOOK_SECONDS = 3.0  # how soon a fleet that was added or forgotten is noticed
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 10.0
HEARTBEAT_SECONDS = 20


class FleetReceiver:
    """The thread that listens to one fleet."""

    def __init__(self, fleet: FleetRef) -> None:
        self.fleet = fleet
        self._tally = FleetTally()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"events-{fleet.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def report(self) -> Report:
        """Return what was heard since the last call."""
        with self._lock:
            return self._tally.report(time.time())

    def _run(self) -> None:
        app = watching_app(self.fleet)
        errors = link_errors(app)
        wait = FIRST_WAIT_SECONDS
        while not self._stop.is_set():
            try:
                self._listen(app)
            except errors as error:
                logger.info("Events of %s: %s", self.fleet.name, scrub(str(error), self.fleet.url))
            wait = FIRST_WAIT_SECONDS if self.listening.is_set() else min(2 * wait, LONGEST_WAIT_SECONDS)
            self.listening.clear()
            self._stop.wait(wait)

    def _listen(self, app: Celery) -> None:
        with app.connection_for_read(heartbeat=HEARTBEAT_SECONDS) as connection:
            connection.connect()
            receiver = app.events.Receiver(connection, handlers={"*": self._fold}, app=app)
            receiver.connect_max_retries = 1
            with receiver.consumer_context(wakeup=True) as (conn, _channel, _consumers):
                self.listening.set()
                self._drain(conn)

    def _drain(self, connection: Any) -> None:
        checked_at = time.monotonic()
        while not self._stop.is_set():
            with suppress(TimeoutError):  # a quiet second
                connection.drain_events(timeout=1)
            if time.monotonic() - checked_at >= 1:
                checked_at = time.monotonic()
                connection.heartbeat_check()

    def _fold(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._tally.fold(event, time.time())


class FleetReceivers:
    """One receiver per fleet, kept in step with the table of fleets."""

    def __init__(self) -> None:
        self._receivers: dict[int, FleetReceiver] = {}
        self._fleets: dict[int, Fleet] = {}
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
        looked_at = float("-inf")
        while not self._stop.is_set():
            try:
                close_old_connections()
                if time.monotonic() - looked_at >= LOOK_SECONDS:
                    looked_at = time.monotonic()
                    self._look()
                self._flush()
            except DatabaseError as error:
                logger.warning("What workers said could not be kept: %s", error)
            self._stop.wait(FLUSH_SECONDS)
        connections.close_all()

    def _look(self) -> None:
        """Start receivers of fleets that are new or moved, stop those of fleets that left."""
        wanted = {fleet.pk: fleet for fleet in Fleet.objects.filter(enabled=True)}
        self._fleets = wanted
        for pk, receiver in list(self._receivers.items()):
            if pk not in wanted or _ref(wanted[pk]) != receiver.fleet:
                receiver.stop()
                del self._receivers[pk]
        for pk, fleet in wanted.items():
            reference = _ref(fleet)
            if pk not in self._receivers and reference is not None:
                self._receivers[pk] = FleetReceiver(reference)
                self._receivers[pk].start()

    def _flush(self) -> None:
        now = timezone.now()
        for pk, receiver in self._receivers.items():
            report, fleet = receiver.report(), self._fleets[pk]
            if report.metrics or report.heard:
                services.hear_workers(fleet, report.metrics, heard=report.heard, now=now)
            if report.offline:
                services.report_offline(fleet, report.offline, now=now)


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
        _running = FleetReceivers()
        _running.start()
    return _running


def stop_all() -> None:
    """Stop what `start_all` started."""
    global _running
    if _running is not None:
        _running.stop()
        _running = None
