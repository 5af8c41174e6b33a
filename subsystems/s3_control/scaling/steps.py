"""From a size to the one act that goes towards it: the pool where pools can grow, else whole workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from subsystems.fleets.snapshots import WorkerSeen
from subsystems.s3_control.suggesting import GROWING_POOLS


@dataclass(frozen=True, slots=True)
class Act:
    """What to do, and how many slots there are afterwards. Without a *kind* only people can do it."""

    after: int
    kind: str = ""
    target: str = ""
    parameters: Mapping[str, Any] | None = None
    words: str = ""


def slots(readers: Sequence[WorkerSeen]) -> int | None:
    """Return how many tasks readers run at once; None where one of them did not say."""
    sizes = [worker.pool_size for worker in readers]
    return None if not sizes or None in sizes else sum(size or 0 for size in sizes)


def busy(readers: Sequence[WorkerSeen]) -> int | None:
    """Return how many slots have a task; None where one of them did not say."""
    counts = [worker.active_count for worker in readers]
    return None if not counts or None in counts else sum(count or 0 for count in counts)


def step(readers: Sequence[WorkerSeen], size: int, desired: int, queue: str) -> Act | None:
    """Return the act that brings readers from *size* nearer to *desired*; None where nothing can be done."""
    if desired > size:
        return _more(readers, size, desired, queue)
    return _fewer(readers, size, desired, queue) if desired < size else None


def _more(readers: Sequence[WorkerSeen], size: int, desired: int, queue: str) -> Act:
    pools = [worker for worker in readers if worker.pool in GROWING_POOLS]
    if not pools:
        return Act(
            desired, words=f"The pools that read {queue} cannot grow: start workers with {desired - size} slots."
        )
    chosen = min(pools, key=lambda worker: (worker.pool_size or 0, worker.name))
    return Act(desired, "worker.grow", chosen.name, {"by": desired - size}, f"Grow {chosen.name} by {desired - size}")


def _fewer(readers: Sequence[WorkerSeen], size: int, desired: int, queue: str) -> Act | None:
    """Shrink the idlest pool that stays alive; where no pool can, drain the idlest worker that may go."""
    pools = [worker for worker in readers if worker.pool in GROWING_POOLS and (worker.pool_size or 0) > 1]
    if pools:
        chosen = max(pools, key=lambda worker: (_idle(worker), worker.name))
        by = min(size - desired, max(1, _idle(chosen)), (chosen.pool_size or 1) - 1)
        return Act(size - by, "worker.shrink", chosen.name, {"by": by}, f"Shrink {chosen.name} by {by}")
    small = [worker for worker in readers if size - (worker.pool_size or 0) >= desired]
    if len(readers) < 2 or not small:
        return None
    idlest = min(small, key=lambda worker: (worker.active_count or 0, worker.name))
    return Act(
        size - (idlest.pool_size or 0),
        "worker.drain",
        idlest.name,
        {},
        f"Drain {idlest.name}: it ends its work, then stops",
    )


def _idle(worker: WorkerSeen) -> int:
    return (worker.pool_size or 0) - (worker.active_count or 0)
