"""Reading rules and alerts. The number of queries does not depend on how many rules, units or alerts there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce

from alerts.conditions import KINDS
from alerts.limits import WINDOW, Told
from alerts.models import Alert, AlertComment, AlertRule, Severity
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System

PEOPLE = ("acknowledged_by", "assigned_to", "snoozed_by", "resolved_by")  # whose names `alert_body` tells
LONGEST_COOLDOWN = timedelta(days=1)


def watched_alerts(shard: int = 0, of: int = 1) -> list[Alert]:
    """Return the alerts that an evaluation of *shard* looks after: open, or resolved by hand and still held."""
    rows = _with_names(Alert.objects.filter(type="rule").filter(~Q(state=Alert.State.RESOLVED) | Q(held=True)))
    if of > 1:
        rows = rows.annotate(shard=F("rule_id") % of).filter(Q(shard=shard) | (Q(rule_id=None) if not shard else Q()))
    return list(rows)


def last_told(fingerprints: Collection[str], *, now: datetime) -> dict[str, Told]:
    """Return when people were last told of each fingerprint, where they were at all."""
    told = Alert.objects.filter(
        fingerprint__in=fingerprints, fired_at__gte=now - LONGEST_COOLDOWN, suppressed=""
    ).order_by("fired_at")
    rows = told.values_list("fingerprint", Coalesce("released_at", "fired_at"), "severity", "data")
    return {key: Told(at, severity, data.get("repeats", 0)) for key, at, severity, data in rows if at}


def told_last_hour(system_id: int, type_: str, *, now: datetime) -> int:
    """Return how many alerts of *type_* people were told of in the last 60 minutes; critical ones do not count."""
    lately = Q(fired_at__gt=now - WINDOW) | Q(released_at__gt=now - WINDOW)
    told = Alert.objects.filter(lately, system_id=system_id, type=type_, suppressed="")
    return told.exclude(severity="critical").count()


def open_alerts(system: System) -> QuerySet[Alert]:
    """Return the pending and firing alerts of *system*, newest first."""
    return _with_names(Alert.objects.filter(system=system).exclude(state=Alert.State.RESOLVED))


def most_urgent(system: System, limit: int) -> list[Alert]:
    """Return the *limit* most urgent open alerts of *system*: firing ones first, then critical, then new."""
    ranks = Case(*(When(severity=name, then=Value(rank)) for rank, name in enumerate(Severity.values)), default=9)
    pending = Case(When(state=Alert.State.PENDING, then=Value(1)), default=0)
    return list(open_alerts(system).order_by(pending, ranks, "-pk")[:limit])


def alert_totals(system: System) -> dict[str, Any]:
    """Return how many alerts of *system* are open, by state, and how many of the firing ones by severity."""
    rows = Alert.objects.filter(system=system).exclude(state=Alert.State.RESOLVED).order_by()
    counts = list(rows.values_list("state", "severity").annotate(n=Count("pk")))
    states: Counter[str] = Counter()
    for state, _, n in counts:
        states[state] += n
    firing = {severity: n for state, severity, n in counts if state == Alert.State.FIRING}
    return {
        "all": states.total(),
        "states": dict(states),
        "firing": {each: firing.get(each, 0) for each in Severity.values},
    }


def by_fingerprints(fingerprints: Iterable[str]) -> dict[str, Alert]:
    """Return the open alerts with these fingerprints."""
    rows = _with_names(Alert.objects.filter(fingerprint__in=list(fingerprints)).exclude(state=Alert.State.RESOLVED))
    return {alert.fingerprint: alert for alert in rows}


def what(rule: AlertRule) -> str:
    """Return in words what the rule's number is of."""
    if rule.kind == "threshold":
        over = f"{rule.aggregation} of {rule.metric} over {rule.window_seconds} s"
        return over if rule.window_seconds else rule.metric
    return f"{KINDS[rule.kind].title.lower()} {rule.metric}".strip()


def error_alert(rule: AlertRule) -> Alert | None:
    """Return the open alert about the rule itself, where it cannot be evaluated."""
    return Alert.objects.filter(rule=rule, state=Alert.State.ERROR).first()


def alert_body(alert: Alert) -> dict[str, Any]:
    """Return one alert as JSON."""
    return {
        "id": alert.pk,
        "title": alert.title,
        "type": alert.type,
        "severity": str(alert.severity),
        "state": str(alert.state),
        "unit_id": alert.unit_id,
        "unit": alert.unit.name if alert.unit else None,
        "subject": alert.subject,
        "metric": alert.data.get("metric"),
        "comparison": alert.data.get("comparison"),
        "threshold": alert.data.get("threshold"),
        "value": alert.value,
        "rule_id": alert.rule_id,
        "pending_at": moment_text(alert.pending_at),
        "fired_at": moment_text(alert.fired_at),
        "recovering_at": moment_text(alert.recovering_at),
        "resolved_at": moment_text(alert.resolved_at),
        "resolved_by": alert.resolved_by.get_username() if alert.resolved_by else None,
        "resolution": str(alert.resolution),
        "acknowledged_at": moment_text(alert.acknowledged_at),
        "acknowledged_by": alert.acknowledged_by.get_username() if alert.acknowledged_by else None,
        "acknowledged_until": moment_text(alert.acknowledged_until),
        "comment": alert.comment,
        "assigned_to": alert.assigned_to.get_username() if alert.assigned_to else None,
        "snoozed_until": moment_text(alert.snoozed_until),
        "snoozed_by": alert.snoozed_by.get_username() if alert.snoozed_by else None,
        "suppressed": alert.suppressed,
        "repeats": alert.data.get("repeats", 0),
        "no_data_since": moment_text(alert.no_data_since),
        "escalation_level": alert.escalation_level,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "rule_version": alert.rule_version,
    }


def _with_names(alerts: QuerySet[Alert]) -> QuerySet[Alert]:
    return alerts.select_related("unit", *PEOPLE)


def comment_body(comment: AlertComment) -> dict[str, Any]:
    """Return what somebody wrote about an alert as JSON."""
    return {"id": comment.pk, "by": comment.author_name, "text": comment.text, "at": moment_text(comment.at)}
