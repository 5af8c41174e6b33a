"""Workers that live and do not work: deaf to their queue, with a pool that stands still, or frozen as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from subsystems.fleets.detectors.base import (
    FRESH_SECONDS,
    SURE,
    Found,
    Kind,
    Patience,
    Verdict,
    seconds_text,
)
from subsystems.fleets.snapshots import QueueSeen, WorkerSeen, readers_of

DEAF, STILL, FROZEN = "deaf", "still", "frozen"
DROPPED_SECONDS = 900.0  # by then a broker has closed the connection of whoever is silent
SINGLE = "solo"  # a pool that answers nobody while it works


@dataclass(frozen=True, slots=True)
class Watched:
    """A worker as it last answered, and when it was last heard in any way."""

    seen: WorkerSeen
    alive_at: float
    said_goodbye: bool = False
    rate_limited: bool | None = None  # does it hold tasks back by a rate limit; None when nobody asked


def stalled(workers: Sequence[Watched], queues: Mapping[str, QueueSeen], patience: Patience, *, now: float) -> Verdict:
    """Find workers that are alive and start nothing while work waits that they could do."""
    found, unknown, silent = [], [], []
    readers = readers_of(worker.seen.queues for worker in workers if _answers(worker, patience, now))
    for worker in workers:
        if worker.said_goodbye:
            continue
        if _answers(worker, patience, now):
            each = _idle(worker, queues, readers, patience, now)
            found += [each] if each else []
        elif now - worker.alive_at < patience.frozen_seconds:
            unknown.append(worker.seen.name)  # alive, but nobody knows what it does
        elif now - worker.alive_at < DROPPED_SECONDS:
            silent.append(worker)
    alive = readers_of(
        w.seen.queues for w in workers if not w.said_goodbye and now - w.alive_at < patience.frozen_seconds
    )
    return Verdict.of([*found, *_frozen(silent, queues, alive, patience, now)], unknown)


def _answers(worker: Watched, patience: Patience, now: float) -> bool:
    return now - worker.seen.observed_at < FRESH_SECONDS and now - worker.alive_at < patience.frozen_seconds


def _idle(
    worker: Watched, queues: Mapping[str, QueueSeen], readers: Mapping[str, int], patience: Patience, now: float
) -> Found | None:
    seen = worker.seen
    if seen.active_count is None or seen.processed is None or seen.pool_size is None:
        return None
    if seen.active_count >= seen.pool_size:
        return None  # all it has is at work: a long task is no stall
    waiting = _waiting(seen, queues, now)
    if waiting is None:
        return None
    since = max(seen.progress_at, waiting[0])
    if now - since < patience.stalled_seconds:
        return None
    unheard = [name for name in seen.queues if _unheard_by_broker(queues.get(name), readers.get(name, 0))]
    # A rate limit holds back what the worker has fetched already; it explains no consumer that is missing.
    if worker.rate_limited and not unheard and not seen.reserved_count:
        return None
    how = DEAF if unheard or not seen.reserved_count else STILL
    return _accused(worker, how, since, waiting[1], unheard, now)


def _waiting(seen: WorkerSeen, queues: Mapping[str, QueueSeen], now: float) -> tuple[float, list[str]] | None:
    """Return since when work waits for this worker, and in which queues."""
    known = [queues[name] for name in seen.queues if name in queues]
    deep = [queue for queue in known if queue.nonempty_since is not None and now - queue.observed_at < FRESH_SECONDS]
    moments = [queue.nonempty_since for queue in deep if queue.nonempty_since is not None]
    if seen.reserved_since is not None:
        moments.append(seen.reserved_since)
    return (min(moments), [queue.name for queue in deep]) if moments else None


def _unheard_by_broker(queue: QueueSeen | None, readers: int) -> bool:
    """Return whether the broker knows of fewer consumers than there are workers that think they are one."""
    return queue is not None and queue.consumers is not None and queue.consumers < readers


def _accused(worker: Watched, how: str, since: float, deep: Sequence[str], unheard: Sequence[str], now: float) -> Found:
    seen = worker.seen
    what = {
        DEAF: "answers, and takes nothing from its queues",
        STILL: f"holds {seen.reserved_count} tasks, and its pool starts none",
    }[how]
    return Found(
        Kind.STALLED_WORKER,
        seen.name,
        f"{seen.name} {what}: nothing started for {seconds_text(now - seen.progress_at)} while work waits.",
        since,
        SURE if unheard or how == STILL else 0.8,
        {
            "how": how,
            "nothing_started_for_seconds": round(now - seen.progress_at, 1),
            "active": seen.active_count,
            "pool_size": seen.pool_size,
            "reserved": seen.reserved_count,
            "waiting_queues": list(deep),
            "queues_without_its_consumer": list(unheard),
            "last_heard_seconds_ago": round(now - worker.alive_at, 1),
        },
    )


def _frozen(
    silent: Sequence[Watched], queues: Mapping[str, QueueSeen], alive: Mapping[str, int], patience: Patience, now: float
) -> list[Found]:
    """Return the workers of which nothing is heard while the broker still counts them among the consumers."""
    extra = {
        name: int(queue.consumers or 0) - alive.get(name, 0)
        for name, queue in queues.items()
        if queue.extra_since is not None
        and now - queue.extra_since >= patience.extra_seconds
        and now - queue.observed_at < FRESH_SECONDS
    }
    # A solo pool that runs a task can say nothing meanwhile.
    mute = [w for w in silent if not (w.seen.pool == SINGLE and w.seen.active_count)]
    rivals = readers_of(worker.seen.queues for worker in mute)
    found = []
    for worker in mute:
        held = [name for name in worker.seen.queues if extra.get(name, 0) > 0]
        if held:
            share = min(1.0, max(extra[name] / rivals[name] for name in held))  # some of them may be dead
            found.append(_frozen_one(worker, held, SURE * share, now))
    return found


def _frozen_one(worker: Watched, held: Sequence[str], confidence: float, now: float) -> Found:
    seen = worker.seen
    silent = now - worker.alive_at
    return Found(
        Kind.STALLED_WORKER,
        seen.name,
        f"{seen.name} is frozen: silent for {seconds_text(silent)}, yet the broker still gives it work.",
        worker.alive_at,
        confidence,
        {
            "how": FROZEN,
            "last_heard_seconds_ago": round(silent, 1),
            "queues_that_count_it": list(held),
            "reserved": seen.reserved_count,
            "active": seen.active_count,
        },
    )
