"""What a rate limiter is asked and answers, wherever it keeps its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from subsystems.messaging.gcra import Limit


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit of one layer: *key* tells whose, *counter* is what a refusal by it adds to."""

    layer: str
    key: str
    limit: Limit
    counter: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The most specific bucket that had no room, and when all of them will have."""

    bucket: Bucket
    retry_after_seconds: float


class RateLimiter(Protocol):
    """Where the buckets are kept. Every method may be called from any thread.

    All but `count` raise TransientError when the limiter cannot be reached.
    """

    def take(self, buckets: Sequence[Bucket]) -> Refusal | None:
        """Take one from each of *buckets*, or none from any; most specific first. A refusal is counted."""

    def count(self, amounts: Mapping[str, int]) -> bool:
        """Add to counters; return False when they could not be told. Never fails."""

    def counters(self) -> dict[str, int]:
        """Return every counter."""

    def clear(self) -> None:
        """Forget everything."""
