"""Where a target is, and with which headers it is sent to: checked when it is entered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.models import ExportTarget

UDP = {ExportTarget.Kind.STATSD, ExportTarget.Kind.DOGSTATSD}
DEFAULT_PATHS = {ExportTarget.Kind.OTLP: "/v1/metrics", ExportTarget.Kind.REMOTE_WRITE: "/api/v1/write"}
STATSD_PORT = 8125
MAX_HEADERS = 10
OURS = {"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection"}
_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]{1,60}):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]{0,2000}[\x21-\x7e])?)")


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; a path and whether to speak TLS where it is an HTTP address."""

    host: str
    port: int
    path: str = ""
    tls: bool = False


def address_of(kind: str, text: str) -> Address:
    """Read the address of a target of *kind*. Raises Invalid (field `address`)."""
    is_udp = kind in UDP
    wanted = {"udp"} if is_udp else {"http", "https"}
    try:
        parts = urlsplit(text if "//" in text or not is_udp else f"udp://{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Invalid(f"This is no address: {error}.", field="address") from None
    if parts.scheme not in wanted or not host or not text.isascii() or re.search(r"[\s\x00-\x1f]", text):
        example = "host:8125" if is_udp else f"https://host:port{DEFAULT_PATHS.get(ExportTarget.Kind(kind), '')}"
        raise Invalid(f"An address of this kind looks like {example}.", field="address")
    if parts.username or parts.password:
        raise Invalid("It must not carry a user or a password: it is shown. Use the headers.", field="address")
    if is_udp:
        return Address(host, port or STATSD_PORT)
    tls = parts.scheme == "https"
    path = (parts.path if parts.path not in {"", "/"} else DEFAULT_PATHS[ExportTarget.Kind(kind)]) + (
        f"?{parts.query}" if parts.query else ""
    )
    return Address(host, port or (443 if tls else 80), path, tls)


def headers_of(text: str) -> dict[str, str]:
    """Read `Name: value` lines. Raises Invalid (field `headers`), never repeating a value."""
    found: dict[str, str] = {}
    for number, line in enumerate(filter(None, map(str.strip, text.splitlines())), 1):
        read = _HEADER.fullmatch(line)
        if read is None:
            raise Invalid(f"Line {number} is not a header such as Authorization: Bearer …", field="headers")
        if read[1].lower() in OURS:
            raise Invalid(f"{read[1]} is set by the exporter itself.", field="headers")
        found[read[1]] = read[2]
    if len(found) > MAX_HEADERS:
        raise Invalid(f"At most {MAX_HEADERS} headers.", field="headers")
    return found


def names_shown(headers: Mapping[str, str]) -> str:
    """Return the headers as they may be shown."""
    return ", ".join(f"{name}: ••••" for name in headers)[:300]
