"""Celery workers and queues: two kinds of units, one round of questions per fleet.

Workers and queues that nobody entered appear by themselves: their readings carry a name instead of a unit's id.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import psutil
from pydantic import BaseModel, Field

from subsystems.kernel.health import limit_health
from subsystems.s1_operations.adapters import base
from subsystems.s1_operations.adapters.celery_link import FleetRound, link_of

ROUND_TIMEOUT_SECONDS = 2.5  # connecting, asking and measuring queues; inside the cycle's 3 s
# A default prefetch of 4 and the task that runs make 5 per slot of the pool: more is a backlog held back from others.
BACKLOG = {"soft": 5.0, "hard": 20.0}
# One worker with half of the machine's memory leaves little to grow; near all of it the kernel kills.
WORKER_MEMORY = {"soft": 0.5, "hard": 0.9}
QUEUE_SOFT, QUEUE_HARD = 1_000.0, 10_000.0  # waiting messages; each queue may have its own


class WorkerConfig(base.Config):
    pass


class QueueConfig(base.Config):
    soft_limit: float = Field(QUEUE_SOFT, ge=0)
    hard_limit: float = Field(QUEUE_HARD, gt=0)


class WorkerAdapter:
    kind: ClassVar[str] = "celery_worker"
    title: ClassVar[str] = "Celery worker"
    Config: ClassVar[type[BaseModel]] = WorkerConfig

    async def collect(self, units: Sequence[base.UnitRef], context: base.Context) -> list[base.Reading]:
        rounds = await rounds_of(context)
        known = {(unit.fleet_id, unit.name): unit for unit in units}
        readings = [
            _worker_reading(fleet, name, answers, known, context)
            for fleet, found in rounds
            for name, answers in found.workers.items()
            if "stats" in answers
        ]
        heard = {reading.unit_id for reading in readings}
        errors = {fleet.id: found.error for fleet, found in rounds}
        # A worker that is silent already needs no row per cycle to say so.
        missing = [unit for unit in units if unit.active and unit.id not in heard and unit.fleet_id in errors]
        return readings + [_unheard(unit, errors[unit.fleet_id or 0]) for unit in missing]


class QueueAdapter:
    kind: ClassVar[str] = "celery_queue"
    title: ClassVar[str] = "Celery queue"
    Config: ClassVar[type[BaseModel]] = QueueConfig

    async def collect(self, units: Sequence[base.UnitRef], context: base.Context) -> list[base.Reading]:
        rounds = await rounds_of(context)
        known = {(unit.fleet_id, unit.name): unit for unit in units}
        readings = [
            _queue_reading(fleet, name, metrics, known)
            for fleet, found in rounds
            for name, metrics in found.queues.items()
        ]
        heard = {reading.unit_id for reading in readings}
        fleets = {fleet.id: (fleet, found) for fleet, found in rounds}
        missing = [unit for unit in units if unit.active and unit.id not in heard and unit.fleet_id in fleets]
        return readings + [_unheard(unit, _queue_error(unit, *fleets[unit.fleet_id or 0])) for unit in missing]


async def rounds_of(context: base.Context) -> list[tuple[base.FleetRef, FleetRound]]:
    """Return the round of each fleet; the two kinds share it, whoever asks first."""
    for fleet in context.fleets:
        if f"fleet:{fleet.id}" not in context.shared:
            context.shared[f"fleet:{fleet.id}"] = asyncio.ensure_future(_round(fleet, context))
    found = await asyncio.gather(*(context.shared[f"fleet:{fleet.id}"] for fleet in context.fleets))
    return list(zip(context.fleets, found, strict=True))


async def _round(fleet: base.FleetRef, context: base.Context) -> FleetRound:
    try:
        async with asyncio.timeout(ROUND_TIMEOUT_SECONDS):
            return await context.in_thread(lambda: link_of(fleet).round(fleet))
    except TimeoutError:
        return FleetRound(error=f"the broker did not answer within {ROUND_TIMEOUT_SECONDS:g} s")


def _worker_reading(
    fleet: base.FleetRef,
    name: str,
    answers: Mapping[str, Any],
    known: Mapping[tuple[int | None, str], base.UnitRef],
    context: base.Context,
) -> base.Reading:
    full_name = f"{fleet.name}/{name}"
    unit = known.get((fleet.id, full_name))
    metrics = worker_metrics(answers)
    rss = local_memory(name, answers["stats"], context.now)
    if rss is not None:
        metrics["memory_bytes"] = rss
    parts = worker_parts(
        metrics,
        memory_ratio=None if rss is None else rss / psutil.virtual_memory().total,
        task_ratio=context.task_ratios.get(full_name),
    )
    return base.Reading(unit.id if unit else None, metrics, parts=parts, name=full_name, fleet_id=fleet.id)


def worker_metrics(answers: Mapping[str, Any]) -> dict[str, float]:
    """Return what a worker's answers say; what it did not answer is absent."""
    stats = answers["stats"]
    metrics = {"worker_up": 1.0}
    pool = (stats.get("pool") or {}).get("max-concurrency")
    if isinstance(pool, int):
        metrics["pool_size"] = float(pool)
    if isinstance(stats.get("total"), dict):
        metrics["processed_total"] = float(sum(stats["total"].values()))
    peak = (stats.get("rusage") or {}).get("maxrss") if isinstance(stats.get("rusage"), dict) else None
    if peak:
        metrics["memory_bytes"] = (
            float(peak) * 1024
        )  # the peak of the main process, in kB on Linux: all a remote one tells
    metrics.update(
        {question: float(len(answers[question])) for question in ("active", "reserved") if question in answers}
    )
    return metrics


def worker_parts(
    metrics: Mapping[str, float], *, memory_ratio: float | None, task_ratio: float | None
) -> dict[str, float | None]:
    """Return memory, queue and task health (002-24); with no task run lately, task health is 1.0 (2-32)."""
    waiting = None
    if "pool_size" in metrics and "active" in metrics and "reserved" in metrics:
        waiting = (metrics["active"] + metrics["reserved"]) / max(metrics["pool_size"], 1.0)
    return {
        "memory": limit_health(memory_ratio, **WORKER_MEMORY),
        "queue": limit_health(waiting, **BACKLOG),
        "task": 1.0 if task_ratio is None else task_ratio,
    }


def local_memory(node: str, stats: Mapping[str, Any], now: float) -> float | None:
    """Return the resident memory of a worker on this machine, pool included; None for one elsewhere."""
    pid, uptime = stats.get("pid"), stats.get("uptime")
    if (
        node.rpartition("@")[2] != socket.gethostname()
        or not isinstance(pid, int)
        or not isinstance(uptime, (int, float))
    ):
        return None
    pool = (stats.get("pool") or {}).get("processes") or ()
    try:
        process = psutil.Process(pid)
        if process.create_time() > now - uptime + 5:
            return None  # a younger process with the same number, in another container perhaps
        children = [
            psutil.Process(child) for child in pool if isinstance(child, int) and child not in (pid, os.getpid())
        ]
        return float(process.memory_info().rss + sum(child.memory_info().rss for child in children))
    except psutil.Error:
        return None


def _queue_reading(
    fleet: base.FleetRef, name: str, metrics: dict[str, float], known: Mapping[tuple[int | None, str], base.UnitRef]
) -> base.Reading:
    full_name = f"{fleet.name}/{name}"
    unit = known.get((fleet.id, full_name))
    config = QueueConfig.model_validate(dict(unit.config) if unit else {})
    return base.Reading(
        unit.id if unit else None, metrics, parts=queue_parts(metrics, config), name=full_name, fleet_id=fleet.id
    )


def queue_parts(metrics: Mapping[str, float], config: QueueConfig) -> dict[str, float | None]:
    """Return how well a queue is: is its backlog bearable, and does anybody work on what waits."""
    ready, consumers = metrics.get("ready"), metrics.get("consumers")
    served: float | None = None
    if consumers is not None and (consumers > 0 or ready):
        served = 1.0 if consumers > 0 else 0.0
    hard = max(config.hard_limit, config.soft_limit + 1)
    return {"queue": limit_health(ready, soft=config.soft_limit, hard=hard), "consumers": served}


def _queue_error(unit: base.UnitRef, fleet: base.FleetRef, found: FleetRound) -> str:
    return found.error or found.queue_errors.get(unit.name.removeprefix(f"{fleet.name}/"), "")


def _unheard(unit: base.UnitRef, error: str) -> base.Reading:
    return base.Reading(unit.id, error=error or f"no answer within {base.UNIT_TIMEOUT_SECONDS:g} s", heard=False)
