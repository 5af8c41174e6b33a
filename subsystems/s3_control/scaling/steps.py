"""From a size to the one act that goes towards it: the pool where pools can grow, else whole workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from subsystems.fleets.snapshots import WorkerSeen
from subsystems.s3_control.launching.sizes import Supply
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


def step(
    readers: Sequence[WorkerSeen], size: int, desired: int, queue: str, supply: Supply | None = None, *,
    whole: bool = False,
) -> Act | None:  # fmt: skip
    """Return the act that brings readers from *size* nearer to *desired*; None where nothing can be done.

    Pools first; with *whole*, or where no pool can, workers of *supply*.
    """
    pools = [] if whole else [worker for worker in readers if worker.pool in GROWING_POOLS]
    if desired > size:
        return _more(pools, size, desired, queue, supply)
    return _fewer(readers, pools, size, desired, supply) if desired < size else None


def _more(pools: Sequence[WorkerSeen], size: int, desired: int, queue: str, supply: Supply | None) -> Act:
    if pools:
        chosen = min(pools, key=lambda worker: (worker.pool_size or 0, worker.name))
        by = desired - size
        return Act(desired, "worker.grow", chosen.name, {"by": by}, f"Grow {chosen.name} by {by}")
    count = 0 if supply is None else supply.started(desired - size)
    if supply is None or not count:
        why = f"no pool that reads {queue} can grow" if supply is None else f"{supply.name} has its most workers"
        return Act(desired, words=f"Start workers with {desired - size} slots: {why}.")
    words = f"Start {count} {_noun(count)} of {supply.name}"
    return Act(size + count * supply.slots, "worker.start", supply.name, {"workers": count}, words)


def _fewer(
    readers: Sequence[WorkerSeen], pools: Sequence[WorkerSeen], size: int, desired: int, supply: Supply | None
) -> Act | None:
    """Shrink the idlest pool that stays alive; where no pool can, stop workers of *supply*, or drain the idlest."""
    pools = [worker for worker in pools if (worker.pool_size or 0) > 1]
    if pools:
        chosen = max(pools, key=lambda worker: (_idle(worker), worker.name))
        by = min(size - desired, max(1, _idle(chosen)), (chosen.pool_size or 1) - 1)
        return Act(size - by, "worker.shrink", chosen.name, {"by": by}, f"Shrink {chosen.name} by {by}")
    if supply is not None and supply.running:
        return _stopped(supply, size, desired)
    small = [worker for worker in readers if size - (worker.pool_size or 0) >= desired]
    if len(readers) < 2 or not small:
        return None
    idlest = min(small, key=lambda worker: (worker.active_count or 0, worker.name))
    words = f"Drain {idlest.name}: it ends its work, then stops"
    return Act(size - (idlest.pool_size or 0), "worker.drain", idlest.name, {}, words)


def _stopped(supply: Supply, size: int, desired: int) -> Act | None:
    count = supply.stopped(size - desired)
    words = f"Stop the idlest {count} {_noun(count)} of {supply.name}, when they have no work left"
    return Act(size - count * supply.slots, "worker.stop", supply.name, {"workers": count}, words) if count else None


def _noun(count: int) -> str:
    return "worker" if count == 1 else "workers"


def _idle(worker: WorkerSeen) -> int:
    return (worker.pool_size or 0) - (worker.active_count or 0)
