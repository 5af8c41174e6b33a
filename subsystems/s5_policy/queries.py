"""The policy in force. A system that never set one has the documented defaults."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db.models import Count, F, Max, Prefetch, Q, QuerySet
from django.utils import timezone

from subsystems.kernel.errors import Invalid, TransientError
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from subsystems.recursion.queries import people_in
from subsystems.s5_policy import goals
from subsystems.s5_policy.identity import Alignment, Item, alignment
from subsystems.s5_policy.models import Decision, Emergency, GoalValue, Policy, PolicyVersion
from subsystems.s5_policy.term import Fields
from subsystems.s5_policy.terms import TERMS, AlertPolicy, EmergencyPolicy, Kind, Source, ViabilityPolicy
from subsystems.telemetry import aggregates
from subsystems.telemetry import queries as telemetry

logger = logging.getLogger(__name__)
REVIEWED_WINDOW = timedelta(days=90)
FINEST = 60  # seconds: goals look back over minutes at least
PIECES = 1000
T = TypeVar("T", ViabilityPolicy, AlertPolicy, EmergencyPolicy)


# --- In force ---------------------------------------------------------------------------------------------------------
def viability_policy(system: System) -> ViabilityPolicy:
    """Return the weights and thresholds of *system*."""
    return _in_force(system, Kind.VIABILITY, ViabilityPolicy)


def alert_policy(system: System) -> AlertPolicy:
    """Return the alert limits of *system*."""
    return _in_force(system, Kind.ALERTS, AlertPolicy)


def emergency_policy(system: System) -> EmergencyPolicy:
    """Return what S5 does by itself when *system* is unhealthy."""
    return _in_force(system, Kind.EMERGENCY, EmergencyPolicy)


def _in_force(system: System, kind: Kind, form: type[T]) -> T:
    found = PolicyVersion.objects.by(timezone.now()).filter(
        policy__system_id=system.pk, policy__kind=kind, policy__name=""
    )
    said: Mapping[str, Any] = found.values_list("fields", flat=True).first() or {}
    return form(**{each.name: said[each.name] for each in fields(form) if each.name in said})


def answer_time(policy: AlertPolicy, severity: str) -> timedelta | None:
    """Return how soon *policy* expects an answer to an alert; an informational one needs none."""
    seconds = {
        "critical": policy.answer_critical_within_seconds,
        "warning": policy.answer_warning_within_seconds,
    }.get(severity)
    return None if seconds is None else timedelta(seconds=seconds)


def answer_counts(system: System, *, since: datetime, now: datetime) -> dict[str, Any]:
    """Return how many questions since *since* were asked, settled (answered, or overdue) and answered in time."""
    answered = Q(answered_at__isnull=False)
    return Decision.objects.filter(system=system, title="", asked_at__gte=since).aggregate(
        asked=Count("pk"),
        settled=Count("pk", filter=answered | Q(due_at__lte=now)),
        in_time=Count("pk", filter=answered & Q(answered_at__lte=F("due_at"))),
    )


def overdue(*, now: datetime) -> dict[int, tuple[str, int, int]]:
    """Return by system its slug, how many decisions that people put down are unanswered past their time, and how many
    answered ones are not reviewed past theirs; only of systems in which any was put down.
    """
    unanswered = Q(answered_at=None, due_at__lte=now)
    unreviewed = Q(reviewed_at=None, answered_at__isnull=False, review_by__lte=now) & ~Q(criterion="")
    rows = Decision.objects.exclude(title="").order_by().values_list("system_id", "system__slug")
    counted = rows.annotate(late=Count("pk", filter=unanswered), unseen=Count("pk", filter=unreviewed))
    return {system_id: (slug, late, unseen) for system_id, slug, late, unseen in counted}


# --- Versions ---------------------------------------------------------------------------------------------------------
def policies() -> QuerySet[Policy]:
    """Return policies with their versions, the newest first."""
    return Policy.objects.select_related("system").prefetch_related(
        Prefetch("versions", PolicyVersion.objects.order_by("-version"))
    )


def versions_of(system: System) -> QuerySet[PolicyVersion]:
    """Return every version of every policy of *system*, the newest first."""
    return PolicyVersion.objects.filter(policy__system=system).select_related("policy").order_by("-made_at", "-pk")


def newest_fields(policy: Policy) -> Fields:
    """Return what the newest version of *policy* says, which may not be in force yet."""
    said = policy.versions.values_list("fields", flat=True).first()
    return {**TERMS[Kind(policy.kind)].defaults, **(said or {})}


def holding(policy: Policy, now: datetime) -> PolicyVersion | None:
    """Return the version of a policy, read with its versions, that is in force at *now*."""
    return next((each for each in policy.versions.all() if each.effective_at <= now), None)


def policy_body(policy: Policy, *, now: datetime) -> Fields:
    """Return a policy, read with its versions, as JSON: what is in force, and what will be."""
    terms = TERMS[Kind(policy.kind)]
    versions = list(policy.versions.all())
    held = holding(policy, now)
    coming = [each for each in versions if each.effective_at > now]
    return {
        "id": policy.pk,
        "system": policy.system.slug,
        "kind": policy.kind,
        "name": policy.name,
        "title": terms.title,
        "version": held.version if held else 0,
        "newest_version": versions[0].version if versions else 0,
        "fields": {**terms.defaults, **(held.fields if held else {})},
        "values": held.values if held else [],
        "judgement": held.judgement if held else None,
        "effective_at": moment_text(held.effective_at) if held else None,
        "coming": [version_body(each) for each in coming],
    }


def version_body(version: PolicyVersion) -> Fields:
    """Return one version as JSON."""
    return {
        "version": version.version, "fields": version.fields, "changed": version.changed, "values": version.values,
        "judgement": version.judgement, "reason": version.reason, "author": version.author,
        "made_at": moment_text(version.made_at), "effective_at": moment_text(version.effective_at),
    }  # fmt: skip


# --- Identity ---------------------------------------------------------------------------------------------------------
def declared_values(system: System) -> dict[str, float]:
    """Return the names of what *system* stands for, with their weights."""
    return {name: said["weight"] for name, said in said_of(system, Kind.VALUE).items() if said["active"]}


def checked_values(system: System, names: Iterable[str]) -> list[str]:
    """Return *names*, each once. Raises Invalid for one that is no declared value."""
    declared = declared_values(system)
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in declared:
            raise Invalid(f"There is no declared value {name!r:.80}.", field="values")
    return wanted


def said_of(system: System, kind: Kind, *, now: datetime | None = None) -> dict[str, Fields]:
    """Return by name what each goal, value or act of *system* says now; one query however many there are."""
    return {
        held.policy.name: {**TERMS[kind].defaults, **held.fields, "id": held.policy_id}
        for held in in_force(system, now=now or timezone.now()).filter(policy__kind=kind)
    }


def in_force(system: System, *, now: datetime) -> QuerySet[PolicyVersion]:
    """Return the version of each policy of *system* that holds at *now*; versions before it are not read."""
    come = PolicyVersion.objects.filter(policy__system_id=system.pk, effective_at__lte=now).order_by()
    newest = come.values("policy").annotate(last=Max("pk")).values("last")  # a later version has a greater key
    held = PolicyVersion.objects.filter(pk__in=newest).select_related("policy")
    return held.order_by("policy__kind", "policy__name")


def identity(system: System, *, now: datetime) -> Alignment:
    """Return how much of what is in force, and of what was decided in the last 90 days, serves the declared values."""
    items = [
        Item(str(held.policy), held.values, held.judgement)
        for held in in_force(system, now=now).exclude(policy__kind=Kind.VALUE)
        if held.fields.get("active", True)
    ]
    decided = Decision.objects.filter(system=system, asked_at__gte=now - REVIEWED_WINDOW).exclude(title="")
    items += [Item(*row) for row in decided.values_list("title", "values", "judgement")]
    return alignment(items, declared_values(system))


# --- Goals ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Goal:
    """A goal as it stands: what it says, its value and since when that is known."""

    name: str
    said: Fields
    value: float | None
    valued_at: datetime | None

    @property
    def progress(self) -> float | None:
        return goals.progress(self.value, baseline=self.said["baseline"], target=self.said["target"])

    @property
    def standing(self) -> goals.Standing:
        return goals.Standing(self.name, self.said["weight"], self.progress)


def goals_of(system: System, *, now: datetime) -> list[Goal]:
    """Return the goals of *system* in force as they stand; what was not measured has no value."""
    said = {name: each for name, each in said_of(system, Kind.GOAL, now=now).items() if each["active"]}
    measured = _measured(system, {name: each for name, each in said.items() if each["source"] == Source.METRIC}, now)
    entered = _entered(each["id"] for each in said.values() if each["source"] == Source.PERSON)
    found = []
    for name, each in said.items():
        value, at = measured.get(name, (None, None)) if name in measured else entered.get(each["id"], (None, None))
        found.append(Goal(name, each, value, at))
    return found


def _entered(ids: Iterable[int]) -> dict[int, tuple[float | None, datetime | None]]:
    newest = GoalValue.objects.filter(goal__in=list(ids)).order_by().values("goal").annotate(last=Max("pk"))
    rows = GoalValue.objects.filter(pk__in=newest.values("last"))
    return {goal_id: (value, at) for goal_id, value, at in rows.values_list("goal_id", "value", "at")}


def _measured(
    system: System, wanted: Mapping[str, Fields], now: datetime
) -> dict[str, tuple[float | None, datetime | None]]:
    """Return the value of each goal that a metric tells, all asked at once."""
    requests, places = [], []
    for name, said in wanted.items():
        for agg in ("sum", "count") if said["aggregation"] == "avg" else (said["aggregation"],):
            requests.append(_request(system, said, agg, now.timestamp()))
            places.append((name, agg))
    found: dict[str, dict[str, list[float]]] = {name: {} for name in wanted}
    try:
        answers = telemetry.answer(requests, now=now.timestamp()) if requests else []
    except TransientError as error:
        logger.warning("The goals' values are unknown: %s", error)
        return dict.fromkeys(wanted, (None, None))
    for (name, agg), result in zip(places, answers, strict=True):
        found[name][agg] = [value for series in result.series for value in series.values.tolist()]
    return {name: (_one(wanted[name]["aggregation"], lists), now) for name, lists in found.items()}


def _request(system: System, said: Fields, agg: str, now: float) -> telemetry.Request:
    step = max(FINEST, -(-said["window_seconds"] // PIECES // FINEST) * FINEST)
    return telemetry.Request(
        (system.pk,), said["metric"], now - said["window_seconds"], now, step, aggregates.parse(agg),
        said["unit"] or None, group_by=(),
    )  # fmt: skip


def _one(aggregation: str, found: Mapping[str, list[float]]) -> float | None:
    """Return one number for a whole window from those of its steps; None when nothing was sent in it."""
    if aggregation == "avg":
        count = sum(found["count"])
        return sum(found["sum"]) / count if count else None
    numbers = found[aggregation]
    if not numbers:
        return None
    return {"min": min(numbers), "max": max(numbers), "sum": sum(numbers), "last": numbers[-1]}[aggregation]


# --- Decisions --------------------------------------------------------------------------------------------------------
def decision_counts(system: System, *, now: datetime) -> dict[str, int]:
    """Return how many decisions of the last 90 days have a criterion, fell due for review, were reviewed and met it."""
    judged = Decision.objects.filter(system=system, asked_at__gte=now - REVIEWED_WINDOW).exclude(criterion="")
    return judged.aggregate(
        with_criterion=Count("pk"),
        due=Count("pk", filter=Q(review_by__lte=now) | Q(reviewed_at__isnull=False)),
        reviewed=Count("pk", filter=Q(reviewed_at__isnull=False)),
        met=Count("pk", filter=Q(outcome=Decision.Outcome.MET)),
    )


def approver(system: System, username: str) -> User | None:
    """Return who alone is to decide, None for nobody in particular. Raises Invalid for who may not act in *system*."""
    if not username:
        return None
    found = None if "\0" in username else people_in(system.pk).filter(username=username).first()
    if found is None:
        raise Invalid("Nobody of this name may act in the system.", field="approver")
    return found


def decision_body(decision: Decision) -> Fields:
    """Return one decision as JSON."""
    return {
        "id": decision.pk,
        "system": decision.system.slug,
        "fingerprint": decision.fingerprint,
        "from_alert": not decision.title,
        "title": decision.title,
        "question": decision.question,
        "answer": decision.answer,
        "criterion": decision.criterion,
        "asked_at": moment_text(decision.asked_at),
        "due_at": moment_text(decision.due_at),
        "answered_at": moment_text(decision.answered_at),
        "review_by": moment_text(decision.review_by),
        "reviewed_at": moment_text(decision.reviewed_at),
        "outcome": decision.outcome or None,
        "outcome_note": decision.outcome_note,
        "values": decision.values,
        "judgement": decision.judgement,
        "asked_by": decision.asked_by.get_username() if decision.asked_by else None,
        "approver": decision.approver.get_username() if decision.approver else None,
        "decided_by": decision.decided_by or None,
        "reviewed_by": decision.reviewed_by or None,
    }


def emergency_body(row: Emergency) -> Fields:
    """Return one emergency as JSON."""
    return {
        "id": row.pk, "system": row.system.slug, "began_at": moment_text(row.began_at),
        "responded_at": moment_text(row.responded_at), "ended_at": moment_text(row.ended_at), "mode": row.mode,
        "score": row.score, "checklist": row.checklist,
    }  # fmt: skip


# --- Bodies -----------------------------------------------------------------------------------------------------------
def goals_body(system: System, *, now: datetime) -> Fields:
    """Return the goals of *system* as they stand as JSON."""
    found = goals_of(system, now=now)
    return {
        "system": system.slug,
        "progress": goals.overall(each.standing for each in found),
        "goals": [
            {
                **each.said, "name": each.name, "value": each.value, "progress": each.progress,
                "valued_at": moment_text(each.valued_at) if each.value is not None else None,
            }
            for each in found
        ],
    }  # fmt: skip


def entered_body(row: GoalValue) -> Fields:
    """Return what a person said of a goal as JSON."""
    return {
        "goal": row.goal.name, "value": row.value, "note": row.note, "author": row.author, "at": moment_text(row.at),
    }  # fmt: skip


def identity_body(system: System, *, now: datetime) -> Fields:
    """Return what *system* stands for, and how much serves it, as JSON."""
    found = identity(system, now=now)
    values = [{**each, "name": name} for name, each in said_of(system, Kind.VALUE, now=now).items() if each["active"]]
    return {
        "system": system.slug, "alignment": found.score, "items": found.items, "tagged": found.tagged,
        "judged": found.judged, "values": values,
    }  # fmt: skip
