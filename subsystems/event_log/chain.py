"""The hash chain: what of an event is hashed and how, in one place.

An event's hash is SHA-256 over the hash before it and every field. Texts stand behind their length and numbers between
bars, so that no two different events have the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

SCHEME = "vsm-event-1"
GENESIS = bytes(32)  # what the first event follows
# The columns of a sealed event in the order in which they are read, written and hashed; `hash` is the last.
FIELDS = (
    "position", "sequence", "stream", "type", "version", "system_id", "data", "message_id", "correlation_id", "actor",
    "at", "hash",
)  # fmt: skip
POSITION, SEQUENCE, STREAM, AT, HASH = 0, 1, 2, 10, 11
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_IN_SQLITE = datetime(1970, 1, 1)  # noqa: DTZ001  (its rows are in UTC and do not say so)


def link(previous: bytes, row: Sequence[Any]) -> bytes:
    """Return the hash of *row* (as in FIELDS; its own hash is not looked at) behind *previous*.

    Raises TypeError or ValueError when a field is nothing that the platform writes.
    """
    position, sequence, stream, type_, version, system_id, data, message_id, correlation_id, actor, at = row[:HASH]
    system = "-" if system_id is None else f"{system_id:d}"
    body = (
        f"{SCHEME}|{position:d}|{sequence:d}|{version:d}|{system}|{microseconds(at):d}"
        f"|{len(stream)}:{stream}|{len(type_)}:{type_}|{len(data)}:{data}|{len(message_id)}:{message_id}"
        f"|{len(correlation_id)}:{correlation_id}|{len(actor)}:{actor}"
    )
    return sha256(previous + body.encode()).digest()


def moment(value: datetime | str) -> datetime:
    """Return the time of a row; SQLite keeps it in UTC without saying so."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def microseconds(value: datetime | str) -> int:
    """Return the time of a row as whole microseconds since the epoch."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    since = value - (_EPOCH if value.tzinfo else _EPOCH_IN_SQLITE)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
