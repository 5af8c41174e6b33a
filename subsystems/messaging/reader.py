"""Reading queues of the broker without Celery, which destroys what it cannot decode."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from kombu import Connection, Consumer, Queue
from kombu.message import Message as Delivered

from subsystems.kernel.errors import TransientError
from subsystems.messaging.wire import ERRORS

logger = logging.getLogger(__name__)
PAUSE_SECONDS = 2.0
WAIT_SECONDS = 1.0
Receive = Callable[[Delivered], object]


class Reader:
    """A thread that hands each message of some queues to a function, and connects again until it is stopped.

    The function acknowledges or rejects. When it raises because the database or a store is away, the connection is
    dropped, and what was not acknowledged goes back into its queue.
    """

    def __init__(self, name: str, receivers: Sequence[tuple[Queue, Receive]], *, prefetch: int) -> None:
        self.stopped = threading.Event()
        self._receivers, self._prefetch = receivers, prefetch
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopped.set()
        self._thread.join(2)

    def _run(self) -> None:
        while not self.stopped.is_set():
            connection = Connection(settings.BROKER_URL, connect_timeout=3, heartbeat=10)
            try:
                self._consume(connection)
            except (DatabaseError, InterfaceError, TransientError) as error:
                logger.warning("What came in waits on the broker: %s", type(error).__name__)
                connections.close_all()
            except ERRORS as error:
                logger.debug("The broker is away: %s", error)
            finally:
                connection.collect(socket_timeout=0.1)
            self.stopped.wait(PAUSE_SECONDS)
        connections.close_all()

    def _consume(self, connection: Connection) -> None:
        channel = connection.channel()
        for queue, receive in self._receivers:
            Consumer(channel, [queue], on_message=receive, prefetch_count=self._prefetch).consume()
        while not self.stopped.is_set():
            with suppress(TimeoutError):
                connection.drain_events(timeout=WAIT_SECONDS)
            if connection.transport.driver_type == "amqp":
                connection.heartbeat_check()
            close_old_connections()
