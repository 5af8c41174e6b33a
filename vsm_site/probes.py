"""`/health`, which asks nothing but the process, and `/ready`, which asks everything it needs.

Both are open to everyone, so they name checks and their outcome, and give reasons only to somebody who is known.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from asgiref.sync import async_to_sync
from celery import current_app
from channels.layers import get_channel_layer
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from kombu import Connection
from kombu.exceptions import OperationalError as BrokerError

from subsystems.messaging.live import layer_errors
from subsystems.s1_operations.models import CollectionCycle
from vsm_site.api.authentication import principal
from vsm_site.migrating import unapplied

COLLECTED_WITHIN = timedelta(seconds=15)  # three periods
TIMEOUT_SECONDS = 2.0
KEPT_SECONDS = 1.0  # one look a second, however often somebody asks
URL = re.compile(r"[a-z+]+://\S+", re.IGNORECASE)

Reasons = dict[str, str]  # check -> why it failed; empty when it did not


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """Say that the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Say whether the platform can do its work: 200, or 503 with the checks that failed."""
    reasons = readiness()
    body: dict[str, object] = {
        "status": "unready" if any(reasons.values()) else "ready",
        "checks": {name: "failed" if reason else "ok" for name, reason in reasons.items()},
    }
    if not reasons["database"] and principal(request):
        body["reasons"] = {name: reason for name, reason in reasons.items() if reason}
    return JsonResponse(body, status=503 if any(reasons.values()) else 200, headers={"Cache-Control": "no-store"})


class Look:
    """The last look at everything, kept for a second so that asking often costs nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = float("-inf")
        self._reasons: Reasons = {}

    def reasons(self) -> Reasons:
        with self._lock:
            if time.monotonic() - self._at > KEPT_SECONDS:
                self._reasons = {name: check() for name, check in CHECKS.items()}
                self._at = time.monotonic()
            return self._reasons

    def forget(self) -> None:
        self._at = float("-inf")


def readiness() -> Reasons:
    """Return each check with the reason why it failed, or an empty text."""
    return look.reasons()


def scrubbed(error: BaseException) -> str:
    """Return an error's words without addresses: a broker's carries its password."""
    return URL.sub("(address)", str(error) or type(error).__name__)[:200]


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return scrubbed(error)
    return ""


def _migrations() -> str:
    try:
        missing = unapplied()
    except DatabaseError as error:
        return scrubbed(error)
    return f"{len(missing)} migrations are not applied" if missing else ""


def _broker() -> str:
    with current_app.connection_for_write(connect_timeout=TIMEOUT_SECONDS) as broker:
        try:
            broker.connect()
        except _broker_errors(broker) as error:
            return scrubbed(error)
    return ""


def _broker_errors(broker: Connection) -> tuple[type[BaseException], ...]:
    return (*broker.connection_errors, *broker.channel_errors, BrokerError, OSError)


def _channel_layer() -> str:
    try:
        async_to_sync(_send_nowhere)()
    except layer_errors() as error:  # a timeout is an OSError
        return scrubbed(error)
    return ""


async def _send_nowhere() -> None:
    layer = get_channel_layer()
    await asyncio.wait_for(layer.group_send("ready", {"type": "ready"}), TIMEOUT_SECONDS)


def _collection() -> str:
    try:
        last = CollectionCycle.objects.order_by("-slot").values_list("started_at", flat=True).first()
    except DatabaseError as error:
        return scrubbed(error)
    if last is None:
        return "nothing was collected yet"
    age = timezone.now() - last
    return f"the last collection began {age.total_seconds():.0f} s ago" if age > COLLECTED_WITHIN else ""


CHECKS: dict[str, Callable[[], str]] = {
    "database": _database,
    "migrations": _migrations,
    "broker": _broker,
    "channel_layer": _channel_layer,
    "collection": _collection,
}
look = Look()
