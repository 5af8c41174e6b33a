"""What one round of questions tells of a worker or a queue, and since when it is so.

A state is folded from the one before and an answer: how long a worker has started nothing, how long a queue has been
waiting or without anybody who reads it. Moments are epoch seconds by our clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from subsystems.s1_operations.roles import role_of

MAX_SHOWN = 50  # tasks of a worker that are kept by name; the others are counted
MAX_TEXT = 200
RECENT_SECONDS = 90.0  # of depths, from which rates are told
MAX_RECENT = 40


@dataclass(frozen=True, slots=True)
class Held:
    """A task that a worker runs or holds."""

    id: str
    name: str
    started_at: float | None = None
    acknowledged: bool = False
    queue: str = ""  # its routing key, which is the queue's name unless somebody made it otherwise
    priority: int | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "id": self.id, "name": self.name, "started_at": self.started_at, "acknowledged": self.acknowledged,
            "queue": self.queue, "priority": self.priority,
        }  # fmt: skip

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> Held:
        return cls(**body)


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker as it last answered."""

    name: str
    role: str
    observed_at: float
    progress_at: float  # when it was last seen to have started something; at first, when it was first seen
    pool: str = ""
    pool_size: int | None = None
    prefetch: int | None = None
    pid: int | None = None
    started_at: float | None = None
    processed: float | None = None
    queues: tuple[str, ...] = ()
    active_count: int | None = None
    reserved_count: int | None = None
    active: tuple[Held, ...] = ()
    reserved: tuple[Held, ...] = ()
    reserved_since: float | None = None  # holds tasks that it does not run, without a break


@dataclass(frozen=True, slots=True)
class QueueSeen:
    """A queue as the broker last told."""

    name: str
    observed_at: float
    ready: float | None = None
    unacked: float | None = None
    consumers: float | None = None
    counted: bool = False  # does the broker itself count the consumers; else they are those of `readers`
    readers: int = 0  # workers that say they read it
    oldest_age_seconds: float | None = None
    published_rate: float | None = None  # where the broker counts it
    delivered_rate: float | None = None
    levels: Mapping[str, float] = field(default_factory=dict)  # depth by priority
    recent: tuple[tuple[float, float], ...] = ()  # (moment, ready), oldest first
    nonempty_since: float | None = None
    empty_at: float | None = None  # the last time that nothing waited
    unread_since: float | None = None
    extra_since: float | None = None  # the broker counts more consumers than workers answer


def worker_seen(before: WorkerSeen | None, name: str, answers: Mapping[str, Any], now: float) -> WorkerSeen:
    """Return a worker's state after *answers*, which have its `stats`; what was not answered is unknown."""
    stats = answers["stats"]
    pool = _mapping(stats.get("pool"))
    total = stats.get("total")
    processed = float(sum(total.values())) if isinstance(total, dict) else None
    uptime = stats.get("uptime")
    reserved = answers.get("reserved")
    return WorkerSeen(
        name=name,
        role=role_of(name),
        observed_at=now,
        progress_at=_progress(before, processed, now),
        pool=str(pool.get("implementation") or "").rpartition(":")[0].rpartition(".")[2][:20],
        pool_size=pool_size(pool),
        prefetch=_whole(stats.get("prefetch_count")),
        pid=_whole(stats.get("pid")),
        started_at=now - uptime if isinstance(uptime, (int, float)) else None,
        processed=processed,
        queues=tuple(queue_names(answers)) or (before.queues if before and "active_queues" not in answers else ()),
        active_count=_count(answers.get("active")),
        reserved_count=_count(reserved),
        active=_held(answers.get("active")),
        reserved=_held(reserved),
        reserved_since=_since(before.reserved_since if before else None, bool(reserved), now),
    )


def queue_seen(
    before: QueueSeen | None,
    name: str,
    metrics: Mapping[str, float],
    now: float,
    *,
    readers: int = 0,
    counted: bool = False,
    levels: Mapping[int, float] | None = None,
) -> QueueSeen:
    """Return a queue's state after the broker told *metrics*."""
    ready, consumers = metrics.get("ready"), metrics.get("consumers")
    recent = [*(before.recent if before else ()), *([(now, ready)] if ready is not None else [])]
    return QueueSeen(
        name=name,
        observed_at=now,
        ready=ready,
        unacked=metrics.get("unacked"),
        consumers=consumers,
        counted=counted,
        readers=readers,
        oldest_age_seconds=metrics.get("oldest_age_seconds"),
        published_rate=metrics.get("published_rate"),
        delivered_rate=metrics.get("delivered_rate"),
        levels={str(level): depth for level, depth in sorted((levels or {}).items())},
        recent=tuple(point for point in recent if point[0] > now - RECENT_SECONDS)[-MAX_RECENT:],
        nonempty_since=_since(before.nonempty_since if before else None, bool(ready), now),
        empty_at=now if ready == 0 else (before.empty_at if before else None),
        unread_since=_since(before.unread_since if before else None, consumers == 0, now),
        extra_since=_since(before.extra_since if before else None, counted and (consumers or 0) > readers, now),
    )


def queue_names(answers: Mapping[str, Any]) -> list[str]:
    """Return the queues that a worker says it reads."""
    told = answers.get("active_queues") or ()
    return [queue["name"] for queue in told if isinstance(queue, dict) and isinstance(queue.get("name"), str)]


def pool_size(pool: Mapping[str, Any]) -> int | None:
    """Return how many tasks a pool runs at once. A prefork pool that grew tells so only by its processes."""
    processes = pool.get("processes")
    return len(processes) if isinstance(processes, list) and processes else _whole(pool.get("max-concurrency"))


def readers_of(workers: Iterable[Sequence[str]]) -> dict[str, int]:
    """Return by queue how many workers read it, given the queues of each."""
    found: dict[str, int] = {}
    for queues in workers:
        for queue in queues:
            found[queue] = found.get(queue, 0) + 1
    return found


def _progress(before: WorkerSeen | None, processed: float | None, now: float) -> float:
    """Return when the worker last started something: it counts what it starts, from 0 at each start of its own."""
    if before is None or processed is None or before.processed is None or processed != before.processed:
        return now
    return before.progress_at


def _since(before: float | None, holds: bool, now: float) -> float | None:
    return (now if before is None else before) if holds else None


def _count(answer: object) -> int | None:
    return len(answer) if isinstance(answer, list) else None


def _held(answer: object) -> tuple[Held, ...]:
    rows = [row for row in answer if isinstance(row, dict)] if isinstance(answer, list) else []
    return tuple(_one_held(row) for row in rows[:MAX_SHOWN])


def _one_held(row: Mapping[str, Any]) -> Held:
    delivery = _mapping(row.get("delivery_info"))
    started = row.get("time_start")
    return Held(
        id=str(row.get("id") or "")[:MAX_TEXT],
        name=str(row.get("name") or "")[:MAX_TEXT],
        started_at=float(started) if isinstance(started, (int, float)) else None,
        acknowledged=row.get("acknowledged") is True,
        queue=str(delivery.get("routing_key") or "")[:MAX_TEXT],
        priority=_whole(delivery.get("priority")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
