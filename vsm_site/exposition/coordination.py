"""How each system is coordinated, as S2 last measured it."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count

from subsystems.s2_coordination.monitor.models import CoordinationFinding
from subsystems.s2_coordination.monitor.queries import latest
from subsystems.telemetry.families import Family, gauge
from vsm_site.exposition.scope import Scope

FIGURES = {
    "lag_seconds": ("vsm_system2_message_lag_seconds", "From sender to receiver, mean of the last hour."),
    "unanswered": ("vsm_system2_unanswered", "Questions of the last hour that got no answer in time."),
    "allocations": ("vsm_system2_allocations", "Acts asked for in the last hour."),
    "conflicts": ("vsm_system2_conflicts", "Those that another writer stood in the way of."),
    "fairness_tasks": ("vsm_system2_fairness", "Jain's index of tasks got over fair share, where a broker is shared."),
}


def coordinated(scope: Scope) -> Iterator[Family]:
    """Yield the figures of the last minute that was measured (requirements 3.7), and how much is open.

    The efficiency is a score of its card and shown with the others.
    """
    readings = latest(scope.systems, now=scope.moment)
    for key, (name, text) in FIGURES.items():
        family = gauge(name, text, "system")
        for system_id, reading in readings.items():
            family.add(reading.body.get(key), scope.systems[system_id])
        yield family
    found = gauge("vsm_system2_findings_open", "What swings or is in something's way now.", "system", "kind")
    rows = CoordinationFinding.objects.filter(system_id__in=scope.systems, ended_at=None).order_by()
    for system_id, kind, n in rows.values_list("system_id", "kind").annotate(n=Count("pk")):
        found.add(n, scope.systems[system_id], kind)
    yield found
