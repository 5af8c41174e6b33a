"""What belongs together on one line of time: the messages and events of a correlation, with the time between them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.urls import reverse

from subsystems.event_log import queries as event_log
from subsystems.event_log.models import Event, PendingEvent
from subsystems.messaging import queries as messaging
from subsystems.messaging.models import Message
from vsm_site.dashboard.reach import Reach

MOST = 200  # messages, and events that wait for their place; of sealed ones the log itself returns 1,000
SHOWN_CHARACTERS = 8_000  # of data on a page of many; an event's own page shows all


@dataclass(frozen=True)
class Step:
    """One thing that happened. *link* leads to its own page; *after* is the time since the first, in words."""

    at: datetime
    kind: str  # message or event
    what: str
    detail: str
    link: str
    data: str = ""
    after: str = ""


@dataclass(frozen=True)
class Journey:
    """The steps in their order, and the messages they are about."""

    steps: Sequence[Step]
    messages: Sequence[Message]
    took: str
    cut: Sequence[str] = ()  # of what there is more than is shown, in words


def journey(correlation_id: str, within: Reach) -> Journey:
    """Return all of a correlation that *within* reaches, in four queries however much it is."""
    found = list(
        visible_messages(within)
        .filter(Q(correlation_id=correlation_id) | Q(id=correlation_id))
        .prefetch_related("deliveries", "dead_letters")
        .order_by("number")[: MOST + 1]
    )
    sealed = event_log.chain_of(correlation_id, within=visible_events(within))
    waiting = list(_waiting(correlation_id, within)[: MOST + 1])
    steps = [step for message in found[:MOST] for step in message_steps(message)]
    steps += [*map(event_step, sealed), *map(event_step, waiting[:MOST])]
    cut = [
        words
        for words, there, shown in [
            (f"the first {MOST} messages", len(found), MOST),
            (f"the first {event_log.MAX_CHAIN:,} events", len(sealed), event_log.MAX_CHAIN - 1),
            (f"the first {MOST} events that wait for their place", len(waiting), MOST),
        ]
        if there > shown
    ]
    return Journey(timed(steps), found[:MOST], _took(steps), cut)


def message_steps(message: Message) -> list[Step]:
    """Return what happened to one message, whose deliveries and dead letters are at hand."""
    link = message_link(message.id)
    label = f"{message.type}, {message.sender} to {message.recipient}"
    return [
        Step(_moment(step["at"]), "message", str(step["step"]), f"{label}: {step['detail']}".rstrip(": "), link)
        for step in messaging.journey(message)
    ]


def event_step(event: Event | PendingEvent) -> Step:
    """Return an event as a step; one that waits for its place has no page yet."""
    by = f" by {event.actor}" if event.actor else ""
    if isinstance(event, PendingEvent):
        return Step(event.at, "event", event.type, f"{event.stream}, not sealed yet{by}", "", pretty(event.data))
    link = reverse("dashboard:event", args=[event.position])
    return Step(event.at, "event", event.type, f"{event.stream} {event.sequence}{by}", link, pretty(data_of(event)))


def timed(steps: Iterable[Step]) -> list[Step]:
    """Return *steps* in the order of time, each with how long after the first it was."""
    ordered = sorted(steps, key=lambda step: step.at)
    return [replace(step, after=lapse((step.at - ordered[0].at).total_seconds())) for step in ordered]


def visible_messages(within: Reach) -> QuerySet[Message]:
    """Return the messages that *within* reaches."""
    return Message.objects.filter(within.condition()).select_related("system")


def visible_events(within: Reach) -> QuerySet[Event]:
    """Return the events that *within* reaches."""
    return Event.objects.filter(within.condition())


def message_link(message_id: str) -> str:
    """Return the page of a message."""
    return reverse("dashboard:message", args=[message_id])


def journey_link(correlation_id: str) -> str:
    """Return the page of a whole journey."""
    return f"{reverse('dashboard:journey')}?{urlencode({'id': correlation_id})}"


def data_of(event: Event) -> dict[str, Any]:
    """Return the data of an event in its newest form."""
    return event_log.recorded(event).data


def pretty(data: object, limit: int = SHOWN_CHARACTERS) -> str:
    """Return JSON (or its text) as a person reads it, cut where it is too long for a page; empty for nothing."""
    value = json.loads(data) if isinstance(data, str) else data
    if not value:
        return ""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[:limit]}\n… {len(text) - limit:,} more characters"


def lapse(seconds: float) -> str:
    """Return a time between two steps in words."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours} h {minutes} min {rest:.0f} s" if hours else f"{minutes} min {rest:.1f} s"


def _waiting(correlation_id: str, within: Reach) -> QuerySet[PendingEvent]:
    return PendingEvent.objects.filter(within.condition(), correlation_id=correlation_id).order_by("number")


def _took(steps: Sequence[Step]) -> str:
    times = [step.at for step in steps]
    return lapse((max(times) - min(times)).total_seconds()) if times else ""


def _moment(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
