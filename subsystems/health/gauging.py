"""Making the scores of one system from the tables and the store: a constant number of queries, whatever its size."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Count, F, Min, Q, Sum
from django.db.models.functions import Mod

from subsystems.algedonic.models import Signal
from subsystems.algedonic.queries import lane_state
from subsystems.fleets.models import TaskRollUp
from subsystems.health import scores
from subsystems.health.foretelling import STEP_SECONDS, STEPS, foretell
from subsystems.health.scores import Scored
from subsystems.health.viability import Check
from subsystems.kernel.errors import TransientError
from subsystems.kernel.telemetry_events import emit
from subsystems.messaging.channels import Channel
from subsystems.messaging.queries import channel_states
from subsystems.recursion.models import System
from subsystems.recursion.queries import ROOT_SLUG
from subsystems.s2_coordination.monitor.models import CoordinationReading
from subsystems.s3_control.audit.queries import audits
from subsystems.s3_control.bargaining import queries as bargains
from subsystems.s3_control.models import Action, Recommendation
from subsystems.s3_control.queries import optimisation_score
from subsystems.s4_intelligence.patterns.models import Pattern, PatternDetection
from subsystems.s4_intelligence.queries import accuracy
from subsystems.s5_policy import goals
from subsystems.s5_policy import queries as s5
from subsystems.s5_policy.balance import Balance, balance
from subsystems.telemetry import queries as telemetry
from subsystems.variety.models import Reading
from subsystems.variety.queries import FRESH_SECONDS, latest_readings

logger = logging.getLogger(__name__)
POOL_WINDOW_SECONDS = 300.0
HOUR_SECONDS = 3600
COORDINATION_FRESH = timedelta(minutes=3)
DAY = timedelta(hours=24)
MONTH = timedelta(days=30)
AUDIT_GRACE = timedelta(hours=1)
MOST = 2000  # pains and acts of a day that are looked at


@dataclass(frozen=True)
class Asked:
    """Of whom and of when scores are made, and what the assessment found before."""

    system: System
    now: datetime
    viability: float | None
    sources: int
    heard: int


def gauge(system: System, *, viability: float | None, sources: int, heard: int, now: datetime) -> dict[str, Scored]:
    """Return every score of *system* by name, in the order of their definitions."""
    asked = Asked(system, now, viability, sources, heard)
    found: dict[str, Scored] = {}
    for source in SOURCES:
        found |= source(asked)
    return {each.name: found[each.name] for each in scores.DEFINITIONS}


def _channels(asked: Asked) -> dict[str, Scored]:
    """The channels are shared: how full they are is told to who sees the platform as a whole."""
    if asked.system.slug != ROOT_SLUG:
        return {"channel_utilisation": Scored(None, "The channels are the platform's: see the root system.")}
    used = {str(name): state.utilisation for name, state in channel_states().items() if name is not Channel.PLATFORM}
    return {"channel_utilisation": scores.channel_utilisation(used)}


def _tasks(asked: Asked) -> dict[str, Scored]:
    since = int(asked.now.timestamp() - HOUR_SECONDS)
    told = TaskRollUp.objects.filter(fleet__system=asked.system, at__gte=since).aggregate(
        good=Sum("succeeded"), bad=Sum("failed"), others=Sum("others")
    )
    good, bad, others = (told[name] or 0 for name in ("good", "bad", "others"))
    nothing = "No task of a fleet ended in the last hour."
    rate = scores.share(good, good + bad, words="tasks succeeded", nothing=nothing, succeeded=good, failed=bad)
    ended = good + bad + others
    through = Scored(ended / HOUR_SECONDS, f"{ended} tasks ended.") if ended else Scored(None, nothing)
    return {"task_success_rate": rate, "task_throughput": through}


def _coordination(asked: Asked) -> dict[str, Scored]:
    rows = CoordinationReading.objects.filter(system=asked.system, at__gte=asked.now - COORDINATION_FRESH)
    body: dict[str, Any] = rows.order_by("-slot").values_list("body", flat=True).first() or {}
    all_, conflicts = body.get("allocations", 0), body.get("conflicts", 0)
    return {
        "coordination_efficiency": scores.share(
            all_ - conflicts, all_, words="allocations had no conflict",
            nothing="Nothing was allocated in the last hour.", allocations=all_, conflicts=conflicts,
        )
    }  # fmt: skip


def _allocation(asked: Asked) -> dict[str, Scored]:
    """Return how well what is allocated is used: what units bargained for, else the processes that workers have."""
    held = bargains.used_of_held(asked.system, now=asked.now)
    if held:
        return {"allocation_efficiency": scores.bargained(held)}
    end = asked.now.timestamp()
    try:
        means = {name: _means(asked.system, name, end) for name in ("pool_size", "active")}
    except TransientError as error:
        logger.warning("Allocation efficiency is unknown: %s", error)
        return {"allocation_efficiency": Scored(None, "The store of recent samples does not answer.")}
    pools = [
        (size, means["active"][source]) for source, size in means["pool_size"].items() if source in means["active"]
    ]
    return {"allocation_efficiency": scores.allocation_efficiency(pools)}


def _means(system: System, metric: str, end: float) -> dict[str, float]:
    lines = telemetry.window(system.pk, metric, start=end - POOL_WINDOW_SECONDS, end=end)
    return {
        source: float(np.mean(values)) for (source, labels), (_, values) in lines.items() if not labels and len(values)
    }


def _audits(asked: Asked) -> dict[str, Scored]:
    rows = audits().filter(system=asked.system).values_list("fleet__name", "score")
    return {"audit_compliance": scores.audit_compliance(dict(rows))}


def _loop(asked: Asked) -> dict[str, Scored]:
    """Return what came of recommendations: was the promised benefit realised, how many were carried out, how soon."""
    since = asked.now - MONTH
    score, applied = optimisation_score(asked.system.pk, since=since)
    words = f"Mean of {applied} recommendations whose effect was measured." if applied else ""
    nothing = "No effect of an applied recommendation was measured in the last 30 days."
    optimisation = Scored(score, words or nothing, {"measured": applied})
    rows = Recommendation.objects.filter(system=asked.system, created_at__gte=since)
    found = list(rows.values_list("created_at", "measured_at", "applied_at")[:MOST])
    leads = [(applied - (measured or made)).total_seconds() for made, measured, applied in found if applied]
    rate, lead = scores.adaptation(len(found), len(leads), leads)
    return {"optimisation_score": optimisation, "adaptation_rate": rate, "adaptation_lead_seconds": lead}


def _environment(asked: Asked) -> dict[str, Scored]:
    awareness = scores.share(
        asked.heard, asked.sources, words="sources were heard on schedule", nothing="No source outside is configured.",
        sources=asked.sources, heard=asked.heard,
    )  # fmt: skip
    return {
        "environment_awareness": awareness,
        "forecast_accuracy": scores.forecast_accuracy(accuracy(asked.system)),
        "predicted_variety_ratio": _foretold(asked),
    }


def _foretold(asked: Asked) -> Scored:
    since = asked.now.timestamp() - STEPS * STEP_SECONDS
    rows = Reading.objects.filter(system=asked.system, at__gte=since).annotate(rest=Mod(F("slot"), STEP_SECONDS))
    kept = rows.filter(rest=0).order_by("slot").values_list("slot", "figures")
    ratios = {slot: figures.get("ratio") for slot, figures in kept}
    return foretell(ratios, now=asked.now.timestamp())


def _patterns(asked: Asked) -> dict[str, Scored]:
    enabled = Pattern.objects.filter(system=asked.system, enabled=True)
    rows = PatternDetection.objects.filter(system=asked.system)
    counts = rows.aggregate(
        held=Count("pk", filter=Q(level=PatternDetection.Level.ACT, acted_at__gt=asked.now - DAY)),
        true=Count("pk", filter=Q(verdict=PatternDetection.Verdict.TRUE, began_at__gt=asked.now - MONTH)),
        false=Count("pk", filter=Q(verdict=PatternDetection.Verdict.FALSE, began_at__gt=asked.now - MONTH)),
    )
    told = enabled.aggregate(n=Count("pk"), since=Min("created_at"))
    return {
        "pattern_detection_rate": scores.detection_rate(told["n"], told["since"], counts["held"], now=asked.now),
        "pattern_precision": scores.share(
            counts["true"], counts["true"] + counts["false"], words="judged detections were confirmed",
            nothing="Nobody judged a detection of the last 30 days.", confirmed=counts["true"], false=counts["false"],
        ),
    }  # fmt: skip


def _policy(asked: Asked) -> dict[str, Scored]:
    return {"goal_progress": _goals(asked), "identity_alignment": _identity(asked), **_decisions(asked)}


def _goals(asked: Asked) -> Scored:
    standing = [goal.standing for goal in s5.goals_of(asked.system, now=asked.now)]
    known = sum(each.progress is not None for each in standing)
    inputs = {"goals": len(standing), "known": known}
    if not standing:
        return Scored(None, "No goal is set.", inputs)
    return Scored(goals.overall(standing), f"The progress of {known} of {len(standing)} goals is known.", inputs)


def _identity(asked: Asked) -> Scored:
    found = s5.identity(asked.system, now=asked.now)
    inputs = {"items": found.items, "tagged": found.tagged, "judged": found.judged}
    if found.score is None:
        missing = "No value is declared." if found.items else "No policy is set and no decision put down."
        return Scored(None, missing, inputs)
    emit("vsm.s5.identity.check", {"alignment": found.score}, {"subject": asked.system.slug})
    return Scored(
        found.score, f"{found.tagged} of {found.items} policies and decisions serve a declared value.", inputs
    )


def _decisions(asked: Asked) -> dict[str, Scored]:
    counts = s5.decision_counts(asked.system, now=asked.now)
    return {
        "decision_quality": scores.share(
            counts["met"], counts["reviewed"], words="reviewed decisions met their criterion",
            nothing="No decision of the last 90 days was reviewed.", **counts,
        ),
        "decision_coverage": scores.share(
            counts["reviewed"], counts["due"], words="decisions that were due for review are reviewed",
            nothing="No decision of the last 90 days was due for review.", **counts,
        ),
    }  # fmt: skip


def _balance(asked: Asked) -> dict[str, Scored]:
    found = balance_of(asked.system, now=asked.now)
    inputs = {"leads": found.leads, "difference": found.difference, "residual": found.residual}
    return {
        "s3_s4_balance": Scored(found.score, found.reason, inputs),
        "s3_s4_residual": Scored(found.residual, found.reason, inputs),
    }


def balance_of(system: System, *, now: datetime) -> Balance:
    """Return how S3 and S4 of *system* balance, from the newest reading of their varieties."""
    reading = latest_readings([system.pk], since=now.timestamp() - FRESH_SECONDS).get(system.pk)
    figures: dict[str, Any] = reading.figures if reading else {}
    return balance(figures.get("s3"), figures.get("s4"), figures.get("s5"))


def _overall(asked: Asked) -> dict[str, Scored]:
    levels = scores.depth(asked.system.pk, dict(System.objects.values_list("pk", "parent_id")))
    index = Scored(asked.viability, "As assessed." if asked.viability is not None else "Nothing is known to judge by.")
    return {
        "viability_index": index,
        "recursion_depth": Scored(float(levels), f"{levels} levels of systems below this one."),
        "autonomy_level": _autonomy(asked),
    }


def _autonomy(asked: Asked) -> Scored:
    since = asked.now - DAY
    pains = Signal.objects.filter(system=asked.system, type=Signal.Type.PAIN, origin="s1", ended_at__gte=since)
    spans = pains.order_by("-ended_at").values_list("raised_at", "ended_at")[:MOST]
    acts = Action.objects.filter(
        system=asked.system, dry_run=False, state__in=[Action.State.APPLIED, Action.State.VERIFIED]
    ).exclude(started_at=None)
    moments = acts.filter(started_at__gte=since - DAY).values_list("started_at", flat=True)[:MOST]
    allocated, imposed = bargains.changes(asked.system, since=since)
    return scores.autonomy(
        [(began, over) for began, over in spans if over], [at for at in moments if at], allocated=allocated,
        imposed=imposed,
    )  # fmt: skip


SOURCES: list[Callable[[Asked], dict[str, Scored]]] = [
    _tasks, _channels, _coordination, _allocation, _audits, _loop, _environment, _patterns, _policy, _balance, _overall,
]  # fmt: skip


def proofs(system: System, *, now: datetime) -> list[Check]:
    """Return the lines of the structural checklist that something was measured of."""
    return [check for check in (_audited(system, now), _lane(now), _homeostat(system, now)) if check is not None]


def _audited(system: System, now: datetime) -> Check | None:
    rows = list(audits().filter(system=system).values_list("audited_at", "next_at"))
    if not any(at for at, _ in rows):
        return None
    late = sum(at is None or due < now - AUDIT_GRACE for at, due in rows)
    return Check("s3_star_audits", late == 0, f"{len(rows) - late} of {len(rows)} fleets are audited on schedule.")


def _lane(now: datetime) -> Check | None:
    state = lane_state(now=now)
    if state.age_seconds is None:
        return None
    return Check("algedonic_path", not state.failing, f"A canary came through {state.age_seconds:.0f} s ago.")


def _homeostat(system: System, now: datetime) -> Check | None:
    found = balance_of(system, now=now)
    return None if found.score is None else Check("homeostat", True, found.reason)
