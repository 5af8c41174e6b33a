"""What a channel is: a pure writer of requests and reader of answers, or a sender with a protocol of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from subsystems.s1_operations.adapters.http_calls import Answer as Answer
from subsystems.s1_operations.adapters.http_calls import Call as Call
from subsystems.s1_operations.adapters.http_calls import check_url as check_url
from subsystems.s1_operations.adapters.http_calls import header_value as header_value

Settings = Mapping[str, str]
Reference = Mapping[str, Any]  # the service's own name of a message, to change it later
Reachable = Callable[[str, str], bool]  # host, address -> whether a connection may go there
TRY_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of a channel; a secret one is sealed, and never shown again."""

    name: str
    label: str
    secret: bool = False
    required: bool = True
    help: str = ""
    default: str = ""
    long: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A notification as channels see it. *id* stays the same over all tries, *thread* over all of its group."""

    id: str
    thread: str
    title: str
    lines: tuple[str, ...]
    severity: str
    firing: bool
    url: str
    body: Mapping[str, Any]  # Alertmanager's webhook body
    timestamp: int
    reference: Reference = field(default_factory=dict)  # of the message that is to be changed in place; else empty

    @property
    def text(self) -> str:
        """Return title and lines as plain text."""
        return "\n".join([self.title, *self.lines])


@dataclass(frozen=True, slots=True)
class Result:
    """How a delivery went. *again* says whether another try may succeed."""

    ok: bool
    error: str = ""
    again: bool = False
    reference: Reference = field(default_factory=dict)
    gone: bool = False  # the message that was to be changed is no longer there: a new one is sent


class Channel(Protocol):
    """One service."""

    kind: ClassVar[str]
    title: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]

    def check(self, settings: Settings) -> None:
        """Raise Invalid naming the field with which nothing could be sent."""


class HttpChannel(Channel, Protocol):
    """A service that is told by one request; the request is made and read by somebody else."""

    def call(self, message: Message, settings: Settings) -> Call: ...
    def read(self, answer: Answer, message: Message) -> Result: ...


class OwnChannel(Channel, Protocol):
    """A service with a protocol of its own. It may block; it connects only where *reachable* says so."""

    def send(self, message: Message, settings: Settings, reachable: Reachable) -> Result: ...


class Http:
    """What most HTTP services have in common."""

    fields: ClassVar[tuple[Field, ...]] = ()

    def check(self, settings: Settings) -> None:
        for each in self.fields:
            if each.name == "url" and settings.get("url"):
                check_url(settings["url"], "url")

    def read(self, answer: Answer, message: Message) -> Result:
        return by_status(answer)


def by_status(answer: Answer, reference: Reference | None = None) -> Result:
    """Judge an answer by its status alone. A redirect is not followed: an address that moved must be entered anew."""
    if 200 <= answer.status < 300:
        return Result(True, reference=reference or {})
    return Result(False, f"answered with status {answer.status}", again=answer.status in TRY_AGAIN)


def post_json(url: str, body: Any, headers: Mapping[str, str] | None = None, method: str = "POST") -> Call:
    """Return a request with a JSON body."""
    data = json.dumps(body, ensure_ascii=True).encode()
    return Call(url, data, {"Content-Type": "application/json", **(headers or {})}, method)


def clipped(text: str, most: int) -> str:
    """Return *text*, cut where the service would refuse it."""
    return text if len(text) <= most else text[: most - 1] + "…"
