"""Who should be there and is not: queues that nobody reads, and roles with fewer workers than declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from subsystems.fleets.detectors.base import (
    ALIVE_SECONDS,
    FRESH_SECONDS,
    Found,
    Kind,
    Patience,
    Verdict,
    seconds_text,
)
from subsystems.fleets.detectors.stalled import Watched
from subsystems.fleets.snapshots import QueueSeen


@dataclass(frozen=True, slots=True)
class Expected:
    """What somebody declared: so many workers of a role (any, when empty) that read a queue (any, when empty)."""

    id: int
    role: str
    queue: str
    workers: int
    short_since: float | None = None  # they are too few since then, as far as was seen before

    @property
    def subject(self) -> str:
        """Return what names it within its fleet."""
        return f"{self.role or 'any role'} on {self.queue or 'any queue'}"


def without_consumer(
    queues: Mapping[str, QueueSeen],
    declared: Sequence[Expected],
    patience: Patience,
    *,
    now: float,
    waiting_since: Mapping[str, float] | None = None,
) -> Verdict:
    """Find queues in which work waits and nobody reads, and declared ones that nobody reads.

    *waiting_since* is when the oldest task was sent that waits in a queue, as far as clients tell.
    """
    wanted = {each.queue for each in declared if each.queue and each.workers > 0}
    found, unknown = [], []
    for name, queue in queues.items():
        if now - queue.observed_at >= FRESH_SECONDS or queue.consumers is None:
            unknown.append(name)
        elif queue.unread_since is not None and (queue.ready or name in wanted):
            began = queue.unread_since if name in wanted else max(queue.unread_since, queue.nonempty_since or 0.0)
            if queue.recent and queue.recent[0][0] >= began:  # never seen otherwise: what waits has waited for longer
                began = min(began, (waiting_since or {}).get(name, began))
            if now - began >= patience.unread_seconds:
                found.append(_unread(queue, began, now, declared=name in wanted))
    return Verdict.of(found, unknown)


def _unread(queue: QueueSeen, began: float, now: float, *, declared: bool) -> Found:
    waiting = "it is declared to be read"
    if queue.ready:
        waiting = "1 message waits" if queue.ready == 1 else f"{queue.ready:.0f} messages wait"
    return Found(
        Kind.QUEUE_WITHOUT_CONSUMER,
        queue.name,
        f"Nobody has read the queue {queue.name} for {seconds_text(now - began)}: {waiting}.",
        began,
        evidence={
            "ready": queue.ready,
            "consumers": queue.consumers,
            "workers_that_say_they_read_it": queue.readers,
            "declared": declared,
        },
    )


def missing(
    workers: Sequence[Watched],
    declared: Sequence[Expected],
    patience: Patience,
    *,
    now: float,
    observed: bool,
) -> tuple[Verdict, dict[int, float | None]]:
    """Find declarations that too few workers meet; also return by id since when each is short.

    *observed* says whether the fleet answers now: while it does not, nobody is missing.
    """
    if not observed:
        return Verdict.of([], [each.subject for each in declared]), {each.id: each.short_since for each in declared}
    found: list[Found] = []
    short: dict[int, float | None] = {}
    for each in declared:
        there, away = _members(each, workers, now)
        short[each.id] = None
        if len(there) < each.workers:
            since = max([w.alive_at for w in away] or [each.short_since or now])
            since = min(since, each.short_since or since)
            short[each.id] = since
            if now - since >= patience.unread_seconds:
                found.append(_missing(each, there, away, since, now))
    return Verdict.of(found), short


def _members(each: Expected, workers: Sequence[Watched], now: float) -> tuple[list[Watched], list[Watched]]:
    mine = [
        worker
        for worker in workers
        if each.role in ("", worker.seen.role) and (not each.queue or each.queue in worker.seen.queues)
    ]
    there = [w for w in mine if not w.said_goodbye and now - w.alive_at < ALIVE_SECONDS]
    return there, [worker for worker in mine if worker not in there]


def _missing(each: Expected, there: Sequence[Watched], away: Sequence[Watched], since: float, now: float) -> Found:
    last = sorted(away, key=lambda worker: -worker.alive_at)[:5]
    return Found(
        Kind.MISSING_WORKERS,
        each.subject,
        f"{len(there)} of {each.workers} declared workers are there for {seconds_text(now - since)}: {each.subject}.",
        since,
        evidence={
            "role": each.role,
            "queue": each.queue,
            "declared": each.workers,
            "there": sorted(worker.seen.name for worker in there)[:20],
            "left_last": [worker.seen.name for worker in last],
        },
    )
