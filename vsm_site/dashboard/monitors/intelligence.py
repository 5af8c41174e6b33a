"""The monitors of S4: what lies outside, what may happen, how good forecasts are."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F, Q

from subsystems.kernel.health import band
from subsystems.s1_operations.models import Unit
from subsystems.s4_intelligence import queries as intelligence
from subsystems.s4_intelligence.models import Finding, Source, Threat
from vsm_site.dashboard.monitors.base import (
    DAY,
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
    seconds,
)


def monitors(asked: Asked) -> Monitors:
    """Return the three panels, and what needs attention."""
    threats = Threat.objects.filter(system=asked.system, gone_at=None)
    ranked = threats.filter(good=False).order_by(F("chance").desc(nulls_last=True), "pk")[:SHOWN]
    needs = [Need("warning", f"{row.title} ({percent(row.chance)} likely)", "intelligence") for row in ranked]
    failing = Source.objects.filter(system=asked.system, enabled=True, last_ok=False).order_by("name")[:SHOWN]
    needs += [Need("warning", f"{row.name}: {row.last_error or 'not as expected'}", "intelligence") for row in failing]
    return [_scanner(asked), _threats(asked, threats), _projector(asked)], needs


def _scanner(asked: Asked) -> Panel:
    aware = intelligence.awareness(asked.system, now=asked.now)
    sources = Source.objects.filter(system=asked.system).aggregate(
        all=Count("pk"),
        failing=Count("pk", filter=Q(enabled=True, last_ok=False)),
        off=Count("pk", filter=Q(enabled=False)),
        certificates=Count("pk", filter=Q(certificate_days_left__lt=14)),
    )
    http = Unit.objects.filter(system=asked.system, kind="http").aggregate(
        all=Count("pk"), silent=Count("pk", filter=Q(state=Unit.State.SILENT))
    )
    return Panel(
        "Environment scanner",
        "What lies outside, and whether it is looked at in time",
        "intelligence",
        [
            Row(
                "Scanned in time",
                f"{aware.scanned} of {aware.configured}" if aware.configured else UNKNOWN,
                str(band(aware.share)) if aware.configured else "",
                "" if aware.configured else "no source is configured",
            ),
            Row("Sources that fail", number(sources["failing"]), harm(sources["failing"])),
            Row("Switched off", number(sources["off"])),
            Row("Certificates that end within 14 days", number(sources["certificates"]), harm(sources["certificates"])),
            Row(
                "HTTP services",
                number(http["all"]),
                harm(http["silent"]) if http["all"] else "",
                f"{http['silent']} silent" if http["silent"] else "",
            ),
        ],
    )


def _threats(asked: Asked, threats: Any) -> Panel:
    counts = threats.aggregate(bad=Count("pk", filter=Q(good=False)), good=Count("pk", filter=Q(good=True)))
    open_ = Finding.objects.filter(system=asked.system, ended_at=None).order_by()
    kinds = dict(open_.values_list("kind").annotate(Count("pk")))
    today = Finding.objects.filter(
        system=asked.system, kind=Finding.Kind.ANOMALY, started_at__gte=(asked.now - DAY).timestamp()
    ).count()
    soonest = threats.filter(good=False, at__isnull=False).order_by("at").first()
    return Panel(
        "Threat analyser",
        "What may go wrong, and what may be gained",
        "intelligence",
        [
            Row("Threats", number(counts["bad"]), harm(counts["bad"])),
            Row("Opportunities", number(counts["good"])),
            Row(
                "Soonest",
                "none expected" if soonest is None else _until(soonest, asked),
                note="" if soonest is None else soonest.title,
            ),
            Row("Anomalies now", number(kinds.get("anomaly", 0)), harm(kinds.get("anomaly", 0))),
            Row("Anomalies of a day", number(today)),
            Row("Trends now", number(kinds.get("trend", 0))),
        ],
    )


def _until(threat: Threat, asked: Asked) -> str:
    left = (threat.at or 0.0) - asked.now.timestamp()
    return "now" if left < 1 else f"in {seconds(left)}"


def _projector(asked: Asked) -> Panel:
    rows = []
    for span, title in (("hour", "an hour"), ("days", "days")):
        told = intelligence.accuracy(asked.system, span)
        skill = told["skill"] if told["skill"] is not None else told["back_test_skill"]
        basis = (
            f"{told['values']} values came due"
            if told["values"]
            else "from foretelling the past"
            if skill is not None
            else "nothing was compared yet"
        )
        rows += [
            Row(
                f"Series foretold, {title} ahead",
                number(told["series"]),
                note=f"{told['beat_naive']} better than that all stays as it is",
            ),
            Row(f"Skill, {title} ahead", number(skill), note=basis),
            Row(f"Within the 80 % interval, {title} ahead", percent(told["held_80"])),
        ]
    return Panel("Future projector", "How good the forecasts are", "intelligence", rows)
