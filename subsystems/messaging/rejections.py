"""What a rejection of the rate limiter leaves behind: one event and one pain signal per layer and minute.

A rejection ends the caller's transaction, so nothing can be written where it happens. The doors (API, Celery,
commands) write it afterwards with `record_rejection`. A channel that is crowded leaves the event `backpressure`, once a
minute, whether it slowed its senders down or refused one; it hurts as long as it is so, which is told elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from subsystems.event_log import services as event_log
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Refused, TransientError
from subsystems.kernel.severity import Severity
from subsystems.kernel.slots import slot_of
from subsystems.messaging.channels import Party
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.pressure import ChannelFull
from subsystems.messaging.slots import claim_slot

logger = logging.getLogger(__name__)
RaiseSignal = Callable[..., object]
PERIOD_SECONDS = 60
_told: dict[str, int] = {}  # job -> minute that this process knows to be told; spares a flood its writes


def record_rejection(
    error: RateLimited | ChannelFull, *, raise_signal: RaiseSignal | None = None, now: datetime | None = None
) -> bool:
    """Write the event `rate_exceeded` and raise medium pain, once per layer, system and minute over all processes.

    For a channel without room it is `record_pressure`. Call it outside the transaction that the rejection ended.
    *raise_signal* is by default what `settings.RATE_LIMIT_ESCALATION` names. Returns whether it was the first; a
    failure is logged, never raised.
    """
    if isinstance(error, ChannelFull):
        return record_pressure(error.channel, error.severity, error.utilisation, refused=True, now=now)
    job = f"rate_exceeded:{error.layer}:{error.system_id or 0}"
    return _once(job, lambda at: _record(error, raise_signal or _configured(), now=at), now)


def record_pressure(
    channel: str, severity: str, utilisation: float, *, refused: bool = False, now: datetime | None = None
) -> bool:
    """Write the event `backpressure` (requirements 004-20), once per channel and minute over all processes.

    Call it outside of transactions. Returns whether it was the first; a failure is logged, never raised.
    """
    data = {
        "channel": str(channel), "severity": str(severity), "utilisation": round(utilisation, 4),
        "answer": "refused" if refused else "slowed",
    }  # fmt: skip
    actor = str(Party.RATE_LIMITER)
    write = partial(event_log.append, Stream.AUDIT, "backpressure", data, actor=actor)
    return _once(f"backpressure:{channel}", lambda at: write(at=at), now)


def _once(job: str, write: Callable[[datetime], object], now: datetime | None) -> bool:
    """Let *write* do its part in a transaction, once a minute over all processes; return whether it did."""
    now = now or timezone.now()
    minute = slot_of(now, PERIOD_SECONDS)
    if _told.get(job) == minute:
        return False
    try:
        with transaction.atomic():
            first = claim_slot(job, PERIOD_SECONDS, now=now, scheduled=False) is not None
            if first:
                write(now)
    except (DatabaseError, Refused, TransientError) as failure:
        logger.warning("What found no room could not be recorded: %s", failure)
        return False
    _remember(job, minute)
    return first


def forget() -> None:
    """Forget what was told; for tests, whose database forgets too."""
    _told.clear()


def _record(error: RateLimited, raise_signal: RaiseSignal | None, *, now: datetime) -> None:
    data = _described(error)
    event_log.append(
        Stream.AUDIT, "rate_exceeded", data, system_id=error.system_id, actor=str(Party.RATE_LIMITER), at=now
    )
    if raise_signal is not None:
        raise_signal(
            type="pain",
            source=str(Party.RATE_LIMITER),
            severity=Severity.MEDIUM,
            data=data,
            system_id=error.system_id,
            description=error.detail,
            origin=Party.RATE_LIMITER,
            at=now,
        )


def _described(error: RateLimited) -> dict[str, Any]:
    return {
        "layer": str(error.layer),
        "key": error.key,
        "channel": str(error.channel),
        "sender": str(error.sender),
        "severity": str(error.severity),
        "limit": error.limit.limit,
        "period_seconds": error.limit.period_seconds,
        "burst": error.limit.burst,
        "retry_after_seconds": error.retry_after_seconds,
    }


def _configured() -> RaiseSignal | None:
    return import_string(settings.RATE_LIMIT_ESCALATION) if settings.RATE_LIMIT_ESCALATION else None


def _remember(job: str, minute: int) -> None:
    for old in [name for name, at in _told.items() if at < minute]:
        _told.pop(old, None)
    _told[job] = minute
