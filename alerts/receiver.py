"""Alerts about viability: the documented watch over the score, and the loss of any one function (002-33, 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from alerts import lifecycle, queries, wording
from alerts.evaluation import fingerprint
from alerts.models import Alert, Severity
from subsystems.health.models import Assessment
from subsystems.health.queries import rules
from subsystems.health.viability import Level
from subsystems.health.viability_watch import Notice, step
from subsystems.kernel.words import TITLES, Subsystem

COOLDOWN = timedelta(minutes=5)  # 002-39
_WORDING = {"viability": wording.Wording("Viability"), "function": wording.Wording("FunctionUnhealthy")}


@transaction.atomic
def receive_viability(payload: Mapping[str, Any], *, now: datetime) -> bool:
    """Let an assessment raise, change or end alerts; return False when it is old news."""
    assessment = Assessment.objects.select_related("system").filter(pk=payload["assessment_id"]).first()
    if assessment is None or _newer(assessment).exists():
        return False
    _watch_score(assessment, now)
    _watch_functions(assessment, now)
    return True


def _newer(assessment: Assessment) -> Any:
    return Assessment.objects.filter(system=assessment.system, slot__gt=assessment.slot)


def _watch_score(assessment: Assessment, now: datetime) -> None:
    key = fingerprint("viability", assessment.system_id)
    current = _current([key]).get(key)
    state = Level(current.severity) if current else Level.NORMAL
    found = step(state, Level(assessment.status))
    if found.notice in (Notice.CRITICAL, Notice.WARNING):
        _worse(assessment, current, Severity(found.state), key, now)
    elif found.notice is Notice.IMPROVED and current:
        _improve(assessment, current, now)
    elif found.notice is Notice.RECOVERED and current:
        _over(current, now)
    elif current and current.open and assessment.score is not None and current.value != assessment.score:
        _change(current, value=assessment.score)


def _worse(assessment: Assessment, current: Alert | None, severity: Severity, key: str, now: datetime) -> None:
    """Raise an alert, or escalate the open one: it asks for a new answer, whoever acknowledged the milder one."""
    title, data = _words(assessment, severity), _data(assessment, str(severity))
    if current is None or not current.open:
        if current:
            _change(current, held=False)
        _raise(assessment, "viability", key, severity, title, data, assessment.score, now)
        return
    labels = {**current.labels, "severity": str(severity)}
    lifecycle.grade(
        current, severity, now=now, inputs=data, title=title, value=assessment.score, data=data, labels=labels
    )


def _improve(assessment: Assessment, current: Alert, now: datetime) -> None:
    title = _words(assessment, Severity.WARNING)
    data = _data(assessment, str(Notice.IMPROVED))
    labels = {**current.labels, "severity": str(Severity.WARNING)}
    changed = {"title": title, "value": assessment.score, "data": data, "labels": labels}
    if current.open:
        lifecycle.grade(current, Severity.WARNING, now=now, inputs=data, **changed)
    else:
        _change(current, severity=Severity.WARNING, **changed)


def _watch_functions(assessment: Assessment, now: datetime) -> None:
    """Warn of each function that is unhealthy, whatever the score: losing a whole one can leave it above 0.7 (3.3)."""
    keys = {each: fingerprint("function", assessment.system_id, each) for each in Subsystem}
    current = _current(list(keys.values()))
    for each, key in keys.items():
        vital = assessment.subsystems.get(each, {})
        alert = current.get(key)
        if vital.get("status") == "unhealthy" and alert is None:
            title = f"{each.upper()} {TITLES[each]} is unhealthy: {vital['reason']}"
            data = {"subsystem": str(each), "threshold": 0.5, "comparison": "lte", "assessment_id": assessment.pk}
            _raise(assessment, "function", key, Severity.WARNING, title, data, vital["score"], now)
        elif vital.get("status") == "unhealthy" and alert is not None and alert.open and alert.value != vital["score"]:
            _change(alert, value=vital["score"])
        elif vital.get("status") in ("healthy", "degraded") and alert is not None:
            _over(alert, now)


def _current(keys: list[str]) -> dict[str, Alert]:
    """Return the alert that each fingerprint is about: the open one, else one resolved by hand and not yet released."""
    rows = Alert.objects.filter(Q(held=True) | ~Q(state=Alert.State.RESOLVED), fingerprint__in=keys)
    return {alert.fingerprint: alert for alert in sorted(rows, key=lambda alert: alert.open)}


def _raise(
    assessment: Assessment, type_: str, key: str, severity: Severity, title: str, data: dict[str, Any],
    value: float | None, now: datetime,
) -> None:  # fmt: skip
    names = wording.Subject(assessment.system.slug, str(severity), value=value, threshold=data["threshold"])
    labels, annotations = wording.rendered(_WORDING[type_], names, assessment.system.slug)
    if "subsystem" in data:
        labels["subsystem"] = data["subsystem"]
    alert = Alert(
        system=assessment.system, type=type_, title=title[:200], subject=assessment.system.slug, fingerprint=key,
        severity=severity, value=value, data=data, pending_at=now, labels=labels,
        annotations={"summary": title, **annotations},
    )  # fmt: skip
    Alert.objects.bulk_create([alert], ignore_conflicts=True)
    herald = lifecycle.Herald.of(assessment.system_id, type_, [key], now=now)
    for made in queries.by_fingerprints([key]).values():
        herald.fire(made, COOLDOWN, {"value": value, **data})


def _over(alert: Alert, now: datetime) -> None:
    if alert.open:
        lifecycle.end(alert, Alert.Resolution.CONDITION, now=now)
    else:
        _change(alert, held=False)


def _change(alert: Alert, **fields: Any) -> None:
    Alert.objects.filter(pk=alert.pk).update(**fields)
    alert.refresh_from_db()
    lifecycle.show(alert)


def _words(assessment: Assessment, severity: Severity) -> str:
    return f"Viability of {assessment.system.name} is {severity}: {assessment.score or 0:.2f}"[:200]


def _data(assessment: Assessment, change: str) -> dict[str, Any]:
    limits = rules(assessment.system)
    critical = assessment.status == Level.CRITICAL
    return {
        "change": change,
        "assessment_id": assessment.pk,
        "comparison": "lt",
        "threshold": limits.critical_threshold if critical else limits.viability_threshold,
        "weakest_link": assessment.weakest_link,
    }
