"""A worker as it describes itself, and what its pool can and cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from subsystems.fleets.snapshots import pool_size

PREFORK, THREADS, SOLO, GEVENT, EVENTLET, UNKNOWN = "prefork", "threads", "solo", "gevent", "eventlet", "unknown"
POOLS = {
    "celery.concurrency.prefork": PREFORK,
    "celery.concurrency.thread": THREADS,
    "celery.concurrency.solo": SOLO,
    "celery.concurrency.gevent": GEVENT,
    "celery.concurrency.eventlet": EVENTLET,
}
# What a pool cannot do, measured on Celery 5.7. What is not listed, it can. Celery itself accepts most of these and
# fails later, or says yes and does nothing: so it is said here, before.
NO_GROWTH = "a pool of {pool} has a fixed size: start more workers instead"
NO_TERMINATION = "a pool of {pool} cannot stop a task that runs: revoke without termination keeps it from starting"
NO_LIMITS = "a pool of {pool} accepts time limits and ignores them"
CANNOT: dict[tuple[str, str], str] = {
    (THREADS, "resize"): NO_GROWTH,
    (SOLO, "resize"): NO_GROWTH,
    (THREADS, "terminate"): NO_TERMINATION,
    (SOLO, "terminate"): NO_TERMINATION,
    (THREADS, "time_limit"): NO_LIMITS,
    (SOLO, "time_limit"): NO_LIMITS,
    (EVENTLET, "time_limit"): NO_LIMITS,
}
VERBS = ("resize", "autoscale", "terminate", "time_limit")


@dataclass(frozen=True, slots=True)
class Worker:
    """What one worker answered. None stands for what it did not answer, which is never the same as nothing."""

    node: str
    pool: str = UNKNOWN
    size: int | None = None
    autoscale: tuple[int, int] | None = None  # (max, min), None where autoscale is off
    active: int | None = None
    reserved: int | None = None
    queues: tuple[str, ...] | None = None
    uptime_seconds: float | None = None
    prefetch: int | None = None
    steady: bool = False  # does it keep rate limits under a backlog (`vsm_client.limits`)

    @property
    def keeps_limits(self) -> bool:
        """Whether it starts as many tasks as a limit lets it; Celery's own limits need a prefetch count of one."""
        return self.steady or self.prefetch == 1

    @property
    def busy(self) -> int | None:
        """How many tasks it runs or holds; None when it did not say."""
        return None if self.active is None or self.reserved is None else self.active + self.reserved

    @classmethod
    def of(cls, node: str, answers: Mapping[str, Any]) -> Worker:
        """Return the worker from its answers to `stats`, `active`, `reserved` and `active_queues`."""
        stats = answers.get("stats") or {}
        pool = stats.get("pool") or {}
        scaler = stats.get("autoscaler") or {}
        queues = answers.get("active_queues")
        return cls(
            node=node,
            pool=POOLS.get(str(pool.get("implementation", "")).partition(":")[0], UNKNOWN),
            size=pool_size(pool),
            autoscale=(int(scaler["max"]), int(scaler["min"])) if {"max", "min"} <= set(scaler) else None,
            active=_count(answers.get("active")),
            reserved=_count(answers.get("reserved")),
            queues=None if queues is None else tuple(queue["name"] for queue in queues if queue.get("name")),
            uptime_seconds=stats.get("uptime") if isinstance(stats.get("uptime"), (int, float)) else None,
            prefetch=_whole(stats.get("prefetch_count")),
            steady=stats.get("steady_limits") is True,
        )

    def body(self) -> dict[str, Any]:
        """Return the worker as evidence."""
        return {
            "pool": self.pool,
            "size": self.size,
            "autoscale": list(self.autoscale) if self.autoscale else None,
            "active": self.active,
            "reserved": self.reserved,
            "queues": None if self.queues is None else list(self.queues),
        }


def refusal(worker: Worker, verb: str) -> str:
    """Return why *worker* cannot *verb* (`resize`, `autoscale`, `terminate`, `time_limit`); empty when it can."""
    if verb == "autoscale" and worker.autoscale is None:
        return "it was not started with --autoscale"
    if verb == "resize" and worker.autoscale is not None:
        return ""  # through the bounds of its autoscaler
    return CANNOT.get((worker.pool, verb), "").format(pool=worker.pool)


def capabilities(worker: Worker) -> dict[str, str]:
    """Return by verb why this worker cannot, empty where it can."""
    return {verb: refusal(worker, verb) for verb in VERBS}


def resized(worker: Worker, by: int) -> tuple[int, int] | None:
    """Return the autoscaler's new (max, min) for a worker that grows or shrinks *by*; None without an autoscaler.

    With an autoscaler the pool itself refuses to grow: its bounds are what can be moved.
    """
    if worker.autoscale is None:
        return None
    most, least = worker.autoscale
    most = max(1, most + by)
    return most, min(least, most)


def _count(answer: object) -> int | None:
    return len(answer) if isinstance(answer, list) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
