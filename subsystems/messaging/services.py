"""Telling others: `publish` for facts that must arrive, `announce` for hints that may be missed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from subsystems.messaging.models import InboxMessage, OutboxMessage

logger = logging.getLogger(__name__)
KEEP_SENT = timedelta(days=1)
SWEEP_AFTER = timedelta(seconds=5)


def publish(type_: str, payload: dict[str, Any]) -> OutboxMessage:
    """Record a fact in the caller's transaction and send it to its subscribers after the commit.

    The row is the truth: what a crash or a dead broker keeps from leaving now, the sweeper sends later.
    """
    message = OutboxMessage.objects.create(type=type_, payload=payload)
    transaction.on_commit(lambda: _try_relay(message), robust=True)
    return message


def announce(type_: str, payload: dict[str, Any]) -> None:
    """Tell subscribers something they may miss without harm; a broker that is down is only logged."""
    try:
        _send(type_, payload, message_id=None, expires=5)
    except OperationalError as error:
        logger.warning("Could not announce %s: %s", type_, error)


def sweep(*, now: datetime | None = None) -> int:
    """Send what a crash or a broker outage left behind; return how many messages left.

    Running twice at once may send a message twice; receivers are idempotent by its id.
    """
    now = now or timezone.now()
    OutboxMessage.objects.filter(sent_at__lt=now - KEEP_SENT).delete()
    InboxMessage.objects.filter(received_at__lt=now - 2 * KEEP_SENT).delete()
    waiting = OutboxMessage.objects.filter(sent_at=None, created_at__lt=now - SWEEP_AFTER)[:500]
    return sum(_try_relay(message) for message in waiting)


def first_time(message_id: str, receiver: str) -> bool:
    """Claim a message for *receiver*, in the transaction of its effect; False when it was heard before."""
    try:
        with transaction.atomic():
            InboxMessage.objects.create(message_id=UUID(message_id), receiver=receiver)
    except IntegrityError:
        return False
    return True


def _try_relay(message: OutboxMessage) -> bool:
    try:
        _send(message.type, message.payload, message_id=str(message.id))
    except OperationalError as error:
        OutboxMessage.objects.filter(pk=message.pk).update(attempts=message.attempts + 1, last_error=str(error)[:500])
        return False
    OutboxMessage.objects.filter(pk=message.pk).update(sent_at=timezone.now(), last_error="")
    return True


def _send(type_: str, payload: dict[str, Any], *, message_id: str | None, expires: float | None = None) -> None:
    for task in _subscribers(type_):
        kwargs = {"payload": payload} if message_id is None else {"payload": payload, "message_id": message_id}
        current_app.send_task(task, kwargs=kwargs, expires=expires, retry=False)


def _subscribers(type_: str) -> Iterable[str]:
    routes: dict[str, list[str]] = settings.MESSAGE_ROUTES
    return routes.get(type_, [])
