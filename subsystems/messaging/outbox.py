"""The outbox: rows that wait to be sent, the leases on them, and what became of a sending."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from django.db import connection, transaction
from django.db.models import Case, F, Field, Max, Q, QuerySet, Value, When
from django.utils import timezone

from subsystems.kernel.severity import PRIORITY, Severity
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.handlers import handlers_of
from subsystems.messaging.models import Delivery, Message
from subsystems.messaging.topology import routing_key_of
from subsystems.messaging.wire import Letter, Outcome

OPEN = (Message.State.WAITING, Message.State.SENT)
LEASE = timedelta(seconds=15)  # longer than every wait of a sending together
FRESH_LEASE = timedelta(seconds=5)  # how long the relay leaves a new message to the fast lane
RESEND = timedelta(seconds=60)  # without word that it was handled; doubled each time
OF_LATE, OVERTAKEN = timedelta(seconds=15), timedelta(seconds=10)
LOOKED_AT = 1_000  # deliveries that tell where the queues stand
LONGEST_RESEND = timedelta(hours=1)
REFUSED_PAUSE = timedelta(seconds=5)
ASKED_PAUSE = timedelta(seconds=30)  # who handles what a broker held all the time needs a moment when it is back
MARKED_AT_ONCE = 1_000
URGENT = PRIORITY[Severity.HIGH]
RECEIVE, RECEIVE_LONG = "messaging.receive", "messaging.receive_long"


def letter_of(message: Message) -> Letter:
    """Return what the broker carries of *message*: its number, never its content."""
    hearers = handlers_of(Party(message.recipient), message.type)
    task = RECEIVE_LONG if any(handler.long for handler in hearers) else RECEIVE
    return Letter((message.number,), routing_key_of(Channel(message.channel)), task, message.priority)


def claim(limit: int, *, holder: uuid.UUID, now: datetime) -> list[Message]:
    """Lease due messages to *holder*, the urgent ones first; no other relay has them until the lease ends."""
    due = Message.objects.filter(state__in=OPEN, due_at__lte=now)
    if not due.exists():
        return []
    urgent = _lease(due.filter(priority__gte=URGENT), limit, holder, now)
    claimed = urgent + _lease(due.filter(priority__lt=URGENT), limit - len(urgent), holder, now)
    return _without_those_in_line(claimed, holder, now)


@transaction.atomic
def _lease(due: QuerySet[Message], limit: int, holder: uuid.UUID, now: datetime) -> list[Message]:
    free = due.order_by("due_at").select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    claimed = list(free.only("number", "channel", "recipient", "type", "priority", "state", "sent_at")[:limit])
    Message.objects.filter(pk__in=[each.pk for each in claimed]).update(claimed_by=holder, due_at=now + LEASE)
    return sorted(claimed, key=lambda each: (-each.priority, each.number))


def _without_those_in_line(claimed: list[Message], holder: uuid.UUID, now: datetime) -> list[Message]:
    """Leave out what the broker has and hands out soon: sending it again would make a long queue longer.

    A channel's queue is first in, first out: what was sent after everything that was handled of late is in line. The
    algedonic queue has another order, and nothing waits there for long.
    """
    asked_again = [row for row in claimed if row.state == Message.State.SENT and row.channel != Channel.ALGEDONIC]
    if not asked_again:
        return claimed
    served = _served_of_late(now)
    in_line = {row.number for row in asked_again if row.channel in served and not _overtaken(row, served[row.channel])}
    Message.objects.filter(pk__in=in_line, claimed_by=holder).update(claimed_by=None, due_at=now + RESEND)
    return [row for row in claimed if row.number not in in_line]


def _overtaken(row: Message, newest: datetime | None) -> bool:
    return row.sent_at is None or (newest is not None and row.sent_at <= newest - OVERTAKEN)


def _served_of_late(now: datetime) -> dict[str, datetime | None]:
    """Return when the newest of the messages left that each channel's handlers heard within the last seconds.

    Of one that left twice nobody knows which of its letters came; where there are no others it is None.
    """
    latest = Delivery.objects.filter(state=Delivery.State.HANDLED).order_by("-pk")[:LOOKED_AT]
    heard = Message.objects.filter(pk__in=[each.message_id for each in latest if each.at > now - OF_LATE])
    newest = heard.order_by().values_list("channel").annotate(newest=Max("sent_at", filter=Q(sends__lte=1)))
    return dict(newest)


def mark(outcome: Outcome, *, holder: uuid.UUID | None = None, now: datetime | None = None) -> None:
    """Write down what the broker took and what it refused; *holder* had leased the rows, none for the fast lane.

    The writing may come late: what was handled, or failed and waits for another try, meanwhile stays so.
    """
    now = now or timezone.now()
    taken = sorted(number for letter in outcome.confirmed for number in letter.numbers)
    for start in range(0, len(taken), MARKED_AT_ONCE):
        _mark_sent(taken[start : start + MARKED_AT_ONCE], holder, now)
    for letter, why in outcome.refused:
        give_back(letter.numbers, why, now=now)


def _mark_sent(numbers: Sequence[int], holder: uuid.UUID | None, now: datetime) -> None:
    untouched = Q(state__in=OPEN, claimed_by=holder)
    if holder is None:
        untouched &= Q(attempts=0, losses=0)

    def changed(name: str, value: Any) -> Case:
        return Case(
            When(untouched, then=value),
            default=F(name),
            output_field=cast("Field[Any, Any]", Message._meta.get_field(name)),
        )

    Message.objects.filter(pk__in=numbers).update(
        sends=F("sends") + 1,
        sent_at=now,
        state=changed("state", Value(Message.State.SENT)),
        due_at=changed("due_at", _due_again(now)),
        claimed_by=changed("claimed_by", Value(None)),
        last_error=changed("last_error", Value("")),
    )


def give_back(numbers: Iterable[int], why: str, *, now: datetime, pause: timedelta = REFUSED_PAUSE) -> None:
    """Let the relay try again later."""
    Message.objects.filter(pk__in=list(numbers), state__in=OPEN).update(
        claimed_by=None, due_at=now + pause, last_error=why[:500]
    )


def wait_for_broker(rows: Sequence[Message], why: str, *, now: datetime) -> None:
    """Let the relay try again when the broker is back: soon what never left, later what it may still hold."""
    for state, pause in ((Message.State.WAITING, REFUSED_PAUSE), (Message.State.SENT, ASKED_PAUSE)):
        give_back([row.number for row in rows if row.state == state], why, now=now, pause=pause)


def resend_all(*, now: datetime) -> int:
    """Make everything that is open due at once: after a start that lost what the broker held."""
    return Message.objects.filter(state__in=OPEN).update(due_at=now, state=Message.State.WAITING, claimed_by=None)


def _due_again(now: datetime) -> Case:
    """Return when to ask again, later each time: a long queue must not grow by what already stands in it."""
    steps = [When(sends=sends, then=Value(now + RESEND * 2**sends)) for sends in range(6)]
    return Case(*steps, default=Value(now + LONGEST_RESEND))
