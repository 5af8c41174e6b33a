"""What travels on a channel: one envelope, validated at the door, plain JSON on the wire (requirements 003-9)."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from subsystems.kernel.errors import Invalid
from subsystems.kernel.severity import PRIORITY, Severity
from subsystems.messaging.channels import Channel, Party, parse_channel, parse_party

VERSION = "1.0"
ADVISED_BYTES, MAX_BYTES = 64 * 1024, 1024 * 1024
MAX_HOPS = 16  # 2-50
MAX_ID = 64  # 2-51
MAX_DEPTH = 32
TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,79}")
_WIRE = ("id", "from", "to", "channel", "type", "payload", "timestamp", "metadata", "correlation_id", "reply_to")
_KNOWN = {*_WIRE, "version", "expires_at", "hop_count", "priority"}


def new_id() -> str:
    """Return a fresh message id (UUIDv4)."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One message. Times are aware UTC; *priority* is 0 to 10; *extra* keeps fields that this version does not know."""

    channel: Channel
    sender: Party
    recipient: Party
    type: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=new_id)
    timestamp: datetime | None = None  # when it was accepted; not known before
    metadata: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: str = ""
    reply_to: str = ""
    version: str = VERSION
    expires_at: datetime | None = None
    hop_count: int = 0
    priority: int = PRIORITY[Severity.MEDIUM]
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON object that travels; unknown fields come back out as they came in."""
        return {
            **self.extra,
            "id": self.id,
            "from": str(self.sender),
            "to": str(self.recipient),
            "channel": str(self.channel),
            "type": self.type,
            "payload": dict(self.payload),
            "timestamp": _moment(self.timestamp) if self.timestamp else None,
            "metadata": dict(self.metadata),
            "correlation_id": self.correlation_id,
            "reply_to": self.reply_to,
            "version": self.version,
            "expires_at": _moment(self.expires_at) if self.expires_at else None,
            "hop_count": self.hop_count,
            "priority": self.priority,
        }

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> Envelope:
        """Read and check a JSON object. Raises Invalid naming the field at fault."""
        if not isinstance(body, Mapping):
            raise Invalid("A message is a JSON object.", field="message")
        return check(
            cls(
                id=_text(body, "id", MAX_ID) or new_id(),
                sender=_word(body, "from", parse_party),
                recipient=_word(body, "to", parse_party),
                channel=_word(body, "channel", parse_channel),
                type=_text(body, "type", 80),
                payload=_object(body, "payload"),
                timestamp=_time(body, "timestamp"),
                metadata=_object(body, "metadata"),
                correlation_id=_text(body, "correlation_id", MAX_ID),
                reply_to=_text(body, "reply_to", MAX_ID),
                version=_text(body, "version", 8) or VERSION,
                expires_at=_time(body, "expires_at"),
                hop_count=_number(body, "hop_count", 0, 10_000, 0),
                priority=_number(body, "priority", 0, 10, PRIORITY[Severity.MEDIUM]),
                extra={key: value for key, value in body.items() if key not in _KNOWN},
            )
        )

    def reply(self, type_: str, payload: Mapping[str, Any]) -> Envelope:
        """Return the answer to this message, back along its channel."""
        return Envelope(
            channel=self.channel,
            sender=self.recipient,
            recipient=self.sender,
            type=type_,
            payload=payload,
            correlation_id=self.id,
            priority=self.priority,
            hop_count=self.hop_count,
        )

    def forwarded(self, sender: Party, recipient: Party) -> Envelope:
        """Return this message passed on by *sender*, one hop further, under a new id and the same correlation."""
        return replace(
            self, id=new_id(), sender=sender, recipient=recipient, hop_count=self.hop_count + 1,
            correlation_id=self.correlation_id or self.id,
        )  # fmt: skip


def check(envelope: Envelope) -> Envelope:
    """Return *envelope* when it can travel. Raises Invalid naming the field at fault."""
    if not TYPE.fullmatch(envelope.type):
        raise Invalid("must start with a letter and hold letters, digits and _ . / - only, 80 at most", field="type")
    if envelope.version.split(".")[0] != VERSION.split(".")[0]:
        raise Invalid(f"{envelope.version} is not understood; this is {VERSION}", field="version")
    if envelope.hop_count > MAX_HOPS:
        raise Invalid(
            f"travelled {envelope.hop_count} hops; more than {MAX_HOPS} is a loop", field="hop_count", code="hop_loop"
        )
    size = len(encoded(envelope.payload, "payload")) + len(encoded(envelope.metadata, "metadata"))
    size += len(encoded(envelope.extra, "message"))
    if size > MAX_BYTES:
        raise Invalid(f"is {size:,} bytes; {MAX_BYTES:,} at most", field="payload", code="too_large")
    return envelope


def encoded(value: Any, name: str) -> bytes:
    """Return *value* as canonical JSON. Raises Invalid naming *name* for what JSON or the database cannot hold."""
    _refuse_strange(value, name, 0)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
        return text.encode()
    except (TypeError, ValueError) as error:  # UnicodeEncodeError of a lone surrogate is a ValueError
        raise Invalid(f"cannot be written as JSON: {error}", field=name) from None


def _refuse_strange(value: Any, name: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Invalid(f"is nested deeper than {MAX_DEPTH} levels", field=name)
    if isinstance(value, str):
        if "\0" in value:
            raise Invalid("holds a NUL character", field=name)
    elif isinstance(value, float):
        if not isfinite(value):
            raise Invalid("holds a number that is not finite", field=name)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Invalid("has a key that is not a text", field=name)
            _refuse_strange(key, name, depth + 1)
            _refuse_strange(item, name, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_strange(item, name, depth + 1)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _text(body: Mapping[str, Any], name: str, longest: int) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise Invalid(f"must be a text of at most {longest} printable characters", field=name)
    return value


def _word(body: Mapping[str, Any], name: str, parse: Any) -> Any:
    value = body.get(name)
    try:
        return parse(value)
    except (ValueError, AttributeError, TypeError):
        raise Invalid(f"{value!r:.60} is not one of those that there are", field=name) from None


def _object(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Invalid("must be an object", field=name)
    return dict(value)


def _time(body: Mapping[str, Any], name: str) -> datetime | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Invalid("must be an RFC 3339 time", field=name) from None
    if at.tzinfo is None:
        raise Invalid("must have a time zone", field=name)
    return at.astimezone(UTC)


def _number(body: Mapping[str, Any], name: str, least: int, most: int, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(f"must be a whole number from {least} to {most}", field=name)
    return value
