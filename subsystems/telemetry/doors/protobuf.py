"""The wire format of Protocol Buffers, as far as reading needs it: fields, their tags and where they lie."""

from __future__ import annotations

from collections.abc import Iterator

from subsystems.kernel.errors import Invalid

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_SIZE = {FIXED64: 8, FIXED32: 4}
MAX_VARINT = 10


class Malformed(Invalid):
    """The bytes are no message."""

    code = "malformed_protobuf"

    def __init__(self) -> None:
        super().__init__("The body is not a protobuf message of metrics.")


def tag(number: int, wire: int) -> int:
    """Return the tag of field *number* in one of the wire formats."""
    return number << 3 | wire


def fields(raw: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (tag, start, stop) of each field of the message that lies in *raw* from *at* to *end*. Raises Malformed.

    A varint's start is its value.
    """
    try:
        while at < end:
            key, at = varint(raw, at)
            wire = key & 7
            if key < 8:
                raise Malformed
            start, stop = varint(raw, at) if wire == VARINT else _place(raw, at, wire)
            if stop > end:
                raise Malformed
            yield key, start, stop
            at = stop
    except (IndexError, KeyError):
        raise Malformed from None


def _place(raw: bytes, at: int, wire: int) -> tuple[int, int]:
    size, at = varint(raw, at) if wire == LENGTH else (_SIZE[wire], at)
    return at, at + size


def varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return the number at *at*, and where it ends."""
    value = raw[at]
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for shift in range(7, 7 * MAX_VARINT, 7):
        at += 1
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + 1
    raise Malformed


def text(raw: bytes, start: int, stop: int) -> str:
    """Return a text. Raises Malformed when it is not UTF-8."""
    try:
        return raw[start:stop].decode()
    except UnicodeDecodeError:
        raise Malformed from None


def put_varint(value: int) -> bytes:
    """Return *value* as a varint."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def put_bytes(number: int, content: bytes) -> bytes:
    """Return field *number* with *content*."""
    return put_varint(tag(number, LENGTH)) + put_varint(len(content)) + content


def put_number(number: int, value: int) -> bytes:
    """Return field *number* with a whole number that is not negative."""
    return put_varint(tag(number, VARINT)) + put_varint(value)
