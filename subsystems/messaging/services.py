"""Telling others: `publish` for messages that must arrive, `announce` for hints that may be missed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from kombu.exceptions import OperationalError

from subsystems.event_log import bulk
from subsystems.event_log import services as event_log
from subsystems.event_log.models import PendingEvent
from subsystems.event_log.streams import Stream, stream_of
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.severity import severity_of_priority
from subsystems.messaging import fast_lane, limits, outbox, queries
from subsystems.messaging.channels import PLATFORM_SOURCES, SPOKEN_WITHIN, Channel, Party
from subsystems.messaging.envelope import MAX_BYTES, Envelope, check
from subsystems.messaging.flows import FlowRefused, check_flow, needs_open_request
from subsystems.messaging.models import DeadLetter, Delivery, Message, MessageTally
from subsystems.messaging.pressure import delay_or_refuse
from subsystems.messaging.rejections import record_pressure

logger = logging.getLogger(__name__)
TALLIED_AFTER = timedelta(minutes=5)  # no transaction lasts so long: no lower number can still appear
KEEP = timedelta(days=2)  # what became of a message is told here so long; the event log tells it for good


def publish(
    envelope: Envelope, *, system_id: int | None = None, reply_within: timedelta | None = None, limited: bool = True
) -> Message:
    """Record a message in the caller's transaction and send it after the commit.

    The row is the truth: what a crash or a dead broker keeps from leaving now, the relay sends later. With
    *reply_within* an answer is awaited so long. *limited* is False for what was counted against the rate limits
    already. Raises Invalid, FlowRefused, RateLimited, ChannelFull: nothing is written then, and the door that let the
    request in records the refusal (`record_refusal`, `rejections.record_rejection`).
    """
    return publish_many([envelope], system_id=system_id, reply_within=reply_within, limited=limited)[0]


def publish_many(
    envelopes: Sequence[Envelope],
    *,
    system_id: int | None = None,
    reply_within: timedelta | None = None,
    limited: bool = True,
) -> list[Message]:
    """Record several messages at once, in a few statements; all of them or none."""
    now = timezone.now()
    for envelope in envelopes:
        _permit(envelope, system_id, limited=limited)
    rows = [_row(envelope, system_id, reply_within, now) for envelope in envelopes]
    with transaction.atomic(savepoint=False):  # a savepoint would be two more round trips for each message
        _write(rows)
        _close_requests(rows)
        transaction.on_commit(lambda: _offer(rows), robust=True)
    return rows


def publish_batch(head: Envelope, payloads: Sequence[Mapping[str, Any]], *, system_id: int | None = None) -> Message:
    """Record many messages that differ in their payload alone as one row: sent, claimed and handled together.

    *head* says everything else. Raises Invalid for payloads that JSON cannot hold or that together pass 1 MB.
    """
    _permit(head, system_id, limited=True)
    row = _row(head, system_id, None, timezone.now())
    row.batch, row.count = packed(payloads), len(payloads)
    with transaction.atomic(savepoint=False):
        _write([row])
        transaction.on_commit(lambda: _offer([row]), robust=True)
    return row


def packed(payloads: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the payloads of a batch as they are stored."""
    if not payloads:
        raise Invalid("needs at least one payload", field="payloads")
    try:
        text = json.dumps(payloads, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        body = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"cannot be written as JSON: {error}", field="payloads") from None
    if len(body) > MAX_BYTES:
        raise Invalid(f"are {len(body):,} bytes; {MAX_BYTES:,} at most", field="payloads", code="too_large")
    return body


def announce(type_: str, payload: dict[str, Any]) -> None:
    """Tell subscribers something they may miss without harm; a broker that is down is only logged."""
    for task in settings.HINTS.get(type_, []):
        try:
            current_app.send_task(task, kwargs={"payload": payload}, expires=5, retry=False)
        except OperationalError as error:
            logger.warning("Could not announce %s: %s", type_, error)


def fact(type_: str, payload: Mapping[str, Any], *, priority: int = 5) -> Envelope:
    """Return the envelope of a fact that one room of this platform tells another."""
    return Envelope(
        channel=Channel.PLATFORM, sender=Party.PLATFORM, recipient=Party.PLATFORM, type=type_, payload=payload,
        priority=priority,
    )  # fmt: skip


def send(
    envelope: Envelope, *, system_id: int | None, actor: str = "", reply_within: timedelta | None = None
) -> Message:
    """Publish on behalf of somebody outside: the door that records what it has to refuse. Raises what publish does."""
    try:
        _refuse_inside(envelope)
        with transaction.atomic():
            if Message.objects.filter(id=envelope.id).exists():
                raise Refused(f"A message {envelope.id} was sent before.", field="id", code="duplicate")
            return publish(envelope, system_id=system_id, reply_within=reply_within)
    except Refused as error:
        record_refusal(envelope, error, system_id=system_id, actor=actor)
        raise


def _refuse_inside(envelope: Envelope) -> None:
    """Refuse what only the platform itself may say, and pain, which has a door of its own."""
    if envelope.channel is Channel.PLATFORM or envelope.sender in PLATFORM_SOURCES:
        raise FlowRefused("Only the platform itself speaks so.", envelope)
    if (envelope.channel, envelope.sender) in SPOKEN_WITHIN:
        raise FlowRefused(
            f"On the {envelope.channel} channel the platform itself is {envelope.sender}: nobody speaks for it.",
            envelope,
        )
    if envelope.channel is Channel.ALGEDONIC:
        raise FlowRefused("Pain and pleasure are raised as signals, which are recorded and followed up.", envelope)


def record_refusal(envelope: Envelope, error: Refused, *, system_id: int | None, actor: str = "") -> None:
    """Write down that a message was refused and why, outside the transaction that this undid."""
    data = {
        "channel": str(envelope.channel),
        "from": str(envelope.sender),
        "to": str(envelope.recipient),
        "type": envelope.type,
        "code": error.code,
        "reason": error.detail,
    }
    event_log.append(
        Stream.AUDIT, "message.refused", data, system_id=system_id, message_id=envelope.id,
        correlation_id=envelope.correlation_id, actor=actor,
    )  # fmt: skip
    if error.code == "hop_loop":
        publish(fact("message.looped", {"message_id": envelope.id, **data}), system_id=system_id)


def expire_requests(*, now: datetime) -> int:
    """Close requests whose answer did not come in time and tell the asker; return how many."""
    late = list(Message.objects.filter(reply_state=Message.ReplyState.OPEN, reply_by__lt=now)[:500])
    closed = 0
    for request in late:
        with transaction.atomic():
            mine = Message.objects.filter(pk=request.pk, reply_state=Message.ReplyState.OPEN)
            if mine.update(reply_state=Message.ReplyState.EXPIRED):
                _record(request, "request.expired", {"type": request.type, "to": request.recipient})
                publish(fact("request.expired", {"message_id": request.id}), system_id=request.system_id)
                closed += 1
    return closed


def replay(letter: DeadLetter, *, by: str, now: datetime) -> bool:
    """Send the message of a dead letter again, with three new tries; return False when somebody already has.

    Raises Refused for a letter that holds no message of ours.
    """
    if letter.message is None:
        raise Refused("What could not be read cannot be sent again.", code="unreadable")
    with transaction.atomic():
        mine = DeadLetter.objects.filter(pk=letter.pk, replayed_at=None)
        if not mine.update(replayed_at=now, replayed_by=by[:150]):
            return False
        Delivery.objects.filter(message=letter.message, state=Delivery.State.DEAD).update(
            state=Delivery.State.FAILED, attempts=0
        )
        Message.objects.filter(pk=letter.message.pk, state=Message.State.DEAD).update(
            state=Message.State.WAITING, attempts=0, losses=0, due_at=now, last_error="", expires_at=None
        )
        _record(letter.message, "message.replayed", {"reason": letter.reason}, actor=by)
        transaction.on_commit(lambda: _offer([letter.message]), robust=True)  # type: ignore[list-item]
    return True


def forget_old(*, now: datetime) -> int:
    """Delete messages that came to an end long ago, dead letters excepted; return how many."""
    ended = Message.objects.filter(created_at__lt=now - KEEP).exclude(state__in=[*outbox.OPEN, Message.State.DEAD])
    numbers = list(ended.exclude(reply_state=Message.ReplyState.OPEN).values_list("pk", flat=True)[:20_000])
    return Message.objects.filter(pk__in=numbers).delete()[0]


@transaction.atomic
def tally(*, now: datetime) -> None:
    """Add what was accepted since the last time to the tallies. Whoever comes at the same time waits for the lock."""
    known = {
        (each.system_id, each.channel, each.sender, each.recipient): each
        for each in MessageTally.objects.select_for_update().order_by("pk")
    }
    after = max((each.up_to for each in known.values()), default=0)
    old = Message.objects.filter(number__gt=after, created_at__lt=now - TALLIED_AFTER)
    up_to = old.aggregate(last=Max("number"))["last"]
    if up_to is None:
        return
    for system_id, channel, sender, recipient, n in queries.counted_after(after, up_to):
        ends = (system_id or 0, channel, sender, recipient)
        row = known.setdefault(ends, MessageTally(**dict(zip(queries.ENDS, ends, strict=True))))
        row.count, row.up_to = row.count + n, up_to
    MessageTally.objects.bulk_create(
        [row for row in known.values() if row.up_to == up_to],
        update_conflicts=True, unique_fields=queries.ENDS, update_fields=["count", "up_to"],
    )  # fmt: skip


def _permit(envelope: Envelope, system_id: int | None, *, limited: bool) -> None:
    """Let a message pass that is well formed, allowed, within its limits, and finds room."""
    check(envelope)
    answers = needs_open_request(envelope) and queries.open_request(envelope) is not None
    check_flow(envelope, answers_open_request=answers)
    if envelope.channel is Channel.PLATFORM:
        return
    severity = severity_of_priority(envelope.priority)
    if limited:
        limits.check(envelope.channel, envelope.sender, severity, system_id)
    state = queries.channel_state(envelope.channel)
    wait = delay_or_refuse(envelope.channel, severity, state)
    if wait:
        transaction.on_commit(
            lambda: record_pressure(envelope.channel, severity, state.utilisation), robust=True
        )  # its own transaction, after this one
        time.sleep(wait)


def _row(envelope: Envelope, system_id: int | None, reply_within: timedelta | None, now: datetime) -> Message:
    return Message(
        id=envelope.id,
        system_id=system_id,
        channel=envelope.channel,
        sender=envelope.sender,
        recipient=envelope.recipient,
        type=envelope.type,
        payload=dict(envelope.payload),
        metadata=dict(envelope.metadata),
        extra=dict(envelope.extra),
        correlation_id=envelope.correlation_id,
        reply_to=envelope.reply_to,
        reply_by=now + reply_within if reply_within else None,
        reply_state=Message.ReplyState.OPEN if reply_within else Message.ReplyState.NONE,
        hop_count=envelope.hop_count,
        priority=envelope.priority,
        created_at=now,
        expires_at=envelope.expires_at,
        due_at=now + outbox.FRESH_LEASE if fast_lane.is_open() else now,
    )


def _write(rows: Sequence[Message]) -> None:
    """Insert messages and their events."""
    events = [_event(row) for row in rows if row.channel != Channel.PLATFORM]
    for row, number in zip(rows, bulk.insert(rows, beside=events), strict=True):
        row.number, row._state.adding = number, False


def _event(row: Message) -> PendingEvent:
    """Return the event that tells of a message: its type and payload under its sender's stream."""
    data: dict[str, Any] = {"channel": row.channel, "from": row.sender, "to": row.recipient}
    data |= {"count": row.count} if row.batch is not None else {"payload": row.payload}
    return event_log.pending(
        stream_of(row.sender, row.channel), row.type, data, system_id=row.system_id, message_id=row.id,
        correlation_id=row.correlation_id or row.id, at=row.created_at,
    )  # fmt: skip


def _record(row: Message, type_: str, data: Mapping[str, Any], *, actor: str = "") -> None:
    event_log.append(
        Stream.AUDIT, type_, data, system_id=row.system_id, message_id=row.id,
        correlation_id=row.correlation_id or row.id, actor=actor,
    )  # fmt: skip


def _close_requests(rows: Iterable[Message]) -> None:
    """Close the open requests that these messages answer: the first answer counts."""
    answered = [row.correlation_id for row in rows if row.correlation_id]
    if answered:
        Message.objects.filter(id__in=answered, reply_state=Message.ReplyState.OPEN).update(
            reply_state=Message.ReplyState.ANSWERED
        )


def _offer(rows: Sequence[Message]) -> None:
    if not fast_lane.is_open():
        return
    for algedonic in (True, False):
        letters = [outbox.letter_of(row) for row in rows if (row.channel == Channel.ALGEDONIC) is algedonic]
        if letters:
            fast_lane.lane(algedonic=algedonic).offer(letters)
