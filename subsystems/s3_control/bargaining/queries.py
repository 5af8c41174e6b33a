"""Pools and bargains as people and programs read them, and what the scores take of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Prefetch, QuerySet

from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from subsystems.s3_control.bargaining.models import Allocation, Bargain, PoolUnit, ResourcePool
from subsystems.s3_control.bargaining.offering import efficiency

POOL_FIELDS = ("kind", "by", "limit", "strategy", "mode", "offer_seconds", "enabled")
UNIT_FIELDS = ("weight", "guarantee", "ceiling", "accept_from", "automatic")
RECENT = timedelta(minutes=5)
FRESH = timedelta(seconds=60)


@dataclass(frozen=True)
class UnitNow:
    """One unit of a pool: its terms, what it asks for, is offered, holds and uses."""

    unit: PoolUnit
    allocation: Allocation | None
    asking: Bargain | None
    bargain: Bargain | None  # by which it holds what it holds

    @property
    def held(self) -> float:
        return self.allocation.amount if self.allocation else 0.0

    @property
    def offered(self) -> float | None:
        row = self.asking or self.bargain
        return row.offered if row else None


@dataclass(frozen=True)
class PoolNow:
    """A pool with its units; *used* and *efficiency* are of what is held and was measured lately."""

    pool: ResourcePool
    units: list[UnitNow] = field(default_factory=list)

    @property
    def allocated(self) -> float:
        return sum(each.held for each in self.units)

    @property
    def over(self) -> bool:
        """Return whether more is held than there is: the pool has shrunk, and notices are under way."""
        return self.pool.capacity is not None and self.allocated > self.pool.capacity + 1e-6

    @property
    def efficiency(self) -> float | None:
        known = [each for each in self.units if each.held and each.unit.used is not None]
        gap = sum(abs(each.held - (each.unit.used or 0.0)) for each in known)
        return efficiency(sum(each.held for each in known), gap)


def pools_now(pools: Iterable[ResourcePool]) -> list[PoolNow]:
    """Return pools with their units; three queries, however many there are."""
    found = {pool.pk: PoolNow(pool) for pool in pools}
    held = {row.unit_id: row for row in Allocation.objects.filter(pool__in=found, ended_at=None)}
    rows = list(Bargain.objects.filter(pool__in=found, state__in=Bargain.ALIVE))
    asking = {row.unit_id: row for row in rows if row.is_asking}
    current = {row.unit_id: row for row in rows if not row.is_asking}
    for unit in PoolUnit.objects.filter(pool__in=found).select_related("system"):
        now = UnitNow(unit, held.get(unit.pk), asking.get(unit.pk), current.get(unit.pk))
        found[unit.pool_id].units.append(now)
    return list(found.values())


def pool_body(now: PoolNow) -> dict[str, Any]:
    """Return a pool as JSON."""
    pool = now.pool
    return {
        "id": pool.pk, "system": pool.system.slug, "name": pool.name, "fleet": pool.fleet.name if pool.fleet else None,
        **{name: getattr(pool, name) for name in POOL_FIELDS},
        "capacity": pool.capacity, "allocated": now.allocated, "efficiency": now.efficiency, "why": pool.why,
        "adapted": pool.adapted, "looked_at": moment_text(pool.looked_at),
        "units": [unit_body(each) for each in now.units],
    }  # fmt: skip


def unit_body(now: UnitNow) -> dict[str, Any]:
    """Return a unit of a pool as JSON."""
    unit = now.unit
    return {
        "name": unit.name, "system": unit.system.slug, **{name: getattr(unit, name) for name in UNIT_FIELDS},
        "held": now.held, "offered": now.offered, "used": unit.used, "performance": unit.performance,
        "measured_at": moment_text(unit.measured_at),
    }  # fmt: skip


def bargains() -> QuerySet[Bargain]:
    """Return every bargain with what its body needs."""
    history = Prefetch("allocations", queryset=Allocation.objects.order_by("since", "pk"))
    return Bargain.objects.select_related("pool", "unit", "system").prefetch_related(history)


def bargain_body(row: Bargain) -> dict[str, Any]:
    """Return a bargain as JSON."""
    return {
        "id": str(row.pk), "system": row.system.slug, "resource": row.pool.name, "unit": row.unit.name,
        "amount": row.wanted, "priority": row.priority, "reason": row.reason, "origin": row.origin,
        "asked_by": row.asked_by, "asked_at": moment_text(row.asked_at), "deadline": moment_text(row.deadline),
        "state": row.state, "why": row.why, "strategy": row.strategy, "message": row.message_id,
        "offer": _offer_body(row), "answered_by": row.answered_by, "answered_at": moment_text(row.answered_at),
        "ended_at": moment_text(row.ended_at),
        "allocations": [_allocation_body(each) for each in row.allocations.all()],
    }  # fmt: skip


def _offer_body(row: Bargain) -> dict[str, Any] | None:
    if row.offered is None:
        return None
    return {
        "number": row.offer_number, "amount": row.offered, "until": moment_text(row.offer_until),
        "notice": row.is_notice, "heard_at": moment_text(row.heard_at),
    }  # fmt: skip


def _allocation_body(row: Allocation) -> dict[str, Any]:
    return {
        "amount": row.amount, "strategy": row.strategy, "imposed": row.imposed, "since": moment_text(row.since),
        "ended_at": moment_text(row.ended_at), "mean_used": row.mean_used, "efficiency": row.efficiency,
        "measured_seconds": round(row.measured_seconds, 3),
    }  # fmt: skip


def used_of_held(system: System, *, now: datetime) -> Mapping[str, tuple[float, float]]:
    """Return by pool of a system how much is held, and by how much what is used differs from it, of what is measured.

    What was not measured within the last minute is left out. One query.
    """
    rows = Allocation.objects.filter(
        pool__system=system, pool__enabled=True, ended_at=None, unit__measured_at__gte=now - FRESH, amount__gt=0
    )
    found: dict[str, tuple[float, float]] = {}
    for name, amount, used in rows.order_by("pool__name", "pk").values_list("pool__name", "amount", "unit__used"):
        held, gap = found.get(name, (0.0, 0.0))
        found[name] = held + amount, gap + abs(amount - (used or 0.0))
    return found


def changes(system: System, *, since: datetime) -> tuple[int, int]:
    """Return how many allocations came into force, and how many of them were imposed by a notice."""
    imposed = Allocation.objects.filter(system=system, since__gte=since).values_list("imposed", flat=True)
    told = list(imposed)
    return len(told), sum(told)
