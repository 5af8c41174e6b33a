"""Whole numbers as bytes, short ones short: unsigned LEB128, all of an array at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from subsystems.kernel.errors import Invalid

Unsigned = npt.NDArray[np.uint64]
LONGEST = 9  # bytes: numbers below 2^63


def encode(numbers: npt.NDArray[np.int64]) -> bytes:
    """Return *numbers*, none of them negative, one after the other."""
    values = np.asarray(numbers, np.int64)
    if (values < 0).any():
        raise Invalid("Only numbers from 0 have this form.", field="numbers")
    width = widths(values)
    starts = np.cumsum(width) - width
    out = np.zeros(int(width.sum()), np.uint8)
    for place in range(int(width.max(initial=0))):
        here = width > place
        more = np.where(width[here] > place + 1, 0x80, 0)
        out[starts[here] + place] = (values[here] >> (7 * place) & 0x7F) | more
    return out.tobytes()


def widths(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many bytes each of *numbers* takes."""
    found = np.ones(numbers.size, np.int64)
    for place in range(1, LONGEST):
        found += numbers >= 1 << (7 * place)
    return found


def decode(raw: bytes) -> npt.NDArray[np.int64]:
    """Return the numbers of *raw*. Raises Invalid for bytes that `encode` never wrote."""
    octets = np.frombuffer(raw, np.uint8)
    ends = np.flatnonzero(octets < 0x80)
    if octets.size and (not ends.size or ends[-1] != octets.size - 1):
        raise Invalid("The last number is cut off.", field="bytes")
    starts = np.append(0, ends[:-1] + 1) if ends.size else ends
    width = ends - starts + 1
    if (width > LONGEST).any():
        raise Invalid("A number is too long.", field="bytes")
    values = np.zeros(ends.size, np.int64)
    for place in range(int(width.max(initial=0))):
        here = width > place
        values[here] |= (octets[starts[here] + place] & 0x7F).astype(np.int64) << (7 * place)
    return values


def zigzag(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return signed numbers within 2^62 as unsigned ones: 0, -1, 1, -2 become 0, 1, 2, 3."""
    return (numbers << 1) ^ (numbers >> 63)


def unzigzag(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the signed numbers of `zigzag`."""
    return (numbers >> 1) ^ -(numbers & 1)
