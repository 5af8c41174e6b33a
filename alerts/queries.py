"""Reading rules and alerts. The number of queries does not depend on how many rules, units or alerts there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from alerts.evaluation import COMPARISONS, STALE_SECONDS, Condition, base_metric, subject_of
from alerts.limits import WINDOW, Told
from alerts.models import Alert, AlertRule
from alerts.plan import RuleSpec, UnitRef, Units, Window, matches
from subsystems.kernel.errors import Invalid
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from subsystems.s1_operations.models import Unit
from subsystems.telemetry import queries as telemetry
from subsystems.telemetry.samples import series_name

NOT_WATCHED = (Unit.State.PAUSED, Unit.State.GONE)
LONGEST_COOLDOWN = timedelta(days=1)


@dataclass
class Scope:
    """All that one system's evaluation needs from the database."""

    rules: dict[int, AlertRule] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)  # open, or resolved by hand while their condition held
    units: Units = field(default_factory=Units)


def scopes() -> dict[int, Scope]:
    """Return what is to be evaluated, by system; a system without rules and open alerts is not among them."""
    found: dict[int, Scope] = defaultdict(Scope)
    for rule in AlertRule.objects.filter(enabled=True):
        found[rule.system_id].rules[rule.pk] = rule
    for alert in _with_names(Alert.objects.filter(type="rule").filter(~Q(state=Alert.State.RESOLVED) | Q(held=True))):
        found[alert.system_id].alerts.append(alert)
    units = _units(found) if found else {}
    for system_id, scope in found.items():
        scope.units = Units.of(units.get(system_id, []))
    return dict(found)


def spec(rule: AlertRule) -> RuleSpec:
    """Return *rule* as its evaluation sees it."""
    condition = Condition(rule.comparison, rule.threshold, rule.for_seconds)
    return RuleSpec(rule.pk, rule.metric, condition, rule.unit_id, rule.unit_kind)


def windows(system_id: int, wanted: dict[str, tuple[float, set[str]]], *, now: float) -> Window:
    """Read the windows that *wanted* names: one reading per metric."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for metric, (seconds, sources) in wanted.items():
        read = telemetry.window(system_id, metric, sources=sources, start=now - seconds, end=now)
        for (source, labels), (at, values) in read.items():
            found[source, series_name(metric, labels)] = list(zip(at.tolist(), values.tolist(), strict=True))
    return found


def last_told(fingerprints: Collection[str], *, now: datetime) -> dict[str, Told]:
    """Return when people were last told of each fingerprint, where they were at all."""
    told = Alert.objects.filter(
        fingerprint__in=fingerprints, fired_at__gte=now - LONGEST_COOLDOWN, suppressed=""
    ).order_by("fired_at")
    rows = told.values_list("fingerprint", "fired_at", "severity", "data")
    return {key: Told(at, severity, data.get("repeats", 0)) for key, at, severity, data in rows if at}


def told_last_hour(system_id: int, type_: str, *, now: datetime) -> int:
    """Return how many alerts of *type_* people were told of in the last 60 minutes; critical ones do not count."""
    told = Alert.objects.filter(system_id=system_id, type=type_, fired_at__gt=now - WINDOW, suppressed="")
    return told.exclude(severity="critical").count()


def open_alerts(system: System) -> QuerySet[Alert]:
    """Return the pending and firing alerts of *system*, newest first."""
    return _with_names(Alert.objects.filter(system=system).exclude(state=Alert.State.RESOLVED))


def by_fingerprints(fingerprints: Iterable[str]) -> dict[str, Alert]:
    """Return the open alerts with these fingerprints."""
    rows = _with_names(Alert.objects.filter(fingerprint__in=list(fingerprints)).exclude(state=Alert.State.RESOLVED))
    return {alert.fingerprint: alert for alert in rows}


def preview(
    system: System,
    metric: str,
    unit_kind: str = "",
    unit_id: int | None = None,
    comparison: str = "gt",
    threshold: float | None = None,
    *,
    now: float | None = None,
) -> list[dict[str, Any]]:
    """Return the current value of each series that such a rule would watch, and whether it meets the condition.

    `matches` is None without a threshold, and for a series that has been silent for over 30 s. Raises Invalid.
    """
    if comparison not in COMPARISONS:
        raise Invalid(f"A comparison is one of {', '.join(COMPARISONS)}.", field="comparison")
    now = timezone.now().timestamp() if now is None else now
    condition = Condition(comparison, 0.0 if threshold is None else threshold)
    rule = RuleSpec(0, metric, condition, unit_id, unit_kind)
    latest = telemetry.latest(system.pk, metrics=[base_metric(metric)])
    units = Units.of(_units([system.pk]).get(system.pk, []))
    lines = []
    for match in matches([rule], latest, units):
        at, value = latest[match.source][match.series]
        stale = now - at > STALE_SECONDS
        lines.append(
            {
                "subject": subject_of(match.source, match.series),
                "unit_id": match.unit_id,
                "value": value,
                "at": moment_text(at),
                "stale": stale,
                "matches": None if threshold is None or stale else condition.matches(value),
            }
        )
    return sorted(lines, key=lambda line: str(line["subject"]))


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
        "resolved_at": moment_text(alert.resolved_at),
        "resolved_by": alert.resolved_by.get_username() if alert.resolved_by else None,
        "resolution": str(alert.resolution),
        "acknowledged_at": moment_text(alert.acknowledged_at),
        "acknowledged_by": alert.acknowledged_by.get_username() if alert.acknowledged_by else None,
        "comment": alert.comment,
        "suppressed": alert.suppressed,
        "repeats": alert.data.get("repeats", 0),
        "no_data_since": moment_text(alert.no_data_since),
        "escalation_level": alert.escalation_level,
    }


def _units(system_ids: Iterable[int]) -> dict[int, list[UnitRef]]:
    found: dict[int, list[UnitRef]] = defaultdict(list)
    rows = Unit.objects.filter(system_id__in=list(system_ids)).order_by("pk")
    for system_id, pk, name, kind, state in rows.values_list("system_id", "pk", "name", "kind", "state"):
        found[system_id].append(UnitRef(pk, name, kind, watched=state not in NOT_WATCHED))
    return found


def _with_names(alerts: QuerySet[Alert]) -> QuerySet[Alert]:
    return alerts.select_related("unit", "acknowledged_by", "resolved_by")
