"""The outbox: rows that wait to be sent, the leases on them, and what became of a sending."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.utils import timezone

from subsystems.kernel.severity import PRIORITY, Severity
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.handlers import handlers_of
from subsystems.messaging.models import Message
from subsystems.messaging.topology import routing_key_of
from subsystems.messaging.wire import Letter, Outcome

OPEN = (Message.State.WAITING, Message.State.SENT)
LEASE = timedelta(seconds=15)  # longer than every wait of a sending together
FRESH_LEASE = timedelta(seconds=5)  # how long the relay leaves a new message to the fast lane
RESEND = timedelta(seconds=60)  # without word that it was handled; doubled each time
LONGEST_RESEND = timedelta(hours=1)
REFUSED_PAUSE = timedelta(seconds=5)
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
    return urgent + _lease(due.filter(priority__lt=URGENT), limit - len(urgent), holder, now)


@transaction.atomic
def _lease(due: QuerySet[Message], limit: int, holder: uuid.UUID, now: datetime) -> list[Message]:
    free = due.order_by("due_at").select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    claimed = list(free.only("number", "channel", "recipient", "type", "priority")[:limit])
    Message.objects.filter(pk__in=[each.pk for each in claimed]).update(claimed_by=holder, due_at=now + LEASE)
    return sorted(claimed, key=lambda each: (-each.priority, each.number))


def mark(outcome: Outcome, *, now: datetime | None = None) -> None:
    """Write down what the broker took and what it refused."""
    now = now or timezone.now()
    taken = [number for letter in outcome.confirmed for number in letter.numbers]
    if taken:
        Message.objects.filter(pk__in=taken, state__in=OPEN).update(
            state=Message.State.SENT, sent_at=now, sends=F("sends") + 1, claimed_by=None, last_error="",
            due_at=_due_again(now),
        )  # fmt: skip
    for letter, why in outcome.refused:
        give_back(letter.numbers, why, now=now)


def give_back(numbers: Iterable[int], why: str, *, now: datetime, pause: timedelta = REFUSED_PAUSE) -> None:
    """Let the relay try again later."""
    Message.objects.filter(pk__in=list(numbers), state__in=OPEN).update(
        claimed_by=None, due_at=now + pause, last_error=why[:500]
    )


def resend_all(*, now: datetime) -> int:
    """Make everything that is open due at once: after a start that lost what the broker held."""
    return Message.objects.filter(state__in=OPEN, due_at__gt=now).update(due_at=now)


def _due_again(now: datetime) -> Case:
    """Return when to ask again, later each time: a long queue must not grow by what already stands in it."""
    steps = [When(sends=sends, then=Value(now + RESEND * 2**sends)) for sends in range(6)]
    return Case(*steps, default=Value(now + LONGEST_RESEND))
