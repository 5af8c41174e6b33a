"""Reading two queues without Celery: messages from programs outside, and the broker's dead letters.

Celery destroys a message that it cannot decode. Here whatever cannot be read is kept, byte for byte, with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kombu.message import Message as Delivered

from subsystems.kernel.errors import Refused
from subsystems.kernel.strict_json import loads
from subsystems.messaging import services
from subsystems.messaging.envelope import MAX_BYTES, Envelope
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.models import DeadLetter
from subsystems.messaging.pressure import ChannelFull
from subsystems.messaging.reader import Reader
from subsystems.messaging.rejections import record_rejection
from subsystems.messaging.topology import DEAD, INBOUND
from subsystems.recursion.models import ApiToken, System
from subsystems.recursion.queries import root_system, systems_for
from subsystems.recursion.services import find_token

PREFETCH = 50
DUPLICATE = "duplicate"


def reader() -> Reader:
    """Return the thread that reads both queues."""
    return Reader("inbound", [(INBOUND, receive_inbound), (DEAD, receive_dead)], prefetch=PREFETCH)


def receive_inbound(delivered: Delivered) -> None:
    """Publish what a program outside wrote, or quarantine it with the reason. Twice is safe: ids are unique.

    The body is one envelope; the header `authorization` carries `Bearer <token>` of a token with scope `operate`.
    """
    raw = _bytes(delivered.body)
    try:
        if len(raw) > MAX_BYTES * 2:
            raise Refused(f"The message has {len(raw):,} bytes.", code="too_large")
        body = loads(raw)
        system = _system_of(delivered.headers or {}, body)
        services.send(Envelope.from_wire(body), system_id=system.pk, actor="amqp")
    except Refused as error:
        if isinstance(error, RateLimited | ChannelFull):
            record_rejection(error)
        if error.code != DUPLICATE:
            reason = f"{error.field}: {error.detail}" if error.field else error.detail
            _quarantine(delivered, raw, INBOUND.name, "unreadable", reason)
    delivered.ack()


def receive_dead(delivered: Delivered) -> None:
    """Keep what the broker gave up on. Running twice only lists it twice.

    Only ticks and hints can expire on the broker: too late they are worth nothing, and nobody needs to see them.
    """
    deaths = (delivered.headers or {}).get("x-death") or [{}]
    first = deaths[0] if isinstance(deaths[0], Mapping) else {}
    reason = str(first.get("reason", "rejected"))
    if reason != "expired":
        task = str((delivered.headers or {}).get("task", ""))
        _quarantine(delivered, _bytes(delivered.body), str(first.get("queue", "")), reason, task)
    delivered.ack()


def _system_of(headers: Mapping[str, Any], body: Any) -> System:
    scheme, _, secret = str(headers.get("authorization", "")).partition(" ")
    token = find_token(secret.strip()) if scheme.lower() == "bearer" and secret.isascii() else None
    if token is None:
        raise Refused("The header `authorization` holds no living token.", field="authorization")
    systems = systems_for(token.user, ApiToken.Scope.OPERATE, token)
    slug = body.get("system") if isinstance(body, Mapping) else None
    wanted = slug or (token.system.slug if token.system else root_system().slug)
    found = systems.filter(slug=wanted).first() if isinstance(wanted, str) else None
    if found is None:
        raise Refused("The token may not operate this system.", field="system")
    return found


def _quarantine(delivered: Delivered, raw: bytes, queue: str, reason: str, detail: str) -> None:
    headers = {
        str(key)[:80]: str(value)[:500]
        for key, value in (delivered.headers or {}).items()
        if str(key).lower() != "authorization"
    }
    DeadLetter.objects.create(
        queue=queue[:80], reason=reason[:40], detail=detail.replace("\0", "")[:2000], headers=_clean(headers), body=raw
    )


def _clean(headers: dict[str, str]) -> dict[str, Any]:
    cleaned: dict[str, Any] = json.loads(json.dumps(headers).replace("\\u0000", ""))
    return cleaned


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else str(body).encode("utf-8", "replace")
