"""What a channel is: a pure writer of requests and reader of answers, or a sender with a protocol of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit

from subsystems.kernel.errors import Invalid

Settings = Mapping[str, str]
Reference = Mapping[str, Any]  # the service's own name of a message, to change it later
Reachable = Callable[[str, str], bool]  # host, address -> whether a connection may go there
TRY_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_HEADER = re.compile(r"[\x20-\x7e]{0,4000}")


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
class Call:
    """One HTTP request."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes = b""

    def json(self) -> Any:
        """Return the body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


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


def check_url(text: str, field_name: str) -> None:
    """Raise Invalid unless *text* is an HTTP address without a user and a password in it."""
    try:
        parts = urlsplit(text)
        port_ok = parts.port is None or 0 < parts.port < 65_536
    except ValueError:
        raise Invalid("This is no address.", field=field_name) from None
    plain = text.isascii() and not re.search(r"[\s\x00-\x1f\x7f]", text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain or not port_ok or len(text) > 2000:
        raise Invalid("An address is like https://host/path.", field=field_name)
    if parts.username or parts.password:
        raise Invalid("It must not carry a user or a password.", field=field_name)


def header_value(text: str, field_name: str) -> str:
    """Return *text* if it can stand in a header. Raises Invalid."""
    if not _HEADER.fullmatch(text):
        raise Invalid("This holds characters that no header can have.", field=field_name)
    return text


def clipped(text: str, most: int) -> str:
    """Return *text*, cut where the service would refuse it."""
    return text if len(text) <= most else text[: most - 1] + "…"
