"""What the vitals are made from, and assessments as JSON. The number of queries does not depend on the units."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, Max, Min, Q, Sum

from subsystems.health import counterfactual, resources, viability, vitals
from subsystems.health.models import Assessment, ScoreSheet
from subsystems.health.scores import DEFINITIONS, Scored
from subsystems.health.viability import Rules
from subsystems.health.vitals import Answers, Cycles, FleetAge, Job, SlotMark, UnitCounts, Vital
from subsystems.kernel.errors import TransientError
from subsystems.kernel.times import moment_text
from subsystems.kernel.words import Subsystem
from subsystems.messaging.models import SlotRun
from subsystems.recursion.models import System
from subsystems.s1_operations.models import CollectionCycle, Fleet, Unit
from subsystems.s4_intelligence.queries import awareness
from subsystems.s5_policy.queries import answer_counts, viability_policy
from subsystems.telemetry import queries as telemetry

logger = logging.getLogger(__name__)
SLOTS_WINDOW = timedelta(minutes=5)
CYCLES_WINDOW = timedelta(minutes=1)
HEARD_WITHIN = timedelta(seconds=15)  # three collection periods
ANSWERS_WINDOW = timedelta(hours=24)
NOT_WATCHED = (Unit.State.PAUSED, Unit.State.GONE)


@dataclass(frozen=True)
class Measured:
    """All that one assessment rests on."""

    vitals: dict[Subsystem, Vital]
    units: UnitCounts
    cycles: Cycles


def measure(system: System, *, now: datetime) -> Measured:
    """Measure the five vitals of *system* at *now*."""
    counts = _units(system, now)
    cycles = _cycles(now)
    outside = awareness(system, now=now)
    units = UnitCounts(**{name: counts[name] for name in UnitCounts.__dataclass_fields__})
    # Clock and collector are the whole platform's: a system without units is not judged by how they serve others.
    is_part = bool(units.count) or system.parent_id is None
    found = {
        Subsystem.S1: vitals.operations(units),
        Subsystem.S2: _coordination(now) if is_part else Vital(None, "There is no unit to coordinate."),
        Subsystem.S3: vitals.control(cycles if is_part else Cycles(), _hosts(system)),
        Subsystem.S4: vitals.intelligence(
            configured=counts["http"] + outside.configured,
            heard=counts["http_heard"] + outside.scanned,
            fleets=_fleets(system, now),
        ),
        Subsystem.S5: vitals.policy(Answers(**answer_counts(system, since=now - ANSWERS_WINDOW, now=now))),
    }
    return Measured(found, units, cycles)


def details(system: System, measured: Measured, *, now: datetime) -> dict[str, Any]:
    """Return performance indicators, resource utilisation and bottlenecks (002-30), from what was measured."""
    indicators = {
        "operational_capacity": measured.vitals[Subsystem.S1].measures["operational_capacity"],
        "coordination_lag_seconds": measured.vitals[Subsystem.S2].measures.get("coordination_lag_seconds"),
        "collection_coverage": measured.vitals[Subsystem.S3].measures["collection_coverage"],
        "collection_duration_ms": measured.cycles.mean_duration_ms,
    }
    try:
        used, growing = _resources(system, now.timestamp())
    except TransientError as error:  # an assessment without its details is better than none
        logger.warning("Resource utilisation is unknown: %s", error)
        return {"performance_indicators": indicators, "resource_utilisation": None, "bottlenecks": None}
    return {
        "performance_indicators": indicators,
        "resource_utilisation": used,
        "bottlenecks": resources.bottlenecks(used, growing),
    }


def rules(system: System) -> Rules:
    """Return the weights and thresholds that S5 has set for *system*."""
    row = viability_policy(system)
    weights = {each: float(getattr(row, f"weight_{each}")) for each in Subsystem}
    return Rules(weights, row.viability_threshold, row.critical_threshold)


def latest_assessment(system: System) -> Assessment | None:
    """Return the newest assessment of *system*, or None before the first."""
    return Assessment.objects.filter(system=system).select_related("system").order_by("-slot").first()


def viability_body(system: System) -> dict[str, Any]:
    """Return the viability of *system* now, with its decomposition; unknown before the first assessment."""
    assessment = latest_assessment(system) or _nothing_yet(system)
    return {**assessment_body(assessment), "counterfactual": counterfactual.of_parts(assessment.parts)}


def scores_body(system: System) -> dict[str, Any]:
    """Return every score of *system* with its definition, its value and what it was made from."""
    sheet = ScoreSheet.objects.filter(system=system).first()
    made: dict[str, Any] = sheet.body if sheet else {}
    nothing = Scored(None, "Not made yet.").to_wire()
    listed = [
        {
            "name": each.name, "card": each.card, "title": each.title, "means": each.means, "unit": each.unit,
            "metric": each.gauge, **made.get(each.name, nothing),
        }
        for each in DEFINITIONS
    ]  # fmt: skip
    return {"system": system.slug, "at": moment_text(sheet.at) if sheet else None, "scores": listed}


def assessment_body(assessment: Assessment) -> dict[str, Any]:
    """Return one assessment as JSON."""
    score = assessment.score
    return {
        "id": assessment.pk,
        "system": assessment.system.slug,
        "slot": assessment.slot,
        "score": score,
        "score_percent": None if score is None else round(score * 100, 7),  # 2-1
        "status": assessment.status,
        "overall_health": assessment.overall_health,
        "parts": assessment.parts,
        "weakest_link": assessment.weakest_link,
        "geometric": assessment.geometric,
        "structural": assessment.structural,
        "subsystems": assessment.subsystems,
        "details": assessment.details,
        "assessed_at": moment_text(assessment.assessed_at),
    }


def _nothing_yet(system: System) -> Assessment:
    judged = viability.judge({}, rules(system))
    unknown = Vital(None, "Not assessed yet.")
    return Assessment(
        system=system, status=str(judged.level), parts=[part.to_wire() for part in judged.parts],
        structural=viability.structural([]), subsystems={str(each): unknown.to_wire() for each in Subsystem},
    )  # fmt: skip


def _units(system: System, now: datetime) -> dict[str, Any]:
    """Aggregate the watched units. A silent one has no health now, whatever was last known of it."""
    known = Q(score__isnull=False) & ~Q(state=Unit.State.SILENT)
    http = Q(kind="http")
    return (
        Unit.objects.filter(system=system)
        .exclude(state__in=NOT_WATCHED)
        .aggregate(
            count=Count("pk"),
            known=Count("pk", filter=known),
            silent=Count("pk", filter=Q(state=Unit.State.SILENT)),
            average=Avg("score", filter=known),
            below_half=Count("pk", filter=known & Q(score__lt=0.5)),
            at_most_half=Count("pk", filter=known & Q(score__lte=0.5)),
            http=Count("pk", filter=http),
            http_heard=Count("pk", filter=http & Q(last_seen_at__gte=now - HEARD_WITHIN)),
        )
    )


def _fleets(system: System, now: datetime) -> list[FleetAge]:
    """Return for how long each fleet was not heard; one never heard, since it was added."""
    fleets = Fleet.objects.filter(system=system, enabled=True)
    return [
        FleetAge(fleet.name, fleet.own, max(0.0, (now - (fleet.connected_at or fleet.created_at)).total_seconds()))
        for fleet in fleets
    ]


def _hosts(system: System) -> dict[str, dict[str, float | None]]:
    hosts = Unit.objects.filter(system=system, kind="host", state=Unit.State.ACTIVE)
    return dict(hosts.values_list("name", "health_parts"))


def _cycles(now: datetime) -> Cycles:
    found = CollectionCycle.objects.filter(started_at__gte=now - CYCLES_WINDOW, started_at__lte=now).aggregate(
        count=Count("pk"), polled=Sum("unit_count"), answered=Sum("answered_count"), last=Max("started_at"),
        mean_duration_ms=Avg("duration_ms"),
    )  # fmt: skip
    last = found["last"]
    return Cycles(
        found["count"], found["polled"] or 0, found["answered"] or 0, last.timestamp() if last else None,
        found["mean_duration_ms"],
    )  # fmt: skip


def _coordination(now: datetime) -> Vital:
    scheduled = SlotRun.objects.filter(scheduled=True)
    runs = scheduled.filter(started_at__gte=now - 2 * SLOTS_WINDOW, started_at__lte=now)
    marks = [
        SlotMark(job, slot, started.timestamp(), finished.timestamp() if finished else None)
        for job, slot, started, finished in runs.values_list("job", "slot", "started_at", "finished_at")
    ]
    known = scheduled.values("job").annotate(period=Max("period_seconds"), first=Min("slot")).order_by("job")
    jobs = [Job(row["job"], row["period"], row["first"]) for row in known]
    return vitals.coordination(jobs, marks, now=now.timestamp(), window_seconds=SLOTS_WINDOW.total_seconds())


def _resources(system: System, now: float) -> tuple[dict[str, dict[str, Any]], list[str]]:
    used = resources.utilisation(telemetry.latest(system.pk, metrics=resources.METRICS), since=now - 30)
    queues = telemetry.window(system.pk, "ready", start=now - 60, end=now)
    return used, [source for (source, _), (_, values) in queues.items() if resources.grows(values.tolist())]
