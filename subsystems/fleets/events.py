"""The events of Celery workers and clients as they come over the wire."""

from __future__ import annotations

from typing import Any

import msgspec

MAX_BATCH = 10_000  # events in one message: workers send at most a few dozen


class Event(msgspec.Struct, gc=False):
    """The fields of an event that anything here looks at; what it does not carry is None."""

    type: str = ""
    hostname: str = ""  # a worker's node name; of `task-sent` the client's
    timestamp: float = 0.0  # by the clock of whoever sent it
    clock: int | None = None
    uuid: str = ""
    name: str | None = None
    args: str | None = None
    kwargs: str | None = None
    retries: int | None = None
    eta: str | None = None
    expires: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    queue: str | None = None
    exchange: str | None = None
    routing_key: str | None = None
    result: str | None = None
    runtime: float | None = None
    exception: str | None = None
    traceback: str | None = None
    terminated: bool | None = None
    expired: bool | None = None
    processed: int | None = None


_one = msgspec.json.Decoder(Event)
_many = msgspec.json.Decoder(list[Event])
_TYPES = {
    name: {"str": str, "float": float, "int": int, "bool": bool}[str(kind).partition(" ")[0]]
    for name, kind in Event.__annotations__.items()
}


def decode(body: bytes | str) -> list[Event]:
    """Return the events of one message, which is a JSON object or an array of them. Raises ValueError."""
    try:
        return _many.decode(body) if body[:1] in (b"[", "[") else [_one.decode(body)]
    except msgspec.ValidationError:
        return loosely(msgspec.json.decode(body))


def loosely(body: Any) -> list[Event]:
    """Return the events in *body* whose fields are of other types than usual: what fits no field is left out."""
    items = body if isinstance(body, list) else [body]
    if len(items) > MAX_BATCH or not all(isinstance(item, dict) for item in items):
        raise ValueError("no event")
    return [Event(**_fitting(item)) for item in items]


def _fitting(item: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, kind in _TYPES.items():
        value = item.get(name)
        if kind is str and isinstance(value, (list, tuple, dict, int, float)):
            found[name] = str(value)
        elif kind is float and isinstance(value, int) and not isinstance(value, bool):
            found[name] = float(value)
        elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            found[name] = value
    return found
