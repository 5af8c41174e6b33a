"""Which act fits what hurts: from what was seen of a queue and its workers to one act and the effect it should have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from subsystems.fleets.flow import Flow
from subsystems.fleets.snapshots import QueueSeen, WorkerSeen
from subsystems.s3_control.launching.sizes import Supply

GROWING_POOLS = {"prefork", "gevent", "eventlet"}  # as their modules are called; threads and solo cannot grow
MOST_GROWTH = 8  # processes at a time
SPARE = 1.25  # capacity over what arrives: with just enough a backlog never ends
HALF = 0.5  # of the backlog is expected to be gone where no rate is known


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one queue: as last seen, with the workers of its fleet that answered lately."""

    queue: QueueSeen
    workers: Sequence[WorkerSeen]
    flow: Flow
    paused: bool
    settle_seconds: float
    supplies: Sequence[Supply] = ()  # what can start workers of its fleet


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What to do, why, and how many messages should wait after it had time to show. Without a *kind* people do it."""

    title: str
    reason: str
    expected: float
    kind: str = ""
    target: str = ""
    parameters: Mapping[str, Any] | None = None


def for_queue(facts: Facts) -> Suggestion | None:
    """Return what would relieve a queue; None where nothing waits, or nobody knows whether anything does."""
    ready, name = facts.queue.ready, facts.queue.name
    if not ready:
        return None
    waiting = f"{ready:,.0f} messages wait in {name}"
    if facts.paused:
        return Suggestion(f"Resume {name}", f"{waiting}, which is paused.", ready * HALF, "queue.resume", name, {})
    readers = [worker for worker in facts.workers if name in worker.queues]
    if not readers:
        return _reader(facts, waiting)
    growing = [worker for worker in readers if worker.pool in GROWING_POOLS and worker.pool_size]
    if not growing:
        reason = f"{waiting}. The pools of its {len(readers)} readers cannot grow: only more workers help."
        size = sum(worker.pool_size or 0 for worker in readers)
        if (found := _start(facts, growth(facts.flow, size), reason)) is not None:
            return found
        return Suggestion(f"Start more workers for {name}", reason, ready * HALF)
    return _growth(facts, readers, min(growing, key=lambda worker: (worker.pool_size or 0, worker.name)), waiting)


def _reader(facts: Facts, waiting: str) -> Suggestion | None:
    """Let the idlest worker that says what it does read the queue, too."""
    known = [worker for worker in facts.workers if worker.active_count is not None]
    name = facts.queue.name
    if (found := _start(facts, 1, f"{waiting}, and nobody reads it.")) is not None:
        return found
    if not known:
        return Suggestion(f"Start a worker for {name}", f"{waiting}, and nobody reads it.", _half(facts))
    idlest = min(known, key=lambda worker: ((worker.active_count or 0) + (worker.reserved_count or 0), worker.name))
    reason = f"{waiting}, and nobody reads it. {idlest.name} has the least to do of {len(known)} workers."
    title = f"Let {idlest.name} read {name}"
    return Suggestion(title, reason, _half(facts), "worker.add_consumer", idlest.name, {"queue": name})


def _start(facts: Facts, slots: int, reason: str) -> Suggestion | None:
    """Let a launcher whose workers read the queue start some; None where there is none, or it may start no more."""
    name = facts.queue.name
    fitting = [each for each in facts.supplies if name in each.queues and each.started(slots)]
    if not fitting:
        return None
    chosen = max(fitting, key=lambda each: (each.most - each.running, each.name))
    count = chosen.started(slots)
    title = f"Start {count} {'worker' if count == 1 else 'workers'} of {chosen.name} for {name}"
    return Suggestion(title, reason, _half(facts), "worker.start", chosen.name, {"workers": count})


def _growth(facts: Facts, readers: Sequence[WorkerSeen], chosen: WorkerSeen, waiting: str) -> Suggestion:
    name, size = facts.queue.name, sum(worker.pool_size or 0 for worker in readers)
    by = growth(facts.flow, size)
    expected = depth_after(facts, size, by)
    rates = _rates(facts.flow)
    reason = f"{waiting}; {len(readers)} workers read it with {size} processes{rates}."
    return Suggestion(
        f"Grow {chosen.name} by {by} for {name}", reason, expected, "worker.grow", chosen.name, {"by": by}
    )


def growth(flow: Flow, size: int) -> int:
    """Return how many processes more keep up with what arrives, with some to spare; half as many where nobody knows."""
    if flow.rate_in is None or not flow.rate_out or size <= 0:
        return max(1, min(MOST_GROWTH, math.ceil(size / 2)))
    each = flow.rate_out / size
    return max(1, min(MOST_GROWTH, math.ceil(flow.rate_in * SPARE / each) - size))


def depth_after(facts: Facts, size: int, by: int) -> float:
    """Return how many messages should wait when the growth had time to show: by the rates, else half as many."""
    ready, flow = facts.queue.ready or 0.0, facts.flow
    if flow.rate_in is None or not flow.rate_out or size <= 0:
        return ready * HALF
    rate = flow.rate_in - flow.rate_out * (size + by) / size
    return max(0.0, ready + rate * facts.settle_seconds) if rate < 0 else ready * HALF


def _half(facts: Facts) -> float:
    return (facts.queue.ready or 0.0) * HALF


def _rates(flow: Flow) -> str:
    if flow.rate_in is None or flow.rate_out is None:
        return ""
    return f"; {flow.rate_in:.2f} arrive and {flow.rate_out:.2f} leave in a second"
