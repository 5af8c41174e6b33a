"""The monitors of S3: acts, what is advised and what it brought, the audit of S3*."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db.models import Count, Q

from subsystems.health.queries import latest_assessment
from subsystems.s3_control import queries as control
from subsystems.s3_control.audit import queries as audit
from subsystems.s3_control.audit.models import Finding as AuditFinding
from subsystems.s3_control.models import Action, Hold, Recommendation
from subsystems.s3_control.scaling.models import ScalingPolicy
from vsm_site.dashboard.monitors.base import (
    DAY,
    SHOWN,
    Asked,
    Monitors,
    Need,
    Panel,
    Row,
    harm,
    number,
    percent,
    scored,
    seconds,
)
from vsm_site.dashboard.overview_queries import type_words


def monitors(asked: Asked) -> Monitors:
    """Return the three panels, and what needs attention."""
    waiting = Recommendation.objects.filter(system=asked.system, state=Recommendation.State.PROPOSED)
    holds = list(Hold.objects.filter(system=asked.system, released_at=None)[:SHOWN])
    worst = AuditFinding.objects.filter(system=asked.system, state=AuditFinding.State.OPEN).order_by("-last_seen_at")
    grave = worst.filter(severity__in=["critical", "high"]).select_related("fleet", "system", "accepted_by")[:SHOWN]
    needs = [Need("critical", f"{hold.subject} is held: {hold.reason}", "inbox") for hold in holds]
    needs += [Need("warning", f"Decide: {row.title}", "recommendation", row.pk) for row in waiting[:SHOWN]]
    for row in grave:
        body = audit.finding_body(row)
        needs.append(Need("warning", f"{body['title']}: {body['subject'] or body['fleet']}", "audit"))
    return [_acts(asked, len(holds)), _optimisation(asked, waiting.count()), _audits(asked)], needs


def _acts(asked: Asked, holds: int) -> Panel:
    lately = Action.objects.filter(system=asked.system, requested_at__gte=asked.now - DAY, dry_run=False)
    counts = dict(lately.order_by().values_list("state").annotate(Count("pk")))
    failed = counts.get(Action.State.FAILED, 0)
    newest = lately.order_by("-requested_at").first()
    rows = [
        Row("Acts of a day", number(sum(counts.values()))),
        Row("Failed", number(failed), harm(failed)),
        *(Row(type_words(state), number(n)) for state, n in sorted(counts.items()) if state != Action.State.FAILED),
        Row("Held subjects", number(holds), harm(holds)),
        Row(
            "Last act",
            "none in a day" if newest is None else newest.kind,
            note="" if newest is None else f"{newest.target}, by {newest.actor}",
        ),
    ]
    return Panel("Control monitor", "What was done to units, and what came of it", "actions", rows)


def _optimisation(asked: Asked, waiting: int) -> Panel:
    score, applied = control.optimisation_score(asked.system.pk, since=asked.now - timedelta(days=30))
    assessment = latest_assessment(asked.system)
    scores: Mapping[str, Any] = assessment.details.get("scores", {}) if assessment else {}
    policies = ScalingPolicy.objects.filter(system=asked.system).aggregate(
        all=Count("pk"), auto=Count("pk", filter=Q(mode="auto"))
    )
    return Panel(
        "Optimisation engine",
        "What is advised, and whether it brought what it promised",
        "inbox",
        [
            Row("Recommendations waiting", number(waiting), harm(waiting)),
            Row("Realised of what was promised", percent(score), note=f"of {applied} applied in 30 days"),
            scored("Allocation efficiency", scores.get("allocation_efficiency")),
            Row("Adaptation rate", percent(scores.get("adaptation_rate"))),
            Row("Adaptation lead time", seconds(scores.get("adaptation_lead_seconds"))),
            Row("Scaling policies", number(policies["all"]), note=f"{policies['auto']} act by themselves"),
        ],
    )


def _audits(asked: Asked) -> Panel:
    bodies = audit.audit_bodies(audit.audits().filter(system=asked.system)[:SHOWN])
    open_ = AuditFinding.objects.filter(system=asked.system, state=AuditFinding.State.OPEN).order_by()
    counts = dict(open_.values_list("severity").annotate(Count("pk")))
    rows = [
        scored(each["fleet"], each["score"], f"{each['open']} open" if each["audited_at"] else "not audited yet")
        for each in bodies
    ]
    rows += [
        Row(
            f"Open, {severity}",
            number(counts.get(severity, 0)),
            harm(counts.get(severity, 0), "unhealthy" if severity == "critical" else "degraded"),
        )
        for severity in ("critical", "high", "medium", "low")
    ]
    return Panel("Audit manager", "S3*: how each fleet is really set up", "audit", rows)
