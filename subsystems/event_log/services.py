"""Recording what happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from subsystems.event_log.models import PendingEvent
from subsystems.event_log.streams import Stream


def append(
    stream: Stream,
    type_: str,
    data: Mapping[str, Any],
    *,
    system_id: int | None = None,
    message_id: str = "",
    correlation_id: str = "",
    actor: str = "",
    version: int = 1,
    at: datetime | None = None,
) -> PendingEvent:
    """Record an event in the caller's transaction; it takes its place in the chain shortly after the commit."""
    row = pending(
        stream, type_, data, system_id=system_id, message_id=message_id, correlation_id=correlation_id, actor=actor,
        version=version, at=at,
    )  # fmt: skip
    row.save(force_insert=True)
    return row


def pending(
    stream: Stream,
    type_: str,
    data: Mapping[str, Any],
    *,
    system_id: int | None = None,
    message_id: str = "",
    correlation_id: str = "",
    actor: str = "",
    version: int = 1,
    at: datetime | None = None,
) -> PendingEvent:
    """Return an unsaved event, for a caller that writes many at once with `bulk_create`."""
    return PendingEvent(
        stream=stream,
        type=type_,
        version=version,
        system_id=system_id,
        data=canonical(data),
        message_id=message_id,
        correlation_id=correlation_id,
        actor=actor,
        at=at or timezone.now(),
    )


def canonical(data: Mapping[str, Any]) -> str:
    """Return *data* as the one JSON text that is stored and hashed."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True, default=str)
