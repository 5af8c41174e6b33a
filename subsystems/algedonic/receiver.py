"""What S5, S4 and S3 do when they hear of a signal: record that they did, count, look for patterns, pass it up."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest

from subsystems.algedonic import emission, routes
from subsystems.algedonic.aggregation import detect
from subsystems.algedonic.models import OPEN_STATES, Signal
from subsystems.algedonic.services import raise_signal, try_to_raise
from subsystems.event_log import bulk
from subsystems.messaging.channels import Party
from subsystems.messaging.envelope import MAX_HOPS, Envelope

logger = logging.getLogger(__name__)
LOUDNESS = {"critical": logging.ERROR, "high": logging.WARNING}  # 000-38, 000-39
# Composed here once: the ORM takes as long to compose them as the database to do what they say, and pain waits.
HEARD = (
    "UPDATE algedonic_signalroute SET heard_at = %s WHERE signal_id = %s AND party = %s AND level = %s"
    " AND heard_at IS NULL"
)
RECEIVED = "UPDATE algedonic_signal SET received_at = %s WHERE id = %s AND received_at IS NULL"


def receive(envelope: Envelope, *, system_id: int | None, now: datetime) -> None:
    """Record that the recipient of a message heard of its signal: as little as can be, for this is what is awaited.

    A message from outside names no signal of ours yet: it becomes one, and goes where the route table says.
    """
    payload = envelope.payload
    if "signal_id" not in payload:
        _adopt(envelope, system_id)
        return
    key, level, party = str(payload["signal_id"]), int(payload.get("level", 0)), envelope.recipient
    repeat = bool(payload.get("repeat"))
    if repeat:
        if not _count_repeat(key, envelope.timestamp or now):
            _adopt(envelope, system_id)
            return
    else:
        at = connection.ops.adapt_datetimefield_value(now)
        bulk.execute((HEARD, [at, key, party, level]), (RECEIVED, [at, key]))
        transaction.on_commit(lambda: _log(party, payload), robust=True)
    emission.told(key, party, level, repeat=repeat)


def follow_up(envelope: Envelope, *, now: datetime) -> None:
    """Do what follows from a signal that was heard, after that is recorded: count, look for patterns, pass it up."""
    payload = envelope.payload
    signal = Signal.objects.select_related("system").filter(pk=str(payload.get("signal_id", ""))).first()
    if signal is None:
        return
    if payload.get("repeat"):
        if signal.state in OPEN_STATES:
            detect(signal, at=envelope.timestamp or now)
        return
    if Signal.objects.filter(pk=signal.pk, counted=False).update(counted=True):
        emission.count_in(signal)
        if not signal.aggregate:
            detect(signal, at=signal.raised_at)
    if envelope.recipient is Party.S5:
        _pass_up(signal)


def _count_repeat(key: str, said_at: datetime) -> bool:
    """Count one more of an identical critical signal; return False for one that was ended meanwhile: it hurts anew."""
    grouped = Signal.objects.filter(pk=key, state__in=OPEN_STATES)
    return bool(grouped.update(times_seen=F("times_seen") + 1, last_seen_at=Greatest(F("last_seen_at"), said_at)))


def _log(party: Party, payload: Mapping[str, Any]) -> None:
    severity, type_, source = (str(payload.get(name, "")) for name in ("severity", "type", "source"))
    logger.log(
        LOUDNESS.get(severity, logging.INFO),
        "%s heard %s %s from %s: %s",
        party,
        severity,
        type_,
        source,
        payload.get("description", ""),
    )


def _adopt(envelope: Envelope, system_id: int | None) -> Signal | None:
    """Raise what a message says. Raises Invalid for one that says no signal: a dead letter then shows why."""
    said: Mapping[str, Any] = envelope.payload
    return raise_signal(
        type=said.get("signal_type", said.get("type", "")),
        source=said.get("source", str(envelope.sender)),
        severity=said.get("severity"),
        intensity=said.get("intensity"),
        data=said.get("data", said.get("metrics")),
        description=said.get("description", ""),
        system_id=system_id,
        origin=envelope.sender,
        hop_count=envelope.hop_count,
    )


def _pass_up(signal: Signal) -> None:
    """Let the pain of a child system be pain of an operation of its parent, once (requirements 2-7)."""
    parent_id = signal.system.parent_id
    if parent_id is None or signal.severity not in routes.BYPASS:
        return
    if signal.hop_count >= MAX_HOPS:
        logger.warning("%s is not passed on: %d hops are enough.", signal, signal.hop_count)
        return
    if Signal.objects.filter(child_signal=signal).exists():
        return
    try_to_raise(
        type=signal.type,
        source=signal.system.slug,
        severity=signal.severity,
        intensity=signal.intensity,
        data={"child_signal": signal.pk, "child_system": signal.system.slug, "child_source": signal.source},
        description=signal.description,
        system_id=parent_id,
        origin=Party.S1,
        child_signal=signal,
        hop_count=signal.hop_count + 1,
    )
