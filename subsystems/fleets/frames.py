"""Taking deliveries out of what a broker sends over AMQP, many at a time.

py-amqp makes three reads and an object of every message, which costs more than all that is done with an event
afterwards. Whatever is no delivery, such as a heartbeat or a goodbye, is handed on to it.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

METHOD, HEADER, BODY = 1, 2, 3
_HEAD, _TAG, _SIZE = Struct(">BHI"), Struct(">Q"), Struct(">Q")
_DELIVER = b"\x00\x3c\x00\x3c"  # class 60, method 60
_END = 0xCE


class BrokenStream(OSError):
    """What came is not AMQP: the connection cannot be used any longer."""


class Deliveries:
    """Reads the frames of a connection with one consumer; *hand_on* takes (type, channel, payload) of all others."""

    def __init__(self, hand_on: Callable[[tuple[int, int, bytes]], object]) -> None:
        self._hand_on = hand_on
        self._rest = b""
        self._tag = 0  # of the message that is being read; 0 between messages
        self._missing = 0
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take in what was read; return the messages that are complete, as (delivery tag, body)."""
        buffer = self._rest + data if self._rest else data
        found: list[tuple[int, bytes]] = []
        at, end = 0, len(buffer)
        while end - at >= 8:
            kind, channel, size = _HEAD.unpack_from(buffer, at)
            start, stop = at + 7, at + 7 + size
            if stop >= end:
                break
            if buffer[stop] != _END:
                raise BrokenStream("a frame without its end")
            if kind == METHOD and buffer[start : start + 4] == _DELIVER:
                self._tag = _TAG.unpack_from(buffer, start + 5 + buffer[start + 4])[0]
            elif kind == HEADER and self._tag:
                self._missing = _SIZE.unpack_from(buffer, start + 4)[0]
                self._complete(found)
            elif kind == BODY and self._tag:
                self._parts.append(buffer[start:stop])
                self._missing -= size
                self._complete(found)
            else:
                self._hand_on((kind, channel, buffer[start:stop]))
            at = stop + 1
        self._rest = buffer[at:]
        return found

    def _complete(self, found: list[tuple[int, bytes]]) -> None:
        if self._missing <= 0:
            found.append((self._tag, self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)))
            self._tag, self._parts = 0, []
