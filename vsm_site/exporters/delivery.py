"""One delivery: payloads to an address that may be reached, within a time, tried twice.

The same guard as for services that are watched: names are resolved first, and inside addresses are refused unless the
administrator allows them. Nothing follows redirects, and no proxy variable is read.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from subsystems.s1_operations.adapters import http_exchange
from subsystems.s1_operations.adapters.http import tls_verification
from subsystems.s1_operations.adapters.http_exchange import AddressRefused, BadAnswer, Question, Resolver
from subsystems.telemetry.exporters.payloads import Payload
from vsm_site.exporters.addresses import Address

SECONDS = 7.0  # for all that one target gets in a slot
REQUEST_SECONDS = 3.0
PAUSE_SECONDS = 0.5  # before the second try
PACKETS_AT_ONCE, PACKET_PAUSE_SECONDS = 20, 0.002  # a burst would fill the buffer of whoever listens
TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
FAILED = (AddressRefused, BadAnswer, OSError, TimeoutError)


class NotNow(Exception):
    """It may be taken later."""


class Unwanted(Exception):
    """It will never be taken."""


@dataclass(slots=True)
class Delivered:
    """What became of the numbers of one delivery, and what went wrong first."""

    sent: int = 0
    dropped: int = 0
    error: str = ""

    def failed(self, payload: Payload, why: str) -> None:
        self.dropped += payload.samples
        self.error = self.error or why[:300]


@dataclass(slots=True)
class Parcel:
    """What goes to one address."""

    address: Address
    payloads: Iterable[Payload]
    headers: Mapping[str, str] = field(default_factory=dict)
    udp: bool = False


async def deliver(parcels: Sequence[Parcel], resolver: Resolver) -> list[Delivered]:
    """Send all parcels side by side; none can hold up another, and each ends in time."""
    return list(await asyncio.gather(*(_deliver(parcel, resolver) for parcel in parcels)))


async def _deliver(parcel: Parcel, resolver: Resolver) -> Delivered:
    done, rest = Delivered(), iter(parcel.payloads)
    send = _send_packets if parcel.udp else _post_all
    try:
        async with asyncio.timeout(SECONDS):
            await send(parcel, rest, resolver, done)
    except FAILED as error:
        done.error = done.error or _words(error)
    for payload in rest:  # what there was no time for
        done.failed(payload, "not sent in time")
    return done


async def _post_all(parcel: Parcel, payloads: Iterator[Payload], resolver: Resolver, done: Delivered) -> None:
    """Post one after the other; after one that cannot be taken now the rest is not tried."""
    for payload in payloads:
        error = await _posted(parcel, payload, resolver)
        if isinstance(error, NotNow):
            await asyncio.sleep(PAUSE_SECONDS)
            error = await _posted(parcel, payload, resolver)
        if error is None:
            done.sent += payload.samples
            continue
        done.failed(payload, str(error))
        if isinstance(error, NotNow):
            return


async def _posted(parcel: Parcel, payload: Payload, resolver: Resolver) -> Exception | None:
    """Post one payload; return why it was not taken. Posting it twice is safe: its times tell that it is the same."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            answer = await http_exchange.ask(_question(parcel, payload), resolver, tls_verification())
    except FAILED as error:
        return NotNow(_words(error))
    if 200 <= answer.status < 300:
        return None
    return (NotNow if answer.status in TRY_AGAIN else Unwanted)(f"answered with status {answer.status}")


def _question(parcel: Parcel, payload: Payload) -> Question:
    address = parcel.address
    host = f"[{address.host}]" if ":" in address.host else address.host
    given = {**payload.headers, **parcel.headers, "Content-Length": str(len(payload.body)), "Connection": "close"}
    lines = [f"POST {address.path} HTTP/1.1", f"Host: {host}:{address.port}", "User-Agent: vsm-exporter"]
    lines += [f"{name}: {value}" for name, value in given.items()]
    head = "\r\n".join([*lines, "", ""]).encode("ascii")
    return Question(address.host, address.port, head + payload.body, address.tls)


async def _send_packets(parcel: Parcel, payloads: Iterator[Payload], resolver: Resolver, done: Delivered) -> None:
    """Send packets at a pace that a receiver can follow; only a machine that refuses them says so."""
    family, where = (await resolver.addresses(parcel.address.host, parcel.address.port))[0]
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.connect(where)
        for number, payload in enumerate(payloads):
            try:
                sender.send(payload.body)
            except OSError as error:
                done.failed(payload, _words(error))
                return
            done.sent += payload.samples
            if number % PACKETS_AT_ONCE == PACKETS_AT_ONCE - 1:
                await asyncio.sleep(PACKET_PAUSE_SECONDS)


def _words(error: BaseException) -> str:
    if isinstance(error, AddressRefused):
        return f"refused: {error.host} is an internal address; VSM_HTTP_ALLOW would permit it"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (str(error) or type(error).__name__)[:300]
