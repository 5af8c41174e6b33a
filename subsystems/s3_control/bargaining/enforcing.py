"""Messages a second that are held are all that may be said: the rate limiter is told, and told again by the clock."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Min

from subsystems.messaging import limits
from subsystems.s3_control.bargaining.models import Allocation, PoolUnit, ResourcePool


def enforce(systems: Iterable[int]) -> None:
    """Hold each of *systems* to what it holds; what shares several pools, to the least. Without any it is let go."""
    wanted = sorted(set(systems))  # in one order: two pools at once wait for each other, and no more
    held = Allocation.objects.filter(
        system__in=wanted, ended_at=None, pool__kind=ResourcePool.Kind.MESSAGE_RATE, pool__enabled=True
    )
    least = dict(held.order_by().values_list("system_id").annotate(least=Min("amount")))
    limits.hold_to({system_id: least.get(system_id) for system_id in wanted})


def enforce_pool(pool: ResourcePool) -> None:
    """Hold everybody who shares a pool of messages to what is held."""
    if pool.kind == ResourcePool.Kind.MESSAGE_RATE:
        enforce(PoolUnit.objects.filter(pool=pool).values_list("system_id", flat=True))


def enforce_all() -> None:
    """Make good what was missed: everybody who is held to something, or holds something, is held to what it holds."""
    sharing = PoolUnit.objects.filter(pool__kind=ResourcePool.Kind.MESSAGE_RATE)
    systems = limits.bargained() | set(sharing.values_list("system_id", flat=True))
    if systems:
        enforce(systems)
