"""What S5, S4 and S3 do when they hear of a signal: record that they did, count, look for patterns, pass it up."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import F
from django.db.models.functions import Greatest

from subsystems.algedonic import emission, routes
from subsystems.algedonic.aggregation import detect
from subsystems.algedonic.models import OPEN_STATES, Signal, SignalRoute
from subsystems.algedonic.services import raise_signal, try_to_raise
from subsystems.kernel.severity import Severity
from subsystems.messaging.channels import Party
from subsystems.messaging.envelope import MAX_HOPS, Envelope

logger = logging.getLogger(__name__)
LOUDNESS = {Severity.CRITICAL: logging.ERROR, Severity.HIGH: logging.WARNING}  # 000-38, 000-39


def receive(envelope: Envelope, *, system_id: int | None, now: datetime) -> Signal | None:
    """Record that the recipient of a message heard of its signal; return the signal, or None when it was forgotten.

    A message from outside names no signal of ours yet: it becomes one, and goes where the route table says.
    """
    payload = envelope.payload
    if "signal_id" not in payload:
        return _adopt(envelope, system_id)
    if payload.get("repeat"):
        return _receive_repeat(envelope, system_id, now)
    signal = Signal.objects.select_related("system").filter(pk=str(payload["signal_id"])).first()
    if signal is None:
        return None
    level, party = int(payload.get("level", 0)), envelope.recipient
    SignalRoute.objects.filter(signal=signal, party=party, level=level, heard_at=None).update(heard_at=now)
    if Signal.objects.filter(pk=signal.pk, received_at=None).update(received_at=now):
        _first_heard(signal)
    if party is Party.S5:
        _pass_up(signal)
    loudness = LOUDNESS.get(Severity(signal.severity), logging.INFO)
    logger.log(loudness, "%s heard %s: %s", party, signal, signal.description)
    emission.told(signal.pk, party, level)
    return signal


def _first_heard(signal: Signal) -> None:
    emission.count_in(signal)
    if not signal.aggregate:
        detect(signal, at=signal.raised_at)


def _receive_repeat(envelope: Envelope, system_id: int | None, now: datetime) -> Signal | None:
    """Count one more of an identical critical signal; one that was ended meanwhile hurts anew."""
    key = str(envelope.payload["signal_id"])
    grouped = Signal.objects.filter(pk=key, state__in=OPEN_STATES)
    said_at = envelope.timestamp or now
    if not grouped.update(times_seen=F("times_seen") + 1, last_seen_at=Greatest(F("last_seen_at"), said_at)):
        return _adopt(envelope, system_id)
    signal = grouped.select_related("system").first()
    if signal is not None:
        detect(signal, at=said_at)
        emission.told(signal.pk, envelope.recipient, 0, repeat=True)
    return signal


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
