"""Receiving: each handler hears each message once in effect, however often it arrives.

A handler's effect and its claim (the `Delivery` row) are one transaction. Messages that travelled together are
handled in one transaction while all goes well; the first that fails undoes it, and then each is handled alone.

Messages that waited long stand in a line. Whoever has handled some of it goes on with those behind them for a moment,
in transactions of hundreds, however few travelled together; the tasks of those then find nothing to do.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
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
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered, Handler, handlers_of
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.models import DeadLetter, Delivery, Message
from subsystems.messaging.outbox import OPEN
from subsystems.messaging.pressure import ChannelFull
from subsystems.messaging.queries import envelope_of
from subsystems.messaging.rejections import record_rejection

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = MAX_LOSSES = 3
BACKOFF = (timedelta(seconds=1), timedelta(seconds=5))
DATABASE_AWAY = (OperationalError, InterfaceError)
CLAIM = """
    INSERT INTO messaging_delivery (message_id, handler, state, attempts, history, at)
    VALUES {rows}
    ON CONFLICT (message_id, handler) DO UPDATE SET state = 'handled', at = excluded.at
    WHERE messaging_delivery.state <> 'handled'
    RETURNING message_id, handler
"""
READ = """
    SELECT * FROM messaging_message WHERE number IN ({places}) AND state IN ('waiting', 'sent') ORDER BY number
"""
FINISH = """
    UPDATE messaging_message SET state = 'handled', handled_at = %s, claimed_by = NULL, last_error = ''
    WHERE number IN ({places}) AND state IN ('waiting', 'sent')
"""
# By the key, over a bounded stretch: said so that the index of what is open, all of the channel, does not fit.
NEXT_IN_LINE = """
    UPDATE messaging_message SET claimed_by = %s WHERE number IN (
        SELECT number FROM messaging_message
        WHERE number > %s AND number <= %s AND channel = %s AND state NOT IN ('handled', 'dead', 'expired')
        AND attempts = 0 AND losses = 0 AND claimed_by IS NULL
        AND (expires_at IS NULL OR expires_at > %s) AND (recipient, type) IN (VALUES {kinds})
        ORDER BY number LIMIT %s {lock}
    ) RETURNING *
"""
IN_LINE = uuid.UUID(int=1)  # who has what was taken from a line
LOCK = "SELECT number FROM messaging_message WHERE number IN ({places}) ORDER BY number FOR UPDATE"
LINE_AFTER = timedelta(seconds=1)  # what waited so long stands in a line
LINE_SECONDS, ROUND_SECONDS = 0.5, 0.2  # how long one call goes on with it, and about how long in one transaction
LINE_AT_ONCE, LOOK_AHEAD = 400, 5_000  # messages in one transaction; numbers, of every channel, that are looked at
CLAIMS_AT_ONCE = 150  # five parameters each; SQLite takes a thousand at the least


def receive(numbers: Sequence[int], *, worker: str, redelivered: bool = False) -> int:
    """Handle the messages of *numbers* that nobody has handled yet; return how many this call did.

    Raises only when the database is away: then nothing happened, and the task comes again.
    """
    rows = _open_ones(numbers)
    rows = [row for row in rows if not _expire(row, timezone.now())]
    began = time.monotonic()
    if len(rows) > 1 and not (redelivered and _cut_short_before(rows)):
        if _handle_together(rows, worker):
            return len(rows) + _handle_line(rows, began, worker)
        redelivered = False  # this time it came to an end, and who spoilt it shows now
    done = sum(_handle_alone(row, worker) for row in rows if not (redelivered and _killed_too_often(row)))
    if len(rows) == done == 1:
        done += _handle_line(rows, began, worker)
    return done


def _open_ones(numbers: Sequence[int]) -> list[Message]:
    """Return those messages that nobody has handled yet, in their order; a question that need not be composed anew."""
    places = ", ".join(["%s"] * len(numbers))
    return list(Message.objects.raw(READ.format(places=places), list(numbers))) if numbers else []


def _handle_together(rows: Sequence[Message], worker: str) -> bool:
    """Handle all in one transaction; return False, with nothing done, when one of them cannot be."""
    plans = [(row, hearers(row)) for row in rows]
    if not all(_can_join(found) for _, found in plans):
        return False
    try:
        with transaction.atomic():
            _lock(rows)
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


def _can_join(found: Sequence[Handler]) -> bool:
    return bool(found) and not any(handler.own_transaction for handler in found)


def _handle_line(rows: Sequence[Message], began: float, worker: str) -> int:
    """Go on with what stands in line behind *rows*, which took since *began*; return how many were handled.

    As many at once as take a moment at the pace so far: slow handlers must not outlast the limit of their task.
    """
    first, done = rows[0], 0
    if first.channel == Channel.ALGEDONIC or timezone.now() - first.created_at < LINE_AFTER:
        return 0
    if not all(_can_join(hearers(row)) for row in rows):
        return 0
    kinds, found = sorted({(row.recipient, row.type) for row in rows}), list(rows)
    ends = time.monotonic() + LINE_SECONDS
    while (now := time.monotonic()) < ends and (size := int(len(found) / (now - began) * ROUND_SECONDS)) > 1:
        began = now
        found = _next_in_line(first.channel, kinds, found[-1].number, min(size, LINE_AT_ONCE))
        if not found:
            break
        if not _handle_together(found, worker):
            return done + sum(_handle_alone(row, worker) for row in found)
        done += len(found)
    return done


def _next_in_line(channel: str, kinds: Sequence[tuple[str, str]], after: int, limit: int) -> list[Message]:
    """Take messages that nobody else is at or failed at, each once, and before it is handled.

    Should one of them kill the worker, they are not taken again, but wait for tasks of their own. A relay that asks
    after them gives them back to the line.
    """
    lock = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    question = NEXT_IN_LINE.format(kinds=", ".join(["(%s, %s)"] * len(kinds)), lock=lock)
    holder = Message._meta.get_field("claimed_by").get_db_prep_value(IN_LINE, connection)
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    named = [text for kind in kinds for text in kind]
    found = Message.objects.raw(question, [holder, after, after + LOOK_AHEAD, channel, now, *named, limit])
    return sorted(found, key=lambda row: row.number)


def _lock(rows: Sequence[Message]) -> None:
    """Let one alone be at *rows*, before it claims: whoever is at a line and whoever got its messages would else each
    wait for the other. Pain forms no line, and loses no time here.
    """
    if not connection.features.has_select_for_update or rows[0].channel == Channel.ALGEDONIC:
        return
    with connection.cursor() as cursor:
        cursor.execute(LOCK.format(places=", ".join(["%s"] * len(rows))), [row.number for row in rows])


def _handle_alone(row: Message, worker: str) -> bool:
    found = hearers(row)
    if not found and not _answers(row):
        _bury(row, "no_handler", f"Nobody listens to {row.type} for {row.recipient}.")
        return False
    errors: list[Exception] = []
    for handler in found:
        last = handler is found[-1] and not errors
        errors += filter(None, [_try(handler, row, worker, finish=last)])
    if errors:
        _retry_or_bury(row, errors)
    elif not found:
        _finish([row.number])
    return not errors


def _answers(row: Message) -> bool:
    """Return whether somebody asked for this: an answer has arrived once it stands here, whoever listens besides."""
    asked = Message.objects.filter(id=row.correlation_id).exclude(reply_state=Message.ReplyState.NONE)
    return bool(row.correlation_id) and asked.exists()


def hearers(row: Message) -> list[Handler]:
    """Return who hears a message."""
    return handlers_of(Party(row.recipient), row.type)


def _try(handler: Handler, row: Message, worker: str, *, finish: bool) -> Exception | None:
    """Let one handler hear one message, once in effect; return what went wrong, which stays this handler's matter.

    With *finish* the message is handled when this handler has heard it, in the same transaction.
    """
    try:
        if handler.own_transaction:
            _call_then_claim(handler, row, worker)
        with transaction.atomic():
            _lock([row])
            if not handler.own_transaction and _claim([(row.number, handler.name)]):
                call(handler, row, worker)
            if finish:
                _finish([row.number])
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
    at = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(FINISH.format(places=", ".join(["%s"] * len(numbers))), [at, *numbers])


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
    if any(row.losses for row in rows):
        return True
    Message.objects.filter(pk__in=[row.pk for row in rows]).update(losses=1)
    for row in rows:
        row.losses = 1
    return False


def _killed_too_often(row: Message) -> bool:
    """Count a delivery that never came to an end; one that kills its workers must not come back for ever.

    Each message is counted right before it is handled: those that travel behind the one that kills are innocent.
    """
    Message.objects.filter(pk=row.pk).update(losses=F("losses") + 1)
    row.losses += 1
    if row.losses < MAX_LOSSES:
        return False
    _bury(row, "worker_lost", f"{row.losses} workers died or were cut off while they handled it.")
    return True


def _note_failure(handler: Handler, row: Message, error: Exception, worker: str) -> None:
    entry = {"at": timezone.now().isoformat(), "error": _words(error), "worker": worker}
    with transaction.atomic():
        _lock([row])
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
        if isinstance(error, RateLimited | ChannelFull):
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
