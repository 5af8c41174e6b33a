"""Numbers of rules and of answers, each in a handful of queries however many alerts there were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, DurationField, ExpressionWrapper, F, Q, Sum, Value
from django.db.models.functions import Coalesce

from alerts.models import Alert, AlertNotice, AlertRule
from alerts.numbers.weeks import Fired, Told, told
from subsystems.recursion.models import System

DAYS = timedelta(days=30)
SOON = timedelta(minutes=5)
READ_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Noise:
    """One rule over 30 days. Shares are None where it never fired."""

    rule: AlertRule
    fired: int = 0
    minutes: float = 0.0
    told: int = 0
    acknowledged: float | None = None
    by_itself: float | None = None  # was over by itself within five minutes
    false_alarms: int = 0
    share: float = 0.0  # of all that fired


def noise(system: System, *, now: datetime) -> list[Noise]:
    """Return each rule of *system* with its noise, the noisiest first, in three queries."""
    fired = Alert.objects.filter(system=system, rule__isnull=False, fired_at__gte=now - DAYS).order_by()
    lasted = ExpressionWrapper(Coalesce(F("resolved_at"), Value(now)) - F("fired_at"), output_field=DurationField())
    soon = Q(resolution=Alert.Resolution.CONDITION, resolved_at__lte=F("fired_at") + SOON)
    rows = {
        row["rule"]: row
        for row in fired.values("rule").annotate(
            fired=Count("pk"), lasted=Sum(lasted), soon=Count("pk", filter=soon),
            acknowledged=Count("pk", filter=Q(acknowledged_at__isnull=False)),
            wrong=Count("pk", filter=Q(resolution=Alert.Resolution.FALSE_ALARM)),
        )
    }  # fmt: skip
    lines = AlertNotice.objects.filter(alert__system=system, at__gte=now - DAYS, notification__isnull=False).order_by()
    sent = dict(lines.values_list("alert__rule").annotate(Count("notification", distinct=True)))
    total = sum(row["fired"] for row in rows.values())
    rules = AlertRule.objects.filter(system=system)
    found = [_noise(rule, rows.get(rule.pk), sent.get(rule.pk, 0), total) for rule in rules]
    return sorted(found, key=lambda each: -each.fired)


def _noise(rule: AlertRule, row: Mapping[str, Any] | None, sent: int, total: int) -> Noise:
    if row is None:
        return Noise(rule, told=sent)
    fired, lasted = row["fired"], row["lasted"]
    minutes = lasted.total_seconds() / 60 if isinstance(lasted, timedelta) else 0.0
    counts = {name: row[name] for name in ("acknowledged", "soon", "wrong")}
    return Noise(
        rule, fired, minutes, sent, counts["acknowledged"] / fired, counts["soon"] / fired, counts["wrong"],
        fired / total,
    )  # fmt: skip


def statistics(system: System, *, now: datetime) -> Told:
    """Return what fired in *system* in the last 30 days as numbers, in one query."""
    since = now - DAYS
    return told(_fired(system, since), since.date(), now.date())


def _fired(system: System, since: datetime) -> Iterator[Fired]:
    names = ("severity", "fired_at", "acknowledged_at", "resolved_at", "resolution")
    rows = Alert.objects.filter(system=system, fired_at__gte=since).order_by().values_list(*names)
    for row in rows.iterator(chunk_size=READ_AT_ONCE):
        yield Fired(*row)
