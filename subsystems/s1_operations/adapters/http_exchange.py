"""One HTTP question over a connection of its own, made only to an address that was checked.

A probe needs a status and to see a body come: a general client spends four times as much on what no probe uses. Names
are resolved first and each address is judged before anything is sent there; the socket then goes to that very address.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

Address = IPv4Address | IPv6Address
Permitted = Callable[[str, Address], bool]
Found = tuple[socket.AddressFamily, Any]  # a family, and the address as `connect` takes it
BODY_CAP = 64 * 1024  # enough to see that a body comes; the rest is the service's business
HEAD_CAP = 64 * 1024
HEAD_START_SECONDS = 0.25  # RFC 8305: how long one address is waited for before the next is tried as well
MAX_ADDRESSES = 4


class AddressRefused(Exception):
    """Every address of *host* lies where no connection may go."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host


class BadAnswer(Exception):
    """What came is no whole HTTP answer."""


@dataclass(frozen=True, slots=True)
class Question:
    """Where to connect, and the bytes to send there."""

    host: str
    port: int
    request: bytes
    tls: bool = False
    head: bool = False  # the answer has no body, whatever its headers say
    keep: bool = False  # the beginning of the answer's body is wanted


@dataclass(frozen=True, slots=True)
class Answer:
    """The status that came, the certificate that the peer showed (empty without TLS), and the body that was wanted."""

    status: int
    certificate: dict[str, Any]
    body: bytes = b""


class Resolver:
    """Looks each name up once, and gives only addresses to which a connection may go."""

    def __init__(self, permitted: Permitted) -> None:
        self._permitted = permitted
        self._lookups: dict[tuple[str, int], asyncio.Task[list[Found]]] = {}

    async def addresses(self, host: str, port: int) -> list[Found]:
        """Return where *host* may be reached. Raises AddressRefused, and OSError for a name that is not known."""
        found = _literal(host, port) or await self._named(host, port)
        allowed = [each for each in found if self._permitted(host, ip_address(each[1][0]))]
        if not allowed:
            raise AddressRefused(host)
        return allowed[:MAX_ADDRESSES]

    async def _named(self, host: str, port: int) -> list[Found]:
        task = self._lookups.get((host, port))
        if task is None:
            task = self._lookups[host, port] = asyncio.create_task(_look_up(host, port))
        return await asyncio.shield(task)  # others wait for it too: one whose time is over must not end it


async def ask(question: Question, resolver: Resolver, tls: ssl.SSLContext) -> Answer:
    """Put *question* and return the answer; the caller bounds the time.

    Raises AddressRefused, BadAnswer, and OSError (of which ssl.SSLError is one) when no connection comes about.
    """
    connected = await connect(await resolver.addresses(question.host, question.port))
    exchange = await _begin(question, connected, tls)
    try:
        status = await exchange.answered
        return Answer(status, exchange.certificate(), bytes(exchange.body))
    finally:
        exchange.hang_up()


async def _begin(question: Question, connected: socket.socket, tls: ssl.SSLContext) -> Exchange:
    secure: dict[str, Any] = {"ssl": tls, "server_hostname": question.host} if question.tls else {}
    try:
        _, exchange = await asyncio.get_running_loop().create_connection(
            lambda: Exchange(question), sock=connected, **secure
        )
    except BaseException:
        connected.close()
        raise
    return exchange


class Exchange(asyncio.Protocol):
    """Sends the request as soon as it is connected and feeds what comes back to the parser."""

    def __init__(self, question: Question) -> None:
        self.answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._question = question
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._status = 0  # 0 until the headers of the final answer are complete
        self._head_size = self._body_size = 0
        self.body = bytearray()
        self._framed = False  # the answer says where its body ends

    def certificate(self) -> dict[str, Any]:
        """Return the peer's certificate as the ssl module tells it; empty without TLS."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport else None
        return (tls.getpeercert() if tls is not None else None) or {}

    def hang_up(self) -> None:
        """Let the connection go at once: a peer that does not say goodbye must not be waited for."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._question.request)

    def data_received(self, data: bytes) -> None:
        self._head_size += 0 if self._status else len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._succeed()
        except HttpParserError as error:
            self._fail(f"no HTTP: {error}")
        if not self._status and self._head_size > HEAD_CAP:
            self._fail("the answer's headers do not end")

    def connection_lost(self, error: Exception | None) -> None:
        """End the answer: a body without a length ends with the connection, everything else broke off."""
        if self._status and not self._framed and error is None:
            self._succeed()
        else:
            self._fail(str(error) if error else "the connection was closed before the answer was complete")

    # --- What the parser calls
    def on_message_begin(self) -> None:
        self._framed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._framed = self._framed or name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            return  # a hint that comes before the answer
        self._status = self._status or status
        if self._question.head:
            self._succeed()

    def on_body(self, data: bytes) -> None:
        if self._question.keep:
            self.body += data[: BODY_CAP - self._body_size]
        self._body_size += len(data)
        if self._body_size >= BODY_CAP:
            self._succeed()

    def on_message_complete(self) -> None:
        if self._status:
            self._succeed()

    def _succeed(self) -> None:
        if not self.answered.done():
            self.answered.set_result(self._status)

    def _fail(self, why: str) -> None:
        if not self.answered.done():
            self.answered.set_exception(BadAnswer(why))
            self.answered.exception()  # whoever asked may have given up: then nobody reads it, and that is fine


async def connect(addresses: Sequence[Found]) -> socket.socket:
    """Return a socket that is connected to the first of *addresses* that answers. Raises the last OSError."""
    if len(addresses) == 1:
        return await _open(addresses[0])
    attempts: list[asyncio.Task[socket.socket]] = []
    try:
        for address in addresses:
            attempts.append(asyncio.create_task(_open(address)))
            connected = await _first_of(attempts, HEAD_START_SECONDS)
            if connected is not None:
                return connected
        while any(not attempt.done() for attempt in attempts):
            connected = await _first_of(attempts, None)
            if connected is not None:
                return connected
        return attempts[-1].result()
    finally:
        _abandon(attempts)


async def _first_of(attempts: list[asyncio.Task[socket.socket]], timeout: float | None) -> socket.socket | None:
    """Wait until one more attempt ends; take its socket out of *attempts* when there is one."""
    await asyncio.wait(
        [each for each in attempts if not each.done()], timeout=timeout, return_when=asyncio.FIRST_COMPLETED
    )
    for attempt in attempts:
        if attempt.done() and attempt.exception() is None:
            attempts.remove(attempt)
            return attempt.result()
    return None


def _abandon(attempts: Sequence[asyncio.Task[socket.socket]]) -> None:
    for attempt in attempts:
        attempt.cancel()
        attempt.add_done_callback(_close_late)


def _close_late(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


async def _open(address: Found) -> socket.socket:
    family, where = address
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connecting, where)
    except BaseException:
        connecting.close()
        raise
    return connecting


async def _look_up(host: str, port: int) -> list[Found]:
    # On the executor by name: a loop's own lookup may have far fewer threads, and names that hang would fill them.
    loop = asyncio.get_running_loop()
    rows = await loop.run_in_executor(None, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return [(row[0], row[4]) for row in rows]


def _literal(host: str, port: int) -> list[Found]:
    """Return the address that *host* spells, or nothing when it is a name; asks nobody."""
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return []
    return [(row[0], row[4]) for row in rows]
