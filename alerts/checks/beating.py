"""The platform's own heartbeat to somebody outside, who notices when it stops.

It is sent only while the loop really works: a collection has come to its end and the rules were evaluated lately. A
platform that merely answers is silent here.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F

from alerts.checks.models import Heartbeat
from subsystems.messaging.models import SlotRun
from subsystems.messaging.slots import claim_slot
from subsystems.s1_operations.adapters.http import guarded_resolver
from subsystems.s1_operations.adapters.http_calls import Call, exchange
from subsystems.s1_operations.adapters.http_exchange import AddressRefused, BadAnswer
from subsystems.s1_operations.models import CollectionCycle

logger = logging.getLogger(__name__)
EVERY_SECONDS = 60
LATELY = timedelta(seconds=30)  # six periods of five seconds
SECONDS = 10.0  # for one request and its answer
TRIES = 2
BODY, HEADERS = b'{"status": "working"}', {"Content-Type": "application/json"}


def beat(*, now: datetime) -> bool | None:
    """Send the heartbeat of this minute, once; return whether it was taken, None where there was nothing to send."""
    row = heartbeat()
    url = row.url or settings.HEARTBEAT_URL
    if not url or claim_slot("alerts.heartbeat", EVERY_SECONDS, now=now, scheduled=False) is None:
        return None
    problem = standstill(now=now)
    if problem:
        _note(row, now, f"withheld: {problem}", withheld_total=F("withheld_total") + 1)
        logger.warning("The heartbeat is withheld: %s", problem)
        return False
    error = _sent(url)
    if error:
        _note(row, now, error, failures=F("failures") + 1, failures_total=F("failures_total") + 1)
        logger.warning("The heartbeat was not taken: %s", error)
        return False
    _note(row, now, "", sent_at=now, failures=0)
    return True


def heartbeat() -> Heartbeat:
    """Return the one row."""
    return Heartbeat.objects.get_or_create(pk=1)[0]


def standstill(*, now: datetime) -> str:
    """Return what of the loop has not come to its end lately, in words; empty while all does."""
    since = now - LATELY
    if not CollectionCycle.objects.filter(started_at__gte=since, duration_ms__isnull=False).exists():
        return "no collection has come to its end lately"
    done = SlotRun.objects.filter(job__startswith="alerts.evaluate.", finished_at__gte=since)
    return "" if done.exists() else "no rule was evaluated lately"


def body(*, now: datetime) -> dict[str, Any]:
    """Return how the heartbeat does, without its address."""
    row = heartbeat()
    configured = bool(row.url or settings.HEARTBEAT_URL)
    age = (now - row.sent_at).total_seconds() if row.sent_at else None
    return {
        "configured": configured, "sent_at": row.sent_at, "tried_at": row.tried_at, "age_seconds": age,
        "failures": row.failures, "failures_total": row.failures_total, "withheld_total": row.withheld_total,
        "last_error": row.last_error, "well": configured and not row.last_error and row.sent_at is not None,
    }  # fmt: skip


def _sent(url: str) -> str:
    """Ask *url*, twice if need be; return why it was not taken, empty when it was."""
    error = ""
    for _ in range(TRIES):
        error = asyncio.run(_ask(url))
        if not error:
            break
    return error


async def _ask(url: str) -> str:
    try:
        async with asyncio.timeout(SECONDS):
            answer = await exchange(Call(url, BODY, HEADERS), guarded_resolver(settings.HTTP_ALLOW))
    except AddressRefused as error:
        return f"{error.host} is an internal address; VSM_HTTP_ALLOW would permit it"[:300]
    except TimeoutError:
        return f"no answer within {SECONDS:g} s"
    except (BadAnswer, OSError, ValueError) as error:
        return (str(error) or type(error).__name__)[:300]
    return "" if 200 <= answer.status < 300 else f"answered with status {answer.status}"


def _note(row: Heartbeat, now: datetime, error: str, **changed: Any) -> None:
    Heartbeat.objects.filter(pk=row.pk).update(tried_at=now, last_error=error, **changed)
