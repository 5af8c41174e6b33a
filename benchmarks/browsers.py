"""The other end of a dashboard's socket, so lean that hundreds fit beside the server that is measured.

A client reads frames, answers pings and hands each text on; a deaf one never reads a byte.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
from collections.abc import Callable
from urllib.parse import urlsplit

OPEN_SECONDS = 120.0
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
SHORT, LONG = 126, 127


class Browser(asyncio.Protocol):
    """One open socket. *hear* gets each message's bytes; *closed* is the code that the server closed it with."""

    def __init__(self, request: bytes, hear: Callable[[bytes], None]) -> None:
        self._request, self._hear = request, hear
        self._buffer = bytearray()
        self._parts: list[bytes] = []
        self._shaken = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()
        self.closed: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("closed before it was open"))
        self.over.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._shaken and not self._shake():
            return
        while self._frame():
            pass

    def say(self, text: str) -> None:
        self._send(TEXT, text.encode())

    def cut(self) -> None:
        """Lose the connection without a word, as a cable does."""
        self.transport.abort()

    def _shake(self) -> bool:
        head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return False
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            self.opened.set_exception(ConnectionError(head.decode("latin-1")))
            return False
        self._buffer, self._shaken = bytearray(rest), True
        self.opened.set_result(None)
        return True

    def _frame(self) -> bool:
        """Take one whole frame off the buffer; False when there is none yet."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        final, kind, size, start = buffer[0] & 0x80, buffer[0] & 0x0F, buffer[1] & 0x7F, 2
        if size == SHORT and len(buffer) >= 4:
            size, start = struct.unpack_from("!H", buffer, 2)[0], 4
        elif size == LONG and len(buffer) >= 10:
            size, start = struct.unpack_from("!Q", buffer, 2)[0], 10
        elif size >= SHORT:
            return False
        if len(buffer) < start + size:
            return False
        body = bytes(buffer[start : start + size])
        del buffer[: start + size]
        self._take(kind, body, bool(final))
        return True

    def _take(self, kind: int, body: bytes, final: bool) -> None:
        if kind == PING:
            self._send(PONG, body)
        elif kind == CLOSE:
            self.closed = struct.unpack("!H", body[:2])[0] if body else 1005
            self._send(CLOSE, body)
        else:
            self._parts.append(body)
            if final:
                whole, self._parts = b"".join(self._parts), []
                self._hear(whole)

    def _send(self, kind: int, body: bytes) -> None:
        if self.transport.is_closing():
            return
        size = bytes([0x80 | len(body)]) if len(body) < SHORT else bytes([0x80 | SHORT]) + struct.pack("!H", len(body))
        self.transport.write(bytes([0x80 | kind]) + size + b"\0\0\0\0" + body)  # a mask of zeros changes nothing


def handshake(url: str, cookies: str, path: str) -> bytes:
    """Return the request that opens a socket on *path* of the platform at *url*."""
    place = urlsplit(url)
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {place.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        f"Origin: {url}",
        f"Cookie: {cookies}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def open_browser(
    url: str, cookies: str, hear: Callable[[bytes], None], path: str = "/ws/dashboard/?system=main"
) -> Browser:
    """Open one socket. Raises ConnectionError when it is refused."""
    place, loop = urlsplit(url), asyncio.get_running_loop()
    request = handshake(url, cookies, path)
    _, browser = await loop.create_connection(lambda: Browser(request, hear), place.hostname, place.port)
    await asyncio.wait_for(browser.opened, OPEN_SECONDS)
    return browser


async def open_deaf(url: str, cookies: str, path: str = "/ws/dashboard/?system=main") -> socket.socket:
    """Open a socket that nobody ever reads; what the kernel keeps for it is as small as it may be."""
    place, loop = urlsplit(url), asyncio.get_running_loop()
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.setblocking(False)
    await loop.sock_connect(deaf, (place.hostname, place.port))
    await loop.sock_sendall(deaf, handshake(url, cookies, path))
    return deaf
