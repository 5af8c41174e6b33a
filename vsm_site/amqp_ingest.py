"""Batches of samples from the broker: for senders that have one and no way to the web server.

The queue is `vsm.telemetry.v1`, its routing key `telemetry`. The body is that of `/api/v1/ingest/`, told by its content
type; the header `authorization` carries `Bearer <token>`. What can never be taken goes to the dead letters; what cannot
be taken now waits in the queue.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from kombu import Connection, Consumer, Queue
from kombu.message import Message as Delivered
from rest_framework.exceptions import APIException

from subsystems.kernel.errors import Refused, TransientError
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.topology import EXCHANGE
from subsystems.messaging.wire import ERRORS
from subsystems.telemetry.store import hot_tier
from vsm_site.api.ingest import Question, admit, decode, keep

logger = logging.getLogger(__name__)
DEAD = {"x-dead-letter-exchange": "vsm", "x-dead-letter-routing-key": "dead"}
TELEMETRY = Queue("vsm.telemetry.v1", EXCHANGE, routing_key="telemetry", durable=True, queue_arguments=DEAD)
PREFETCH = 4  # bodies may be large
PAUSE_SECONDS = 2.0
WAIT_SECONDS = 1.0
REFUSED = "refused_amqp"


class AmqpIngest:
    """A thread that reads the queue, and connects again for as long as it is not stopped."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="amqp-ingest", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(2)

    def _run(self) -> None:
        while not self._stopped.is_set():
            connection = Connection(settings.BROKER_URL, connect_timeout=3, heartbeat=10)
            try:
                self._consume(connection)
            except (DatabaseError, InterfaceError, TransientError) as error:
                logger.warning("Samples wait on the broker: %s", type(error).__name__)
                connections.close_all()
            except ERRORS as error:
                logger.debug("The broker is away: %s", error)
            finally:
                connection.collect(socket_timeout=0.1)  # what was not acknowledged goes back into the queue
            self._stopped.wait(PAUSE_SECONDS)

    def _consume(self, connection: Connection) -> None:
        reader = Consumer(connection.channel(), [TELEMETRY], on_message=self._receive, prefetch_count=PREFETCH)
        reader.consume()
        while not self._stopped.is_set():
            with suppress(TimeoutError):
                connection.drain_events(timeout=WAIT_SECONDS)
            if connection.transport.driver_type == "amqp":
                connection.heartbeat_check()
            close_old_connections()

    def _receive(self, delivered: Delivered) -> None:
        while not self._stopped.is_set():
            try:
                return receive(delivered)
            except RateLimited as error:  # the queue is the sender's buffer: it waits
                self._stopped.wait(min(error.retry_after_seconds, PAUSE_SECONDS))
        return None


def receive(delivered: Delivered) -> None:
    """Record one batch and acknowledge it. A batch that is delivered twice writes the same samples again.

    Raises RateLimited, and TransientError or a database's error when it should be tried later.
    """
    question = question_of(delivered)
    try:
        grant = admit(question)
        batch = decode(question)
        keep(grant.system(batch.system), batch)
    except RateLimited:
        raise
    except (Refused, APIException) as error:
        logger.warning("A batch of samples from the broker was refused: %s", error)
        hot_tier().count(REFUSED)
        delivered.reject()
    else:
        delivered.ack()


def question_of(delivered: Delivered) -> Question:
    """Return a message as a request is."""
    told = {str(name).lower(): str(value) for name, value in (delivered.headers or {}).items()}
    headers = {"content-type": delivered.content_type or ""}
    headers |= {name: told[name] for name in ("authorization", "content-encoding") if name in told}
    body = delivered.body if isinstance(delivered.body, bytes) else str(delivered.body).encode("utf-8", "replace")
    if len(body) > settings.INGEST_MAX_BYTES:
        body = b""  # refused as unreadable; the broker has held it, we do not unpack it
    return Question("POST", headers, body)
