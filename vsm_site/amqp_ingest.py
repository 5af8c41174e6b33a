"""Batches of samples from the broker: for senders that have one and no way to the web server.

The queue is `vsm.telemetry.v1`, its routing key `telemetry`. The body is that of `/api/v1/ingest/`, told by its content
type; the header `authorization` carries `Bearer <token>`. What can never be taken goes to the dead letters; what cannot
be taken now waits in the queue.
"""

from __future__ import annotations

import logging
from hashlib import sha256

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu.message import Message as Delivered
from rest_framework.exceptions import APIException

from subsystems.kernel.errors import Refused
from subsystems.messaging import slots
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.reader import Reader
from subsystems.messaging.topology import TELEMETRY
from subsystems.telemetry.store import hot_tier
from vsm_site.api.ingest import Question, admit, decode, keep

logger = logging.getLogger(__name__)
PREFETCH = 4  # bodies may be large
LONGEST_WAIT_SECONDS = 2.0
REFUSED = "refused_amqp"
CLAIM = "telemetry.amqp"  # among the claimed slots


def reader() -> Reader:
    """Return the thread that reads the queue. A sender past its limit is made to wait: the queue is its buffer."""

    def take(delivered: Delivered) -> None:
        while not reading.stopped.is_set():
            try:
                receive(delivered)
            except RateLimited as error:
                reading.stopped.wait(min(error.retry_after_seconds, LONGEST_WAIT_SECONDS))
            else:
                return

    reading = Reader("amqp-ingest", [(TELEMETRY, take)], prefetch=PREFETCH)
    return reading


def receive(delivered: Delivered) -> None:
    """Record one batch and acknowledge it. One with a message id that came before, within an hour, is taken for done.

    Raises RateLimited, and TransientError or a database's error when it should be tried later.
    """
    question = question_of(delivered)
    try:
        grant = admit(question)
        batch = decode(question)
        with transaction.atomic():  # a claim without its samples would lose them
            if _is_new(delivered, grant.token.pk):
                keep(grant.system(batch.system), batch)
    except RateLimited:
        raise
    except (Refused, APIException) as error:
        logger.warning("A batch of samples from the broker was refused: %s", error)
        hot_tier().count(REFUSED)
        delivered.reject()
    else:
        delivered.ack()


def _is_new(delivered: Delivered, token_id: int) -> bool:
    """Claim a batch by the id that its sender gave it; return False for one that was claimed before.

    The broker delivers again what a crash left unacknowledged, and a sender that is unsure sends again: counted twice,
    the samples would weigh double in the roll-ups.
    """
    message_id = delivered.properties.get("message_id")
    if not message_id:
        return True
    key = sha256(f"{token_id}\0{message_id}".encode("utf-8", "replace")).digest()
    number = int.from_bytes(key[:8], signed=True)
    return slots.claim(CLAIM, number, 0, now=timezone.now(), scheduled=False)


def question_of(delivered: Delivered) -> Question:
    """Return a message as a request is."""
    told = {str(name).lower(): str(value) for name, value in (delivered.headers or {}).items()}
    headers = {"content-type": delivered.content_type or ""}
    headers |= {name: told[name] for name in ("authorization", "content-encoding") if name in told}
    body = delivered.body if isinstance(delivered.body, bytes) else str(delivered.body).encode("utf-8", "replace")
    if len(body) > settings.INGEST_MAX_BYTES:
        body = b""  # refused as unreadable; the broker has held it, we do not unpack it
    return Question("POST", headers, body)
