"""Reading messages: what is open on each channel, who awaits an answer, a message's journey."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Sum
from django.utils import timezone

from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.models import Message, MessageTally
from subsystems.messaging.outbox import OPEN
from subsystems.messaging.pressure import ChannelState

STATE_SECONDS = 1.0  # how old a process's picture of the channels may be
ENDS = ("system_id", "channel", "sender", "recipient")
RATE_SECONDS = 10.0  # over which the messages of a channel are counted into a rate
_picture: dict[Channel, ChannelState] = {}
_taken_at = 0.0
_lock = threading.Lock()


def channel_state(channel: Channel) -> ChannelState:
    """Return how full *channel* is, as of at most a second ago."""
    return channel_states().get(channel, ChannelState())


def channel_states() -> Mapping[Channel, ChannelState]:
    """Return how full each channel is; one process asks the database at most once a second."""
    global _picture, _taken_at
    if time.monotonic() - _taken_at < STATE_SECONDS or not _lock.acquire(blocking=False):
        return _picture
    try:
        _picture, _taken_at = count_open(), time.monotonic()
        return _picture
    finally:
        _lock.release()


def last_picture() -> Mapping[Channel, ChannelState]:
    """Return what this process saw when it last looked, however long ago; asks nobody."""
    return _picture


def count_open() -> dict[Channel, ChannelState]:
    """Count the messages of each channel that were accepted and not yet handled."""
    now = timezone.now()
    rows = (
        Message.objects.filter(state__in=OPEN)
        .order_by()
        .values("channel")
        .annotate(backlog=Count("pk"), oldest=Min("created_at"))
    )
    found = {Channel(row["channel"]): row for row in rows}
    return {
        channel: ChannelState(
            backlog=found[channel]["backlog"],
            oldest_age_seconds=max((now - found[channel]["oldest"]).total_seconds(), 0.0),
        )
        if channel in found
        else ChannelState()
        for channel in Channel
    }


def channel_flow(system_id: int, *, now: datetime) -> dict[str, dict[str, float]]:
    """Return of each channel of the model the messages of one system: per second lately, and how many are open."""
    since = now - timedelta(seconds=RATE_SECONDS)
    mine = Message.objects.filter(system_id=system_id).order_by()
    lately = mine.filter(created_at__gt=since).values_list("channel").annotate(n=Sum("count"))
    open_ = mine.filter(state__in=OPEN).values_list("channel").annotate(n=Count("pk"))
    rates, backlogs = dict(lately), dict(open_)
    return {
        str(channel): {"per_second": rates.get(channel, 0) / RATE_SECONDS, "open": backlogs.get(channel, 0)}
        for channel in Channel
        if channel is not Channel.PLATFORM
    }


def message_totals(system_ids: Iterable[int]) -> list[tuple[int, str, str, str, int]]:
    """Return how many messages there ever were: system, channel, sender, recipient, count; 0 is no system."""
    tallies = list(MessageTally.objects.all())  # one look: the counts and the number that they reach belong together
    up_to = max((tally.up_to for tally in tallies), default=0)
    totals = Counter({(each.system_id, each.channel, each.sender, each.recipient): each.count for each in tallies})
    for system_id, channel, sender, recipient, n in counted_after(up_to):
        totals[system_id or 0, channel, sender, recipient] += n
    wanted = set(system_ids)
    return [(*ends, n) for ends, n in sorted(totals.items()) if ends[0] in wanted]


def counted_after(number: int, up_to: int | None = None) -> list[tuple[int | None, str, str, str, int]]:
    """Count the messages numbered above *number*, up to *up_to*, by system, channel and ends."""
    rows = Message.objects.filter(number__gt=number).order_by()
    if up_to is not None:
        rows = rows.filter(number__lte=up_to)
    return list(rows.values_list(*ENDS).annotate(n=Sum("count")))


def forget_picture() -> None:
    """Count again at the next question; for tests."""
    global _taken_at
    _taken_at = 0.0


def open_request(answer: Envelope) -> Message | None:
    """Return the open request that *answer* belongs to: from its recipient, to its sender, on its channel."""
    return Message.objects.filter(
        id=answer.correlation_id,
        channel=answer.channel,
        sender=answer.recipient,
        recipient=answer.sender,
        reply_state=Message.ReplyState.OPEN,
    ).first()


def envelope_of(message: Message) -> Envelope:
    """Return a stored message as the envelope that came in."""
    return Envelope(
        id=message.id,
        channel=Channel(message.channel),
        sender=Party(message.sender),
        recipient=Party(message.recipient),
        type=message.type,
        payload=message.payload,
        timestamp=message.created_at,
        metadata=message.metadata,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        expires_at=message.expires_at,
        hop_count=message.hop_count,
        priority=message.priority,
        extra=message.extra,
    )


def answers_to(message_id: str) -> list[Message]:
    """Return the answers to a request, oldest first."""
    return list(Message.objects.filter(correlation_id=message_id).order_by("number"))


def journey(message: Message) -> list[dict[str, Any]]:
    """Return what happened to a message, in order: accepted, sent, each handler, its end."""
    accepted = {"at": message.created_at, "step": "accepted", "detail": f"{message.channel} channel"}
    steps: list[dict[str, Any]] = [accepted]
    if message.sent_at:
        steps.append({"at": message.sent_at, "step": "sent", "detail": f"{message.sends} time(s)"})
    for delivery in message.deliveries.all():
        steps += [
            {"at": failed["at"], "step": "failed", "detail": f"{delivery.handler}: {failed['error']}"}
            for failed in delivery.history
        ]
        if delivery.state == delivery.State.HANDLED:
            steps.append({"at": delivery.at, "step": "handled", "detail": delivery.handler})
    for letter in message.dead_letters.all():
        steps.append({"at": letter.created_at, "step": "dead", "detail": f"{letter.reason}: {letter.detail}"})
        if letter.replayed_at:
            steps.append({"at": letter.replayed_at, "step": "replayed", "detail": f"by {letter.replayed_by}"})
    if message.state == Message.State.EXPIRED:
        steps.append({"at": message.handled_at or message.expires_at, "step": "expired", "detail": ""})
    if message.handled_at and message.state == Message.State.HANDLED:
        steps.append({"at": message.handled_at, "step": "done", "detail": ""})
    return sorted(steps, key=lambda step: str(step["at"]))
