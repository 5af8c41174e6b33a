"""Writing signals down and telling of them: rows, events, messages and the hints for open dashboards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from subsystems.algedonic import queries
from subsystems.algedonic.alert_handlers import Told, tell
from subsystems.algedonic.models import Signal, SignalRoute
from subsystems.algedonic.routes import KNOWN_PRIORITY, TYPE, Plan
from subsystems.event_log import bulk
from subsystems.event_log import services as event_log
from subsystems.event_log.streams import Stream
from subsystems.kernel import telemetry_events
from subsystems.kernel.severity import INTENSITY, PRIORITY, Severity
from subsystems.kernel.times import moment_text
from subsystems.messaging import limits
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.flows import check_flow
from subsystems.messaging.live import push
from subsystems.messaging.services import publish_many

LISTED_WITH = Party.S3  # a low signal is on S3's list and nowhere else
COUNT = """
    INSERT INTO algedonic_signaltally (system_id, type, severity, count) VALUES (%s, %s, %s, 1)
    ON CONFLICT (system_id, type, severity) DO UPDATE SET count = algedonic_signaltally.count + 1
"""


def emit(signal: Signal, plan: Plan, actor: str = "") -> Signal:
    """Write a new signal and tell its recipients, in the caller's transaction.

    It counts once against the limits, however many are told. Raises FlowRefused, RateLimited, ChannelFull.
    """
    first = plan.recipients[0] if plan.recipients else LISTED_WITH
    check_flow(envelope(signal, first, plan.priority), answers_open_request=False)
    limits.check(Channel.ALGEDONIC, Party(signal.origin), plan.severity, signal.system_id)
    if not plan.recipients:
        signal.received_at, signal.counted = signal.raised_at, True  # after the commit, by the caller
    signal.save(force_insert=True)
    append_emitted(signal, plan, actor=actor)
    if plan.recipients:
        tell_parties(signal, plan.recipients, level=0, at=signal.raised_at)
    else:
        _route(signal, [LISTED_WITH], 0, signal.raised_at, heard_at=signal.raised_at)
    return signal


def tell_parties(signal: Signal, parties: Sequence[Party], *, level: int, at: datetime) -> None:
    """Send each of *parties* a message of its own about *signal*; all have the signal's id as their correlation."""
    _route(signal, parties, level, at)
    urgency = PRIORITY[Severity(signal.severity)]
    urgency = urgency if level == 0 else min(urgency, KNOWN_PRIORITY)
    letters = [envelope(signal, party, urgency, level=level) for party in parties]
    publish_many(letters, system_id=signal.system_id, limited=False)


def envelope(signal: Signal, recipient: Party, priority: int, *, level: int = 0, repeat_of: str = "") -> Envelope:
    """Return the message that tells *recipient* of *signal*, or that the signal *repeat_of* was felt once more."""
    about = repeat_of or signal.pk
    return Envelope(
        channel=Channel.ALGEDONIC,
        sender=Party(signal.origin),
        recipient=recipient,
        type=TYPE,
        payload={
            "signal_id": about,
            "type": str(signal.type),
            "severity": str(signal.severity),
            "intensity": signal.intensity,
            "source": signal.source,
            "description": signal.description,
            "data": signal.data,
            "raised_at": moment_text(signal.raised_at),
            "level": level,
            "repeat": bool(repeat_of),
        },
        correlation_id=about,
        priority=priority,
        hop_count=signal.hop_count,
        expires_at=signal.expires_at if level == 0 else None,
    )


def append_emitted(signal: Signal, plan: Plan, *, repeat_of: str = "", actor: str = "") -> None:
    """Record the documented event `AlgedonicSignalEmitted` (requirements 004-19), and tell it as telemetry (000-20)."""
    numbers = {"severity": INTENSITY[Severity(signal.severity)]}
    told = {"source": signal.source, "signal_id": repeat_of or signal.pk}
    transaction.on_commit(lambda: telemetry_events.emit(f"vsm.algedonic.{signal.type}", numbers, told), robust=True)
    metadata: dict[str, Any] = {
        "timestamp": moment_text(signal.raised_at),
        "escalation_path": [str(party) for party in plan.escalation_path],
        "version": 1,
    }
    if repeat_of:
        metadata["repeat_of"] = repeat_of
    append(
        signal, "AlgedonicSignalEmitted",
        {
            "signal_type": str(signal.type),
            "severity": str(signal.severity),
            "source": signal.source,
            "description": signal.description,
            "metrics": signal.data,
            "metadata": metadata,
        },
        about=repeat_of, at=signal.raised_at, actor=actor,
    )  # fmt: skip


def append(signal: Signal, type_: str, data: dict[str, Any], *, at: datetime, actor: str = "", about: str = "") -> None:
    """Record an event about *signal* in the stream of algedonic signals."""
    key = about or signal.pk
    event_log.append(
        Stream.ALGEDONIC, type_, {"subsystem": "algedonic_channel", "signal_id": key, **data},
        system_id=signal.system_id, correlation_id=key, actor=actor or signal.origin, at=at,
    )  # fmt: skip


def count_in(signal: Signal) -> None:
    """Count a signal that was recorded for the first time; the counter never goes back."""
    bulk.execute((COUNT, [signal.system_id, str(signal.type), str(signal.severity)]))


def show(signal_id: str) -> None:
    """Show a signal as it is after the commit on every open dashboard of its system."""
    transaction.on_commit(lambda: _push(signal_id), robust=True)


def told(signal_id: str, party: str, level: int, *, repeat: bool = False) -> None:
    """Let dashboards and alert handlers hear, after the commit, that *party* has recorded a signal."""
    transaction.on_commit(lambda: _tell(signal_id, party, level, repeat), robust=True)


def fingerprint(signal: Signal) -> str:
    """Return what two signals share when they say the same; measured values may differ."""
    said = [signal.system_id, signal.type, signal.origin, signal.source, signal.description]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _route(
    signal: Signal, parties: Sequence[Party], level: int, told_at: datetime, heard_at: datetime | None = None
) -> None:
    rows = [SignalRoute(signal=signal, party=p, level=level, told_at=told_at, heard_at=heard_at) for p in parties]
    SignalRoute.objects.bulk_create(rows, ignore_conflicts=True)


def _push(signal_id: str) -> dict[str, Any] | None:
    signal = Signal.objects.select_related("system").filter(pk=signal_id).order_by().first()
    if signal is None:
        return None
    body = queries.signal_body(signal, told=SignalRoute.objects.filter(signal=signal_id))
    brief = {name: value for name, value in body.items() if name != "data"}  # which may be long, and lists do not show
    push(signal.system_id, "signal", signal.pk, brief)
    return body


def _tell(signal_id: str, party: str, level: int, repeat: bool) -> None:
    body = _push(signal_id)
    if body is not None:
        tell(Told(body, str(party), level, repeat))
