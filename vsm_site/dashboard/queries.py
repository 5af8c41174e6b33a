"""What the pages show, read in a constant number of queries however many units there are."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

from django.db.models import F
from django.db.models.functions import Mod
from django.utils import timezone

from alerts.queries import alert_body, open_alerts
from subsystems.health.models import Assessment
from subsystems.health.queries import viability_body
from subsystems.kernel.errors import TransientError
from subsystems.kernel.slots import slot_time
from subsystems.messaging import live
from subsystems.recursion.models import System
from subsystems.s1_operations.models import CollectionCycle, Fleet, Unit
from subsystems.s1_operations.queries import fleet_body, unit_body
from subsystems.telemetry.models import Series
from subsystems.telemetry.queries import latest, sparklines
from subsystems.variety.models import Reading
from vsm_site.dashboard.key_metrics import key_metric
from vsm_site.dashboard.nerve_queries import open_signals

logger = logging.getLogger(__name__)
HISTORY_POINTS = 720
LISTED_METRICS = 500
VARIETIES = ("environment", "operation", "management")


def numbered_snapshot(system: System) -> tuple[int, dict[str, Any]]:
    """Return the snapshot and the number of the last change it surely holds: read first, so none is missed."""
    number = live.current_number(system.pk)
    return number, snapshot(system)


def snapshot(system: System) -> dict[str, Any]:
    """Return all that the overview shows of *system*."""
    now_values = _latest_values(system)
    units = watched_units(system)
    return {
        "now": time.time(),
        "system": {"id": system.pk, "slug": system.slug, "name": system.name},
        "viability": viability_body(system),
        "units": [{**unit_body(unit), "latest": now_values.get(unit.name, {})} for unit in units],
        "alerts": [alert_body(alert) for alert in open_alerts(system)],
        "signals": open_signals(system),
        "fleets": [fleet_body(fleet) for fleet in Fleet.objects.filter(system=system)],
        "tick": last_tick(),
    }


def _latest_values(system: System) -> dict[str, dict[str, tuple[float, float]]]:
    """Return the newest values, or none while the hot tier is away: the rest is still worth showing."""
    try:
        return latest(system.pk)
    except TransientError as error:
        logger.warning("The snapshot has no values: %s", error)
        return {}


def watched_units(system: System) -> list[Unit]:
    """Return the units of *system* that have not left for good."""
    return list(Unit.objects.filter(system=system).exclude(state=Unit.State.GONE).select_related("fleet"))


def last_tick() -> dict[str, Any] | None:
    """Return the newest collection cycle that came to its end, as the live `tick` change says it."""
    cycle = CollectionCycle.objects.exclude(duration_ms=None).first()
    if cycle is None:
        return None
    return {
        "slot": cycle.slot,
        "at": cycle.started_at.isoformat(),
        "duration_ms": cycle.duration_ms,
        "unit_count": cycle.unit_count,
        "answered_count": cycle.answered_count,
    }


def unit_sparklines(system: System, unit_ids: list[int]) -> dict[str, dict[str, Any]]:
    """Return for each unit (by id as text) its key metric and the points of the last 15 minutes."""
    units = list(Unit.objects.filter(system=system, pk__in=unit_ids))
    now_values = latest(system.pk, sources=[unit.name for unit in units])
    wanted = {unit.pk: (unit.name, key_metric(unit.kind, now_values.get(unit.name, {}))) for unit in units}
    lines = sparklines(system.pk, [pair for pair in wanted.values() if pair[1]])
    return {
        str(pk): {"metric": metric, "points": lines.get(source, {}).get(metric, [])}
        for pk, (source, metric) in wanted.items()
    }


def unit_metrics(unit: Unit) -> list[str]:
    """Return the names of all metrics that *unit* has ever sent."""
    names = Series.objects.filter(system_id=unit.system_id, source=unit.name).order_by("metric")
    return list(names.values_list("metric", flat=True).distinct())


def known_metrics(system: System) -> list[str]:
    """Return the metric names of *system*, to be suggested while a rule is written."""
    names = Series.objects.filter(system=system).order_by("metric")
    return list(names.values_list("metric", flat=True).distinct()[:LISTED_METRICS])


def history(system: System, subsystem: str, seconds: int) -> dict[str, list[float | None]]:
    """Return the scores of *subsystem* (or of the whole system for an empty one) over the last *seconds*."""
    step = max(30, seconds // HISTORY_POINTS // 30 * 30)
    since = (timezone.now() - timedelta(seconds=seconds)).timestamp()
    rows = Assessment.objects.filter(system=system, slot__gte=since).annotate(rest=Mod(F("slot"), step)).filter(rest=0)
    field = f"subsystems__{subsystem}__score" if subsystem else "score"
    pairs = list(rows.order_by("slot").values_list("slot", field))
    return {"at": [slot_time(slot).timestamp() for slot, _ in pairs], "score": [score for _, score in pairs]}


def variety_history(system: System, seconds: int) -> dict[str, list[float | None]]:
    """Return the three varieties of *system* over the last *seconds*, in columns."""
    step = max(30, seconds // HISTORY_POINTS // 30 * 30)
    rows = Reading.objects.filter(system=system, at__gte=time.time() - seconds)
    kept = rows.annotate(rest=Mod(F("slot"), step)).filter(rest=0).order_by("slot").values_list("at", "figures")
    found = list(kept)
    lines = {name: [figures[name] for _, figures in found] for name in VARIETIES}
    return {"at": [at for at, _ in found], **lines}
