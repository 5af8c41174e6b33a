"""What the pages show, read in a constant number of queries however many units there are."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from django.db.models import F
from django.db.models.functions import Mod
from django.utils import timezone

from alerts.queries import alert_body, alert_totals, most_urgent
from subsystems.health.models import Assessment
from subsystems.health.queries import viability_body
from subsystems.kernel.errors import TransientError
from subsystems.kernel.slots import slot_time
from subsystems.messaging import live
from subsystems.messaging.queries import channel_flow
from subsystems.recursion.models import System
from subsystems.s1_operations import folding
from subsystems.s1_operations.folding import Line, chosen
from subsystems.s1_operations.models import CollectionCycle, Fleet, Unit
from subsystems.s1_operations.queries import fleet_body, unit_body
from subsystems.telemetry.models import Series
from subsystems.telemetry.queries import latest, sparklines
from subsystems.variety.models import Reading
from vsm_site.dashboard.key_metrics import key_metric
from vsm_site.dashboard.live_view import View
from vsm_site.dashboard.nerve_queries import open_signals, signal_totals

logger = logging.getLogger(__name__)
HISTORY_POINTS = 720
LISTED_METRICS = 500
SHOWN_ALERTS = 200  # the most urgent; the page of alerts has all
DEPTHS = ["ready", "unacked"]
USUAL = View()
VARIETIES = ("environment", "operation", "management")


def numbered_snapshot(system: System, view: View = USUAL) -> tuple[int, dict[str, Any]]:
    """Return the snapshot and the number of the last change it surely holds: read first, so none is missed."""
    number = live.current_number(system.pk)
    return number, snapshot(system, view)


def snapshot(system: System, view: View = USUAL) -> dict[str, Any]:
    """Return what a page needs of *system*: units and alerts in sight, and how many there are of all."""
    lines = unit_lines(system)
    units, matching = units_in_sight(system, lines, view)
    now_values = _latest_values(system, [unit.name for unit in units])
    counts = totals(system, lines)
    return {
        "now": time.time(),
        "system": {"id": system.pk, "slug": system.slug, "name": system.name},
        "viability": viability_body(system),
        "units": [{**unit_body(unit), "latest": now_values.get(unit.name, {})} for unit in units],
        "view": {"units": len(units), "matching": matching, "cut": matching > len(units)},
        "alerts": [alert_body(alert) for alert in most_urgent(system, SHOWN_ALERTS)],
        "signals": open_signals(system),
        "fleets": [fleet_body(fleet) for fleet in Fleet.objects.filter(system=system)],
        "tick": last_tick(),
        "totals": {name: counts[name] for name in ("units", "alerts", "signals")},
        "channels": counts["channels"],
    }


def totals(system: System, lines: Sequence[Line] | None = None) -> dict[str, Any]:
    """Return how many units, open alerts and open signals *system* has, and what its channels carry."""
    return {
        "units": folding.totals(unit_lines(system) if lines is None else lines),
        "alerts": alert_totals(system),
        "signals": signal_totals(system),
        "channels": channel_flow(system.pk, now=timezone.now()),
    }


def unit_lines(system: System) -> list[Line]:
    """Return what counts and ranks each unit of *system* that has not left for good."""
    rows = Unit.objects.filter(system=system).exclude(state=Unit.State.GONE).order_by()
    return [Line(*row) for row in rows.values_list("pk", "name", "kind", "state", "score", "fleet__name")]


def units_in_sight(system: System, lines: Sequence[Line], view: View) -> tuple[list[Unit], int]:
    """Return the units that *view* shows, and how many it would show if it had no limit."""
    if view.ids:
        wanted = [line.id for line in lines if line.id in view.ids]
        matching = len(wanted)
    else:
        found = [line for line in lines if view.matches({"id": line.id, "kind": line.kind, "name": line.name})]
        matching = len(found)
        crowded = matching > view.limit
        wanted = chosen(found, view.limit, _depths(system) if crowded else {}, view.queues if crowded else 0)
    units = Unit.objects.filter(system=system).select_related("fleet").in_bulk(wanted)
    return [units[pk] for pk in wanted if pk in units], matching


def _depths(system: System) -> dict[str, float]:
    """Return how many messages each queue holds, ready or in work, where that is known."""
    try:
        found = latest(system.pk, metrics=DEPTHS)
    except TransientError:
        return {}
    return {name: sum(value for _, value in values.values()) for name, values in found.items()}


def _latest_values(system: System, names: Sequence[str]) -> dict[str, dict[str, tuple[float, float]]]:
    """Return the newest values, or none while the hot tier is away: the rest is still worth showing."""
    try:
        return latest(system.pk, sources=list(names))
    except TransientError as error:
        logger.warning("The snapshot has no values: %s", error)
        return {}


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


def history(system: System, subsystem: str, start: float, end: float) -> dict[str, list[float | None]]:
    """Return the scores of *subsystem* (or of the whole system for an empty one) from *start* to *end*."""
    step = _step(end - start)
    rows = (
        Assessment.objects.filter(system=system, slot__gte=start, slot__lte=end)
        .annotate(rest=Mod(F("slot"), step))
        .filter(rest=0)
    )
    field = f"subsystems__{subsystem}__score" if subsystem else "score"
    pairs = list(rows.order_by("slot").values_list("slot", field))
    return {"at": [slot_time(slot).timestamp() for slot, _ in pairs], "score": [score for _, score in pairs]}


def _step(seconds: float) -> int:
    return max(30, int(seconds) // HISTORY_POINTS // 30 * 30)


def variety_history(system: System, start: float, end: float) -> dict[str, list[float | None]]:
    """Return the three varieties of *system* from *start* to *end*, in columns."""
    rows = Reading.objects.filter(system=system, at__gte=start, at__lte=end)
    kept = (
        rows.annotate(rest=Mod(F("slot"), _step(end - start)))
        .filter(rest=0)
        .order_by("slot")
        .values_list("at", "figures")
    )
    found = list(kept)
    lines = {name: [figures[name] for _, figures in found] for name in VARIETIES}
    return {"at": [at for at, _ in found], **lines}
