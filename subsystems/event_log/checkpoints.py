"""Signed checkpoints: what stands outside the chain and can therefore tell that all of it was written anew.

A line of a checkpoint goes to the log, so that a copy lives where whoever may change the database may not.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

EVERY_EVENTS = 1_000
EVERY_SECONDS = 60
_LINE = re.compile(r"event checkpoint position=(\d{1,18}) hash=([0-9a-f]{64}) signature=([0-9a-f]{64})")


@dataclass(frozen=True)
class Checkpoint:
    """The hash of the event at *position*, signed with a key that is not in the database."""

    position: int
    hash: bytes
    signature: str

    def line(self) -> str:
        """Return the line for the log."""
        return f"event checkpoint position={self.position} hash={self.hash.hex()} signature={self.signature}"

    def genuine(self, keys: Iterable[str]) -> bool:
        """Return whether one of *keys* signed it."""
        return any(hmac.compare_digest(signature(key, self.position, self.hash), self.signature) for key in keys)


def signed(key: str, position: int, hash_: bytes) -> Checkpoint:
    """Return the checkpoint of an event."""
    return Checkpoint(position, hash_, signature(key, position, hash_))


def signature(key: str, position: int, hash_: bytes) -> str:
    """Return the HMAC-SHA-256 of a checkpoint; its first word keeps it apart from anything else that *key* signs."""
    return hmac.digest(key.encode(), f"vsm-event-checkpoint|{position}|{hash_.hex()}".encode(), "sha256").hex()


def parse(lines: Iterable[str]) -> list[Checkpoint]:
    """Return the checkpoints in the *lines* of a log, whatever else it holds."""
    found = (_LINE.search(line) for line in lines)
    return [Checkpoint(int(match[1]), bytes.fromhex(match[2]), match[3]) for match in found if match]
