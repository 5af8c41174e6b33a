"""The relay: sends what the fast lane did not, asks again after what nobody handled, and keeps the event log's chain.

Any number may run. Each leases the rows it sends; one that was paused and comes back sends a message twice at most,
and receivers know it. The event log lets one seal at a time.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable

from celery import Celery
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django.utils import timezone

from subsystems.event_log import services as event_log
from subsystems.messaging import fast_lane, outbox
from subsystems.messaging.fast_lane import CHUNK, chunked, pace_of_pain
from subsystems.messaging.wire import Wire, WireDown

logger = logging.getLogger(__name__)
CLAIM = 1_000
IDLE_SECONDS, TROUBLE_SECONDS = 0.2, 2.0


class Relay:
    """Two threads: one sends, one keeps the event log."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._holder = uuid.uuid4()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        if settings.EMBEDDED:
            fast_lane.open_here()
            outbox.resend_all(now=timezone.now())  # the broker was this process, and what it held is gone
        wire = Wire(self._app, settings.BROKER_URL)
        for name, work in {"relay": lambda: self._send(wire), "event-log": self._tend_log}.items():
            thread = threading.Thread(target=self._repeat, args=(work,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(2)

    def wait(self) -> None:
        """Wait until stopped."""
        self._stopped.wait()

    def _repeat(self, work: Callable[[], bool]) -> None:
        away = False
        while not self._stopped.is_set():
            try:
                pause = 0.0 if work() else IDLE_SECONDS
                away = False
            except (DatabaseError, InterfaceError) as error:
                if not away:
                    logger.warning("The database is away (%s).", error)
                away = True
                connections.close_all()
                pause = TROUBLE_SECONDS
            except Exception:  # the door of the thread: a mistake must be seen, not end the sending
                logger.exception("The relay met a mistake and goes on.")
                pause = TROUBLE_SECONDS
            close_old_connections()
            if pause:
                self._stopped.wait(pause)
        connections.close_all()

    def _send(self, wire: Wire) -> bool:
        """Send what is due; return whether there may be more."""
        sent = send_due(wire, self._holder)
        return sent >= CLAIM

    def _tend_log(self) -> bool:
        return bool(event_log.tend(timezone.now()))


def send_due(wire: Wire, holder: uuid.UUID) -> int:
    """Send the messages that are due once; return how many were claimed for it."""
    claimed = outbox.claim(CLAIM, holder=holder, now=timezone.now())
    if not claimed:
        return 0
    letters = [outbox.letter_of(row) for row in claimed]
    try:
        outbox.mark(wire.send(chunked(letters, CHUNK, pain=pace_of_pain().together)), holder=holder)
    except WireDown as error:
        outbox.wait_for_broker(claimed, str(error), now=timezone.now())
        return 0
    return len(claimed)
