"""Which failures are the same: by the exception's class, its message without what varies, and where it came from."""

from __future__ import annotations

import re
from hashlib import blake2b

MAX_MESSAGE = 300
_TYPE = re.compile(r"^\s*([A-Za-z_][\w.]*)\s*(?:\((.*)\)\s*$|:\s*(.*)$|$)", re.DOTALL)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_VARYING = re.compile(
    r"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b[0-9a-fA-F]{16,}\b|\d+"
)
_FRAME = re.compile(r'^\s*File "([^"]+)", line \d+, in (\S+)', re.MULTILINE)


def split(exception: str) -> tuple[str, str]:
    """Return class and message of an exception as events show it: `ValueError('bad')`."""
    found = _TYPE.match(exception)
    if found is None:
        return "Exception", exception.strip()
    return found[1], (found[2] if found[2] is not None else found[3] or "").strip()


def general(message: str) -> str:
    """Return a message without the parts that differ from one failure of a kind to the next."""
    return _VARYING.sub("#", _QUOTED.sub("'…'", message[:MAX_MESSAGE]))


def origin(traceback: str) -> str:
    """Return where the exception came from: file and function of the innermost frame, without the line that moves."""
    frames = _FRAME.findall(traceback[-8_000:])
    return "" if not frames else f"{frames[-1][0]}:{frames[-1][1]}"


def fingerprint(exception: str, traceback: str = "") -> int:
    """Return a number of 63 bits that failures of one kind share."""
    type_, message = split(exception)
    told = message if len(message) < 3 else general(message)
    # A short quoted message is the only difference between `KeyError('user')` and `KeyError('cart')`: where there is a
    # place in the code it tells them apart, and without one the message has to.
    place = origin(traceback)
    key = f"{type_}\0{place}\0{told}" if place else f"{type_}\0{_VARYING.sub('#', message[:MAX_MESSAGE])}"
    return int.from_bytes(blake2b(key.encode("utf-8", "replace"), digest_size=8).digest(), "big") >> 1
