"""The monitors of S1: who works and who does not answer, how tasks do, what runs short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, Q

from subsystems.fleets.models import ExceptionGroup, StuckFinding
from subsystems.fleets.queries import latencies
from subsystems.health.queries import latest_assessment
from subsystems.s1_operations.models import CollectionCycle, CollectionFailure, Unit
from vsm_site.dashboard.monitors.base import (
    HOUR,
    SHOWN,
    UNKNOWN,
    Asked,
    Monitors,
    Need,
    Panel,
    Row,
    harm,
    number,
    percent,
    room,
    scored,
    seconds,
)
from vsm_site.dashboard.overview_queries import told_fleets


def monitors(asked: Asked) -> Monitors:
    """Return the three panels, and what needs attention."""
    units = Unit.objects.filter(system=asked.system).exclude(state=Unit.State.GONE)
    silent = list(units.filter(state=Unit.State.SILENT).order_by("-last_seen_at").values_list("pk", "name")[:SHOWN])
    stuck = list(StuckFinding.objects.filter(fleet__system=asked.system, ended_at=None).order_by("-pk")[:SHOWN])
    needs = [Need("critical", f"{name} is silent", "unit", pk) for pk, name in silent]
    needs += [Need("warning", row.summary, "workers") for row in stuck]
    resources, short = _resources(asked, units)
    return [_units(asked, units), _performance(asked), resources], needs + short


def _units(asked: Asked, units: Any) -> Panel:
    heard = Q(state=Unit.State.ACTIVE)
    told = units.aggregate(
        all=Count("pk"),
        active=Count("pk", filter=heard),
        silent=Count("pk", filter=Q(state=Unit.State.SILENT)),
        paused=Count("pk", filter=Q(state=Unit.State.PAUSED)),
        poor=Count("pk", filter=heard & Q(score__lte=0.5)),
        fair=Count("pk", filter=heard & Q(score__gt=0.5, score__lte=0.8)),
        unknown=Count("pk", filter=heard & Q(score=None)),
    )
    stuck = StuckFinding.objects.filter(fleet__system=asked.system, ended_at=None).count()
    failed = CollectionFailure.objects.filter(unit__system=asked.system, at__gte=asked.now - HOUR).count()
    cycle = CollectionCycle.objects.exclude(duration_ms=None).first()
    tick = None if cycle is None or cycle.duration_ms is None else cycle.duration_ms / 1000
    return Panel(
        "Operational monitor",
        "Who works, and who does not answer",
        "workers",
        [
            Row("Units heard", f"{told['active']} of {told['all']}", harm(told["silent"], "unhealthy")),
            Row("Silent", number(told["silent"]), harm(told["silent"], "unhealthy")),
            Row("Unhealthy", number(told["poor"]), harm(told["poor"], "unhealthy")),
            Row("Degraded", number(told["fair"]), harm(told["fair"])),
            Row("Health unknown", number(told["unknown"])),
            Row("Paused", number(told["paused"])),
            Row("Stuck work found", number(stuck), harm(stuck)),
            Row("Collections that failed", number(failed), harm(failed), "in the last hour"),
            Row("Last collection took", seconds(tick)),
        ],
    )


def _performance(asked: Asked) -> Panel:
    until = asked.now.timestamp()
    fleets = told_fleets(asked.system)
    kinds = latencies(fleets, since=until - 3600, until=until, by=("name",))
    whole = (latencies(fleets, since=until - 3600, until=until, by=()) or [{}])[0]
    judged = whole.get("succeeded", 0) + whole.get("failed", 0)
    rows = [
        Row("Tasks that ended", number(whole.get("count", 0)), note="in the last hour"),
        Row("Throughput", number(whole["count"] / 3600, "a second") if whole else UNKNOWN),
        scored("Succeeded", whole["succeeded"] / judged if judged else None),
        Row("Retried", number(whole.get("retried", 0))),
        *(
            Row(f"{title}, {label}", seconds(whole.get(key, {}).get(share)))
            for key, title in (("runtime", "Runtime"), ("wait", "Wait"))
            for share, label in (("p50", "median"), ("p95", "95 of 100"))
        ),
        *(
            Row(f"Fails most: {each['name']}", f"{each['failed']} of {each['count']}", "degraded")
            for each in kinds[:2]
            if each["failed"]
        ),
    ]
    newest = ExceptionGroup.objects.filter(fleet_id__in=fleets).order_by("-last_seen_at").first()
    if newest is not None:
        rows.append(Row("Newest exception", newest.type, note=newest.message[:120]))
    return Panel("Performance tracker", "Throughput, errors and latency of tasks", "task-latencies", rows)


def _resources(asked: Asked, units: Any) -> tuple[Panel, list[Need]]:
    assessment = latest_assessment(asked.system)
    details: Mapping[str, Any] = assessment.details if assessment else {}
    used = details.get("resource_utilisation") or {}
    rows = [
        Row(
            f"{name.replace('_', ' ').capitalize()}, most used",
            percent(each["utilisation"]),
            room(each["utilisation"]),
            each["unit"],
        )
        for name, each in sorted(used.items())
    ]
    hosts = units.filter(kind="host").aggregate(all=Count("pk"), poor=Count("pk", filter=Q(score__lte=0.5)))
    rows.append(
        Row("Hosts", number(hosts["all"]), harm(hosts["poor"]), f"{hosts['poor']} unhealthy" if hosts["poor"] else "")
    )
    held = details.get("bottlenecks") or []
    rows.append(Row("Bottlenecks", number(len(held)), harm(len(held))))
    needs = [
        Need(
            "warning",
            f"{each['resource']} of {each['unit']} holds up {', '.join(each['growing_queues'][:3])}",
            "queues",
        )
        for each in held
    ]
    return Panel("Resource monitor", "What is used, and what runs short", "fleets", rows), needs
