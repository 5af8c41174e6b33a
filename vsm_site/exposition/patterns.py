"""How the event patterns of each system do: by name, which people chose and which are few."""

from __future__ import annotations

from collections.abc import Iterator

from subsystems.s4_intelligence.models import Pattern
from subsystems.s4_intelligence.patterns.queries import statistics
from subsystems.telemetry.families import Family, counter, gauge
from vsm_site.exposition.scope import MAX_LABELLED, Scope

LEVELS = {None: 0, "watch": 1, "warn": 2, "act": 3}


def detected(scope: Scope) -> Iterator[Family]:
    """Yield how far each pattern at work has come now, how often it was detected, and what it heard."""
    rows = list(Pattern.objects.filter(system_id__in=scope.systems, enabled=True).order_by("pk")[:MAX_LABELLED])
    known = statistics(rows, now=scope.moment)
    labels = ("system", "pattern")
    level = gauge("vsm_system4_pattern_level", "How far it has come: 0 quiet, 1 watch, 2 warn, 3 detected.", *labels)
    day = gauge("vsm_system4_pattern_detections", "Detections of the last 24 hours.", *labels)
    precision = gauge("vsm_system4_pattern_confirmed_ratio", "Confirmed of those that people judged.", *labels)
    heard = counter("vsm_system4_pattern_events", "Events heard that met a condition of it.", *labels)
    lost = counter("vsm_system4_pattern_events_lost", "Events that came too late, and keys given up.", *labels)
    for row in rows:
        found, about = known[row.pk], (scope.systems[row.system_id], row.name)
        if found["heard"]:  # one that heard nothing knows nothing
            level.add(LEVELS[found["level"]], *about)
        day.add(found["detections_24h"], *about)
        precision.add(found["precision"], *about)
        heard.add(found["heard"], *about)
        lost.add(found["late"] + found["evicted"], *about)
    yield from (level, day, precision, heard, lost)
