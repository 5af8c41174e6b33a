"""Assessing systems, and forgetting old assessments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from subsystems.algedonic.services import settle, try_to_raise
from subsystems.health import cycle, gauging, queries, viability, vitals
from subsystems.health.models import Assessment, ScoreSheet
from subsystems.health.scores import Scored
from subsystems.health.viability_watch import Notice, step
from subsystems.kernel.severity import Severity
from subsystems.kernel.slots import slot_of
from subsystems.kernel.words import Subsystem
from subsystems.messaging import live
from subsystems.messaging.channels import Party
from subsystems.messaging.services import fact, publish
from subsystems.messaging.slots import slot_once
from subsystems.recursion.models import System
from subsystems.s1_operations.models import Unit
from subsystems.s5_policy import amending, responding
from subsystems.s5_policy import queries as s5_policy
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record

PERIOD_SECONDS = 30  # 002-28
KEEP = timedelta(days=7)  # 002-48
JOB = "health.assess"
SOURCE = "health"
UNIT_HEALTH, UNIT_HEALTH_PART = "unit_health", "unit_health_part"  # 0 to 1; labels `kind` and `part`
PAIN = {Notice.CRITICAL: Severity.CRITICAL, Notice.WARNING: Severity.HIGH}
RECENT = timedelta(seconds=45)  # well over a period: the slot's own assessment is never forestalled


def assess(system: System, slot: int, *, now: datetime) -> Assessment | None:
    """Assess *system* for *slot*; return None when that was done before.

    The row, the fact for those above and the next state of the watch are one transaction.
    """
    if Assessment.objects.filter(system=system, slot=slot).exists():
        return None
    assessment, scored = _judged(system, slot, now)
    before = Assessment.objects.filter(system=system, slot__lt=slot).order_by("-slot").values_list("status", flat=True)
    try:
        with transaction.atomic():
            previous = before.first() or str(viability.Level.UNKNOWN)
            assessment.save(force_insert=True)
            publish(fact("viability.assessed", _fact(assessment, previous), priority=8), system_id=system.pk)
            _write_scores(assessment, scored)
            _tell_s5(assessment, _feel(assessment))
            transaction.on_commit(lambda: _show(assessment))
    except IntegrityError:  # another worker was quicker in the same slot
        return None
    return assessment


def assess_slot(*, now: datetime) -> list[Assessment]:
    """Assess every system once in the current slot, whoever comes first; return what was assessed by this call."""
    with slot_once(JOB, PERIOD_SECONDS, now=now) as slot:
        if slot is None:
            return []
        keep_unit_scores(now)
        keep_overdue_decisions(now)
        systems = list(System.objects.all())
        for system in systems:
            amending.hand_down(system, now=now)  # what S5 permits from now on
        return [made for system in systems if (made := assess(system, slot, now=now))]


def assess_now(*, now: datetime) -> list[Assessment]:
    """Assess every system out of turn: the row belongs to this very second, so that no slot loses its own."""
    second = slot_of(now, 1)
    return [made for system in System.objects.all() if (made := assess(system, second, now=now))]


def assess_early(*, now: datetime) -> list[Assessment]:
    """Assess the systems without a recent assessment; a collection asks for it, so that a start waits for no slot."""
    second = slot_of(now, 1)
    recent = Assessment.objects.filter(assessed_at__gt=now - RECENT).values("system")
    return [made for system in System.objects.exclude(pk__in=recent) if (made := assess(system, second, now=now))]


def forget_history(*, now: datetime) -> int:
    """Delete assessments older than 7 days; return how many."""
    return Assessment.objects.filter(assessed_at__lt=now - KEEP).delete()[0]


def keep_unit_scores(now: datetime) -> None:
    """Keep what each unit scores now as samples: so its health has a history that can be drawn and rehearsed on."""
    at = now.timestamp()
    known = Unit.objects.exclude(score=None).order_by("pk")
    batches: dict[int, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for system_id, name, kind, score, parts in known.values_list("system_id", "name", "kind", "score", "health_parts"):
        samples = batches[system_id][name]
        named = [(UNIT_HEALTH, score, {"kind": kind})]
        named += [(UNIT_HEALTH_PART, value, {"kind": kind, "part": part}) for part, value in parts.items()]
        samples += [Sample(metric, at, value, labels) for metric, value, labels in named if value is not None]
    for system_id, batch in batches.items():
        record(batch, system_id=system_id, now=at)


def keep_overdue_decisions(now: datetime) -> None:
    """Keep how many decisions and reviews are overdue as samples, so that alerts can watch them like anything else."""
    at = now.timestamp()
    for system_id, (slug, late, unseen) in s5_policy.overdue(now=now).items():
        told = [Sample("decisions_overdue", at, float(late)), Sample("reviews_overdue", at, float(unseen))]
        record({slug: told}, system_id=system_id, now=at)


def _judged(system: System, slot: int, now: datetime) -> tuple[Assessment, dict[str, Scored]]:
    measured = queries.measure(system, now=now)
    found = measured.vitals
    judged = viability.judge({each: found[each].score for each in Subsystem}, queries.rules(system))
    proofs = gauging.proofs(system, now=now)
    checks = vitals.checklist(found, measured.units, measured.cycles, now=now.timestamp(), proofs=proofs)
    s4 = found[Subsystem.S4]
    outside = s4.measures if s4.score is not None else {"sources": 0, "heard": 0}
    scored = gauging.gauge(system, viability=judged.score, sources=outside["sources"], heard=outside["heard"], now=now)
    details = {
        **queries.details(system, measured, now=now),
        "states": [str(state) for state in cycle.walk(judged.overall_health)],
        "scores": {name: each.value for name, each in scored.items()},
    }
    assessment = Assessment(
        system=system,
        slot=slot,
        assessed_at=now,
        subsystems={str(each): vital.to_wire() for each, vital in found.items()},
        overall_health=judged.overall_health,
        score=judged.score,
        status=str(judged.level),
        parts=[part.to_wire() for part in judged.parts],
        weakest_link=judged.weakest_link,
        geometric=judged.geometric,
        structural=viability.structural(checks),
        details=details,
    )
    return assessment, scored


def _write_scores(assessment: Assessment, scored: Mapping[str, Scored]) -> None:
    body = {name: each.to_wire() for name, each in scored.items()}
    ScoreSheet.objects.update_or_create(
        system_id=assessment.system_id, defaults={"at": assessment.assessed_at, "body": body}
    )


def _tell_s5(assessment: Assessment, notice: Notice | None) -> None:
    """Let S5 respond to the band of the whole (002-15); where viability is told as critical, it is told already."""
    responding.heed(
        assessment.system, overall_health=assessment.overall_health, subsystems=assessment.subsystems,
        told_already=notice is Notice.CRITICAL, now=assessment.assessed_at,
    )  # fmt: skip


def _fact(assessment: Assessment, previous: str) -> dict[str, object]:
    return {
        "system_id": assessment.system_id,
        "assessment_id": assessment.pk,
        "score": assessment.score,
        "status": assessment.status,
        "previous_status": previous,
    }


def _feel(assessment: Assessment) -> Notice | None:
    """Raise pain when viability falls to warning or critical, pleasure when it is back (002-6); once per change."""
    before = Assessment.objects.filter(system=assessment.system, slot__lt=assessment.slot)
    known = before.exclude(status=viability.Level.UNKNOWN).order_by("-slot").values_list("status", flat=True).first()
    notice = step(viability.Level(known or viability.Level.NORMAL), viability.Level(assessment.status)).notice
    if notice is None or assessment.score is None:
        return None
    said: dict[str, Any] = {
        "source": SOURCE, "system_id": assessment.system_id, "origin": Party.PLATFORM, "at": assessment.assessed_at,
        "data": {"score": assessment.score, "status": assessment.status, "weakest_link": assessment.weakest_link},
    }  # fmt: skip
    if notice is Notice.RECOVERED:
        settle(SOURCE, system_id=assessment.system_id, now=assessment.assessed_at, why="Viability has recovered.")
        words = "Viability has recovered."
        try_to_raise(type="pleasure", intensity=assessment.score, description=words, **said)
    elif severity := PAIN.get(notice):
        words = f"Viability is {assessment.status}."
        try_to_raise(type="pain", severity=severity, description=words, **said)
    return notice


def _show(assessment: Assessment) -> None:
    live.push(assessment.system_id, "assessment", assessment.system.slug, queries.assessment_body(assessment))
