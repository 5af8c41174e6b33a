"""Sources outside that S4 looks at on schedule: what may be asked of each, and what an answer means."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import NamedTuple

GRACE_SECONDS = 60  # how late a scan may be: two slots, and the time that the slowest source may take
MAX_SOURCES = 100  # of one system
DEPENDENCIES = ("database", "redis", "channel_layer")
SMALLEST_MOVE = 0.01  # of a value: less is no news
HEARD_SECONDS = 15.0  # a broker that answered within three collection periods answers


class Seen(NamedTuple):
    """What one scan found."""

    ok: bool
    value: float | None = None
    error: str = ""
    certificate_days_left: float | None = None


class Awareness(NamedTuple):
    """How many sources were scanned in their time, of those that are configured and enabled."""

    scanned: int
    configured: int

    @property
    def share(self) -> float | None:
        """The share; None without sources, for then nothing is known of what lies outside."""
        return self.scanned / self.configured if self.configured else None


def awareness_of(scans: Iterable[tuple[int | None, int]], *, now: float) -> Awareness:
    """Judge (scanned at, every so many seconds) of the enabled sources; one never scanned is not in time."""
    told = [at is not None and now - at <= every + GRACE_SECONDS for at, every in scans]
    return Awareness(sum(told), len(told))


def turn_of(before: Seen | None, now: Seen, better: str) -> int | None:
    """Return 1 where a source does better than at the scan before, -1 where worse, 0 where neither; None: unknown.

    It is better when it answers again, or when its value moved by at least a hundredth the way that *better* names.
    """
    if before is None:
        return None
    if before.ok != now.ok:
        return 1 if now.ok else -1
    if not now.ok or not better or before.value is None or now.value is None:
        return 0
    moved = now.value - before.value
    if abs(moved) < SMALLEST_MOVE * max(abs(before.value), abs(now.value)):
        return 0
    return (moved > 0) - (moved < 0) if better == "higher" else (moved < 0) - (moved > 0)


class Sentiment(NamedTuple):
    """How the outside does (`market_sentiment`, requirements 004-26): the share that got better less that got worse."""

    improved: int
    worsened: int
    known: int

    @property
    def balance(self) -> float:
        return (self.improved - self.worsened) / self.known

    @property
    def word(self) -> str:
        return "positive" if self.balance > 0 else "negative" if self.balance < 0 else "neutral"


def sentiment_of(turns: Iterable[int | None]) -> Sentiment | None:
    """Judge how the enabled sources turned at their last scans; None where of none it is known."""
    known = [turn for turn in turns if turn is not None]
    return Sentiment(known.count(1), known.count(-1), len(known)) if known else None


def pointed_number(body: bytes, pointer: str) -> float:
    """Return the number at *pointer* (RFC 6901) of a JSON document. Raises ValueError in words."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the answer is no JSON, or longer than 64 KiB") from None
    for part in pointer.split("/")[1:]:
        found = _member(found, part.replace("~1", "/").replace("~0", "~"), pointer)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise ValueError(f"there is no number at {pointer}")
    return float(found)


def _member(found: object, part: str, pointer: str) -> object:
    if isinstance(found, dict) and part in found:
        return found[part]
    if isinstance(found, list) and part.isascii() and part.isdigit() and int(part[:9]) < len(found):
        return found[int(part[:9])]
    raise ValueError(f"there is nothing at {pointer}")


def of_age(value: float, age_seconds: float, every_seconds: int) -> Seen:
    """Return what the newest value of a metric says: it is fresh, or too old to be relied on."""
    if age_seconds <= max(every_seconds, GRACE_SECONDS):
        return Seen(True, value)
    return Seen(False, value, f"stale: the newest value is {age_seconds:.0f} s old")


def of_broker(age_seconds: float | None, error: str) -> Seen:
    """Return whether a fleet's broker answers, from when it last did; the value is that age."""
    if age_seconds is None:
        return Seen(False, None, error or "the broker has not answered yet")
    if age_seconds <= HEARD_SECONDS:
        return Seen(True, age_seconds)
    return Seen(False, age_seconds, error or f"the broker has not answered for {age_seconds:.0f} s")
