"""What detectors are given and what they answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

FRESH_SECONDS = 16.0  # three rounds: what was not observed for longer is not known
ALIVE_SECONDS = 8.0  # events come every 2 s and rounds every 5 s: whoever is silent for longer is away
SURE = 0.9


class Kind(StrEnum):
    """What can be found."""

    STALLED_WORKER = "stalled_worker"
    QUEUE_WITHOUT_CONSUMER = "queue_without_consumer"
    MISSING_WORKERS = "missing_workers"
    STARVED_PRIORITY = "starved_priority"
    LOST_TASKS = "lost_tasks"
    REDELIVERY_LOOP = "redelivery_loop"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long something must be so before it is found."""

    stalled_seconds: float = 30.0
    unread_seconds: float = 12.0  # a worker that is restarted comes back sooner
    starved_seconds: float = 60.0
    lost_seconds: float = 60.0
    redeliveries: int = 3
    frozen_seconds: float = 15.0  # a busy machine skips a few heartbeats
    extra_seconds: float = 10.0  # a worker that has just come is counted by the broker before it answers us
    gone_seconds: float = 25.0  # a worker that is silent for so long does not come back with what it held
    republished_seconds: float = 20.0  # in which a broker gives what a dead worker held to another
    settled_seconds: float = 10.0  # from a task's last event until the broker's depths tell of it for certain


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that is stuck. *subject* names it within its fleet and kind; *evidence* is plain JSON."""

    kind: Kind
    subject: str
    summary: str
    since: float
    confidence: float = SURE
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a detector found, and what it cannot judge now: of that nobody is accused, and nobody acquitted."""

    found: tuple[Found, ...] = ()
    unknown: frozenset[str] = frozenset()  # subjects
    blind: bool = False  # it could judge nothing at all

    @classmethod
    def of(cls, found: Iterable[Found], unknown: Iterable[str] = ()) -> Verdict:
        return cls(tuple(found), frozenset(unknown))


@dataclass(frozen=True, slots=True)
class Hearing:
    """How well a fleet's events are heard."""

    since: float | None = None  # connected without a break; None when it is not
    written_at: float | None = None  # heard until then at least
    hears_sending: bool | None = None
    lost: tuple[tuple[float, float], ...] = ()  # spells in which events were lost
    telling: Mapping[str, bool | None] = field(default_factory=dict)  # by worker: does it tell of its tasks
    missed: int = 0

    def hears(self, now: float) -> bool:
        """Return whether events are heard now."""
        return self.since is not None and self.written_at is not None and now - self.written_at < FRESH_SECONDS

    def heard_all(self, start: float, end: float) -> bool:
        """Return whether nothing of the time from *start* to *end* was lost, as far as anybody knows."""
        return not any(began < end and ended > start for began, ended in self.lost)


BLIND = Verdict(blind=True)


def seconds_text(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
