"""What is shared, held and used of each resource that units bargain about."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from django.db.models import Count

from subsystems.s3_control.bargaining.queries import pools_now
from subsystems.s3_control.models import Bargain, ResourcePool
from subsystems.telemetry.families import Family, gauge
from vsm_site.exposition.scope import MAX_LABELLED, Scope

PLACE = ("system", "resource", "kind")
FRESH_SECONDS = 60.0  # a pool that was not looked at for longer is absent


def bargained(scope: Scope) -> Iterator[Family]:
    """Yield gauges of pools, of each system as many as may be labelled, and how many bargains there are by state."""
    pools = ResourcePool.objects.filter(system_id__in=scope.systems, enabled=True).order_by("system_id", "pk")
    shown = [row for _, rows in groupby(pools, lambda row: row.system_id) for row in list(rows)[:MAX_LABELLED]]
    capacity = gauge("vsm_system3_resource_capacity", "What there is to give away, in the resource's unit.", *PLACE)
    allocated = gauge("vsm_system3_resource_allocated", "What units hold of it.", *PLACE)
    used = gauge("vsm_system3_resource_used", "What they were last seen to use of it.", *PLACE)
    efficient = gauge("vsm_system3_resource_efficiency", "1 - sum|allocated - used| / sum allocated.", *PLACE)
    for now in pools_now(shown):
        row = now.pool
        if row.looked_at is None or (scope.moment - row.looked_at).total_seconds() > FRESH_SECONDS:
            continue
        place = (scope.systems[row.system_id], row.name, row.kind)
        known = [each.unit.used for each in now.units if each.unit.used is not None]
        capacity.add(row.capacity, *place)
        allocated.add(now.allocated, *place)
        used.add(sum(known) if known else None, *place)
        efficient.add(now.efficiency, *place)
    yield from (capacity, allocated, used, efficient)
    states = gauge("vsm_system3_bargains", "Requests that are open, offered or in force.", "system", "state")
    alive = Bargain.objects.filter(system_id__in=scope.systems, state__in=Bargain.ALIVE).order_by()
    for system_id, state, n in alive.values_list("system_id", "state").annotate(n=Count("pk")):
        states.add(n, scope.systems[system_id], state)
    yield states
