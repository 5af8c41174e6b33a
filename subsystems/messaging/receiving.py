"""Receiving: each handler hears each message once in effect, however often it arrives.

A handler's effect and its claim (the `Delivery` row) are one transaction. Messages that travelled together are
handled in one transaction while all goes well; the first that fails undoes it, and then each is handled alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from subsystems.event_log import services as event_log
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Refused
from subsystems.messaging import services
from subsystems.messaging.channels import Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered, Handler, handlers_of
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.models import DeadLetter, Delivery, Message
from subsystems.messaging.outbox import OPEN
from subsystems.messaging.pressure import ChannelFull
from subsystems.messaging.queries import envelope_of
from subsystems.messaging.rejections import record_rejection

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 3
BACKOFF = (timedelta(seconds=1), timedelta(seconds=5))
DATABASE_AWAY = (OperationalError, InterfaceError)
CLAIM = """
    INSERT INTO messaging_delivery (message_id, handler, state, attempts, history, at)
    VALUES {rows}
    ON CONFLICT (message_id, handler) DO UPDATE SET state = 'handled', at = excluded.at
    WHERE messaging_delivery.state <> 'handled'
    RETURNING message_id, handler
"""
CLAIMS_AT_ONCE = 150  # five parameters each; SQLite takes a thousand at the least


def receive(numbers: Sequence[int], *, worker: str, redelivered: bool = False) -> int:
    """Handle the messages of *numbers* that nobody has handled yet; return how many this call did.

    Raises only when the database is away: then nothing happened, and the task comes again.
    """
    rows = list(Message.objects.filter(pk__in=numbers, state__in=OPEN).order_by("number"))
    rows = [row for row in rows if not _expire(row, timezone.now())]
    if len(rows) > 1 and not (redelivered and _cut_short_before(rows)):
        if _handle_together(rows, worker):
            return len(rows)
        redelivered = False  # this time it came to an end, and who spoilt it shows now
    return sum(_handle_alone(row, worker) for row in rows if not (redelivered and _killed_too_often(row)))


def _handle_together(rows: Sequence[Message], worker: str) -> bool:
    """Handle all in one transaction; return False, with nothing done, when one of them cannot be."""
    plans = [(row, hearers(row)) for row in rows]
    if any(not found or any(handler.own_transaction for handler in found) for _, found in plans):
        return False
    try:
        with transaction.atomic():
            claimed = _claim([(row.number, each.name) for row, found in plans for each in found])
            for row, found in plans:
                for handler in found:
                    if (row.number, handler.name) in claimed:
                        call(handler, row, worker)
            _finish([row.number for row in rows])
    except DATABASE_AWAY:
        raise
    except Exception:  # noqa: BLE001 - which one it was shows when each is handled alone
        return False
    return True


def _handle_alone(row: Message, worker: str) -> bool:
    found = hearers(row)
    if not found and not _answers(row):
        _bury(row, "no_handler", f"Nobody listens to {row.type} for {row.recipient}.")
        return False
    errors = [error for handler in found if (error := _try(handler, row, worker)) is not None]
    if errors:
        _retry_or_bury(row, errors)
        return False
    _finish([row.number])
    return True


def _answers(row: Message) -> bool:
    """Return whether somebody asked for this: an answer has arrived once it stands here, whoever listens besides."""
    asked = Message.objects.filter(id=row.correlation_id).exclude(reply_state=Message.ReplyState.NONE)
    return bool(row.correlation_id) and asked.exists()


def hearers(row: Message) -> list[Handler]:
    """Return who hears a message."""
    return handlers_of(Party(row.recipient), row.type)


def _try(handler: Handler, row: Message, worker: str) -> Exception | None:
    """Let one handler hear one message, once in effect; return what went wrong, which stays this handler's matter."""
    try:
        if handler.own_transaction:
            _call_then_claim(handler, row, worker)
        else:
            with transaction.atomic():
                if _claim([(row.number, handler.name)]):
                    call(handler, row, worker)
    except DATABASE_AWAY:
        raise
    except Exception as error:  # the door of handlers: one that breaks must not keep the others from hearing
        logger.warning("%s could not handle %s %s: %s", handler.name, row.type, row.id, error, exc_info=True)
        _note_failure(handler, row, error, worker)
        return error
    return None


def _call_then_claim(handler: Handler, row: Message, worker: str) -> None:
    if Delivery.objects.filter(message=row, handler=handler.name, state=Delivery.State.HANDLED).exists():
        return
    call(handler, row, worker)
    _claim([(row.number, handler.name)])


def call(handler: Handler, row: Message, worker: str) -> None:
    """Call a handler with a message and publish what it answers."""
    envelope, now = envelope_of(row), timezone.now()
    if row.batch is None:
        _answer(row, envelope, handler.function(envelope, Delivered(row.number, row.system_id, now, worker)))
        return
    items = json.loads(bytes(row.batch))
    context = Delivered(row.number, row.system_id, now, worker, items)
    if handler.batch:
        handler.function(envelope, context)
        return
    for index, payload in enumerate(items):
        handler.function(replace(envelope, id=f"{row.id}:{index}"[-64:], payload=payload), context)


def _answer(row: Message, envelope: Envelope, answer: Mapping[str, Any] | None) -> None:
    if answer is not None and (row.reply_state == Message.ReplyState.OPEN or envelope.reply_to):
        services.publish(envelope.reply(f"{envelope.type}.reply", answer), system_id=row.system_id)


def _claim(pairs: Sequence[tuple[int, str]]) -> set[tuple[int, str]]:
    """Claim messages for handlers; return those that nobody had. A second arrival waits here for the first to end."""
    claimed: set[tuple[int, str]] = set()
    at = connection.ops.adapt_datetimefield_value(timezone.now())
    for start in range(0, len(pairs), CLAIMS_AT_ONCE):
        part = pairs[start : start + CLAIMS_AT_ONCE]
        values = [value for number, name in part for value in (number, name, "handled", 1, "[]", at)]
        with connection.cursor() as cursor:
            cursor.execute(CLAIM.format(rows=",".join(["(%s,%s,%s,%s,%s,%s)"] * len(part))), values)
            claimed |= {(number, name) for number, name in cursor.fetchall()}
    return claimed


def _finish(numbers: Sequence[int]) -> None:
    Message.objects.filter(pk__in=numbers, state__in=OPEN).update(
        state=Message.State.HANDLED, handled_at=timezone.now(), claimed_by=None, last_error=""
    )


def _expire(row: Message, now: datetime) -> bool:
    if row.expires_at is None or row.expires_at > now:
        return False
    with transaction.atomic():
        if Message.objects.filter(pk=row.pk, state__in=OPEN).update(state=Message.State.EXPIRED, handled_at=now):
            _record(row, "message.expired", {"type": row.type, "expired_at": row.expires_at.isoformat()})
    return True


def _cut_short_before(rows: Sequence[Message]) -> bool:
    """Return whether messages that travel together come back for the second time, and note the first.

    Once says little: a broker that was started again redelivers everything that waited.
    """
    if any(row.attempts for row in rows):
        return True
    Message.objects.filter(pk__in=[row.pk for row in rows]).update(attempts=1)
    for row in rows:
        row.attempts = 1
    return False


def _killed_too_often(row: Message) -> bool:
    """Count a delivery that never came to an end; one that kills its workers must not come back for ever.

    Each message is counted right before it is handled: those that travel behind the one that kills are innocent.
    """
    Message.objects.filter(pk=row.pk).update(attempts=F("attempts") + 1)
    row.attempts += 1
    if row.attempts < MAX_ATTEMPTS:
        return False
    _bury(row, "worker_lost", f"{row.attempts} workers died or were cut off while they handled it.")
    return True


def _note_failure(handler: Handler, row: Message, error: Exception, worker: str) -> None:
    entry = {"at": timezone.now().isoformat(), "error": _words(error), "worker": worker}
    with transaction.atomic():
        delivery, _ = Delivery.objects.select_for_update().get_or_create(
            message=row, handler=handler.name, defaults={"state": Delivery.State.FAILED, "attempts": 0}
        )
        if delivery.state == Delivery.State.HANDLED:
            return
        delivery.attempts += 1
        delivery.history = [*delivery.history, entry][-20:]
        delivery.state, delivery.at = Delivery.State.FAILED, timezone.now()
        delivery.save(update_fields=["attempts", "history", "state", "at"])


def _retry_or_bury(row: Message, errors: Sequence[Exception]) -> None:
    attempts = row.attempts + 1
    why = "; ".join(_words(error) for error in errors)
    Message.objects.filter(pk=row.pk).update(attempts=attempts, last_error=why[:500])
    for error in errors:
        if isinstance(error, RateLimited):
            record_rejection(error)
    if attempts >= MAX_ATTEMPTS or any(map(_is_final, errors)):
        _bury(row, "failed", why)
        return
    due_at = timezone.now() + BACKOFF[min(attempts, len(BACKOFF)) - 1]
    Message.objects.filter(pk=row.pk, state__in=OPEN).update(
        state=Message.State.WAITING, due_at=due_at, claimed_by=None
    )


@transaction.atomic
def _bury(row: Message, reason: str, detail: str) -> None:
    """Make a dead letter of a message, with its reason and, on its deliveries, its history."""
    if not Message.objects.filter(pk=row.pk, state__in=OPEN).update(state=Message.State.DEAD, last_error=detail[:500]):
        return
    Delivery.objects.filter(message=row).exclude(state=Delivery.State.HANDLED).update(state=Delivery.State.DEAD)
    DeadLetter.objects.create(message=row, queue=f"vsm.{row.channel}", reason=reason, detail=detail[:2000])
    _record(row, "message.died", {"type": row.type, "reason": reason, "detail": detail[:2000]})


def _record(row: Message, type_: str, data: Mapping[str, Any]) -> None:
    event_log.append(
        Stream.AUDIT, type_, data, system_id=row.system_id, message_id=row.id,
        correlation_id=row.correlation_id or row.id,
    )  # fmt: skip


def _is_final(error: Exception) -> bool:
    """Return whether another try would end the same way; what found no room may find some later."""
    return isinstance(error, Refused) and not isinstance(error, RateLimited | ChannelFull)


def _words(error: Exception) -> str:
    detail = error.detail if isinstance(error, Refused) else str(error)
    return f"{type(error).__name__}: {detail}".replace("\0", "")[:500]
