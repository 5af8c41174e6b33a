"""Telling somebody outside by one HTTP request: where to, signed as Standard Webhooks are, and what came back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from subsystems.kernel.errors import Invalid
from subsystems.s1_operations.adapters.http import tls_verification
from subsystems.s1_operations.adapters.http_exchange import BadAnswer, Question, Resolver, ask

_HEADER = re.compile(r"[\x20-\x7e]{0,4000}")


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


async def exchange(call: Call, resolver: Resolver) -> Answer:
    """Make one request. Redirects are not followed, and of the answer only a beginning is read."""
    parts = urlsplit(call.url)
    tls, host = parts.scheme == "https", parts.hostname or ""
    port = parts.port or (443 if tls else 80)
    named = f"[{host}]" if ":" in host else host
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    given = {"User-Agent": "vsm-notifier", **call.headers, "Content-Length": str(len(call.body)), "Connection": "close"}
    standard = port == (443 if tls else 80)
    lines = [f"{call.method} {path} HTTP/1.1", f"Host: {named if standard else f'{named}:{port}'}"]
    lines += [f"{name}: {value}" for name, value in given.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise BadAnswer("a header holds a line break")
    request = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + call.body
    answer = await ask(Question(host, port, request, tls=tls, keep=True), resolver, tls_verification())
    return Answer(answer.status, answer.body)


def signed(body: bytes, id_: str, timestamp: int, secret: str) -> dict[str, str]:
    """Return the headers of a webhook: its id, which stays the same over all tries, its time, and its signature."""
    headers = {"Content-Type": "application/json", "webhook-id": id_, "webhook-timestamp": str(timestamp)}
    return headers | ({"webhook-signature": signature(secret, id_, timestamp, body)} if secret else {})


def signature(secret: str, id_: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a request: HMAC-SHA256 over its id, its time and its body (Standard Webhooks)."""
    key = base64.b64decode(secret[6:] + "==") if secret.startswith("whsec_") else secret.encode()
    digest = hmac.new(key, f"{id_}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


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
