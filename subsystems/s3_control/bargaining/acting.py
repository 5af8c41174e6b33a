"""From what is held to what is there: each allocation that differs from it becomes advice on the one road of advice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from subsystems.s3_control import recommending
from subsystems.s3_control.bargaining.gathering import Seen, UnitSeen, subject
from subsystems.s3_control.bargaining.models import Allocation, ResourcePool
from subsystems.s3_control.launching.queries import supplies
from subsystems.s3_control.models import StandingOrder
from subsystems.s3_control.scaling import steps
from subsystems.s3_control.scaling.models import ScalingPolicy

AUTHOR = "resource bargain"
SETTLE_SECONDS = 60.0
CLOSE = 0.01  # of a rate: less is no difference


def act(pool: ResourcePool, found: Seen, *, now: datetime) -> None:
    """Advise for each unit what brings it to what it holds. What was not measured now is no ground for anything."""
    if found.why or found.at is None:
        return
    held = {row.unit.name: row for row in Allocation.objects.filter(pool=pool, ended_at=None).select_related("unit")}
    for name, unit in found.units.items():
        way = WAYS.get(pool.kind)
        wanted = None if way is None else way(pool, name, unit, held.get(name))
        row = recommending.keep_advice(
            system_id=pool.system_id, subject=subject(pool, name), author=AUTHOR, fleet=pool.fleet, wanted=wanted,
            measured_at=datetime.fromtimestamp(found.at, UTC), by_itself=pool.mode == ResourcePool.Mode.AUTO,
            settle_seconds=SETTLE_SECONDS, now=now,
        )  # fmt: skip
        if row is not None and row.by_itself:
            recommending.approve_by_itself(row, now=now)


def _slots(pool: ResourcePool, name: str, unit: UnitSeen, held: Allocation | None) -> recommending.Advice | None:
    """Grow or shrink the pools of a unit's workers. A queue that is scaled is brought there by the auto-scaler."""
    if held is None or unit.size is None or int(unit.size) == int(held.amount):
        return None
    if ScalingPolicy.objects.filter(fleet=pool.fleet_id, queue=name, enabled=True).exists():
        return None
    supply = None
    if pool.fleet is not None and pool.by == ResourcePool.By.QUEUE:
        told = supplies(pool.fleet, [worker.name for worker in unit.readers])
        supply = next((each for each in told if name in each.queues), None)
    found = steps.step(list(unit.readers), int(unit.size), int(held.amount), name, supply)
    if found is None:
        return None
    effect = {"metric": "slots", "source": subject(pool, name), "from": unit.size, "to": found.after, "unit": "slots"}
    return recommending.Advice(
        title=found.words, reason=_reason(pool, held, f"{unit.size:g} slots are there"), effect=effect,
        act={"kind": found.kind, "target": found.target, "parameters": dict(found.parameters or {})}
        if found.kind
        else None,
        evidence=_evidence(pool, unit, held),
    )  # fmt: skip


def _rate(pool: ResourcePool, name: str, unit: UnitSeen, held: Allocation | None) -> recommending.Advice | None:
    """Limit a task across its fleet to what is held; end a limit that came from a bargain when nothing is held."""
    limit = unit.size or 0.0
    effect: dict[str, Any] = {"metric": "rate_limit", "source": subject(pool, name), "from": limit, "unit": "tasks/s"}
    if held is None:
        if not limit or not _is_ours(pool, name):
            return None
        return recommending.Advice(
            title=f"End the limit of {name}", reason="What was held was given back; 0 is no limit.",
            act={"kind": "task.end_fleet_rate_limit", "target": name}, effect={**effect, "to": 0.0},
            evidence={"pool": pool.name, "limit": limit},
        )  # fmt: skip
    if not held.amount or abs(limit - held.amount) <= CLOSE * held.amount:
        return None
    rate = f"{held.amount:.6g}/s"
    return recommending.Advice(
        title=f"Limit {name} to {rate}", reason=_reason(pool, held, f"the limit in force is {limit:g}/s, 0 is none"),
        act={"kind": "task.fleet_rate_limit", "target": name, "parameters": {"rate": rate}},
        effect={**effect, "to": held.amount}, evidence=_evidence(pool, unit, held),
    )  # fmt: skip


def _is_ours(pool: ResourcePool, task: str) -> bool:
    orders = StandingOrder.objects.filter(
        fleet=pool.fleet_id, kind=StandingOrder.Kind.RATE_LIMIT, key=task, ended_at=None
    )
    return orders.filter(action__recommendation__author=AUTHOR).exists()


def _reason(pool: ResourcePool, held: Allocation, there: str) -> str:
    return f"{held.unit} holds {held.amount:g} {pool.unit} of {pool.name} since {held.since:%H:%M} UTC; {there}."


def _evidence(pool: ResourcePool, unit: UnitSeen, held: Allocation) -> dict[str, Any]:
    return {
        "pool": pool.name, "capacity": pool.capacity, "allocation": held.pk, "bargain": str(held.bargain_id),
        "strategy": held.strategy, "there": unit.size, "used": unit.used, "performance": unit.performance,
    }  # fmt: skip


Way = Callable[[ResourcePool, str, UnitSeen, Allocation | None], recommending.Advice | None]
WAYS: dict[str, Way] = {ResourcePool.Kind.SLOTS: _slots, ResourcePool.Kind.TASK_RATE: _rate}
