"""What a webhook is told: the same bytes at each try, so that whoever hears it twice can tell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from subsystems.s1_operations.adapters.http_calls import Call, signed

TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Asked:
    """One act for a webhook."""

    id: str
    kind: str
    webhook: str
    fleet: str
    payload: Mapping[str, Any]
    reason: str
    actor: str
    requested_at: str

    def body(self) -> dict[str, Any]:
        return {
            "id": self.id, "kind": self.kind, "webhook": self.webhook, "fleet": self.fleet,
            "payload": dict(self.payload), "reason": self.reason, "actor": self.actor,
            "requested_at": self.requested_at,
        }  # fmt: skip


def call_of(url: str, asked: Asked, secret: str, *, timestamp: int) -> Call:
    """Return the request; its id is the action's, so that a receiver does each act once."""
    data = json.dumps(asked.body(), ensure_ascii=True, sort_keys=True).encode()
    headers = signed(data, asked.id, timestamp, secret)
    return Call(url, data, {**headers, "Idempotency-Key": f'"{asked.id}"'})


def shown(url: str) -> str:
    """Return an address without its query, which may carry a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
