"""What assessments, alerts, signals and messages say of each system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.db.models import Count
from django.utils import timezone

from alerts.checks.queries import counts as check_counts
from alerts.models import Alert
from subsystems.algedonic import queries as algedonic
from subsystems.health.models import Assessment, ScoreSheet
from subsystems.health.scores import DEFINITIONS
from subsystems.messaging.queries import message_totals
from subsystems.s1_operations.models import Unit
from subsystems.telemetry.families import Family, counter, gauge
from vsm_site.exposition.scope import Scope

FRESH_ASSESSMENT = timedelta(minutes=2)
LAG = "coordination_lag_seconds"
# A gauge's name must not end like a part of a counter or a histogram.
SPELLED = {"unit_count": "units", "known_count": "units_known", "silent_count": "units_silent"}
RESERVED = ("_total", "_count", "_sum", "_bucket")


def assessed(scope: Scope) -> Iterator[Family]:
    """Yield viability, health and the measures behind it, as in each system's last assessment (001-11, 001-13)."""
    score = gauge("vsm_viability_score", "Viability of the system, 0 to 1.", "system")
    overall = gauge("vsm_overall_health", "Mean health of the subsystems that are known, 0 to 1.", "system")
    structural = gauge("vsm_overall_structural_viability", "Share of the structural checks that hold.", "system")
    health = gauge("vsm_system_health", "Health of each of the five subsystems, 0 to 100.", "system", "subsystem")
    ratio = gauge("vsm_system_health_ratio", "The same, 0 to 1.", "system", "subsystem")
    cards: dict[str, Family] = {}
    for slug, assessment in _newest(scope).items():
        score.add(assessment.score, slug)
        overall.add(assessment.overall_health, slug)
        structural.add(assessment.structural.get("score"), slug)
        for name, found in assessment.subsystems.items():
            known = found.get("score")
            health.add(None if known is None else 100 * known, slug, name)
            ratio.add(known, slug, name)
            _fill_card(cards, slug, name, found.get("measures") or {})
    yield from (score, overall, structural, health, ratio, *cards.values())
    yield from _lag(cards.get(f"vsm_system2_{LAG}"))


def scored(scope: Scope) -> Iterator[Family]:
    """Yield the scores of the cards (3.7); what is unknown is absent."""
    found = {each.name: gauge(each.gauge, f"{each.means} ({each.unit}).", "system") for each in DEFINITIONS}
    sheets = ScoreSheet.objects.filter(system_id__in=scope.systems, at__gte=scope.moment - FRESH_ASSESSMENT)
    for sheet in sheets.order_by("system_id"):
        for name, family in found.items():
            family.add(sheet.body.get(name, {}).get("value"), scope.systems[sheet.system_id])
    yield from found.values()


def _newest(scope: Scope) -> dict[str, Assessment]:
    rows = Assessment.objects.filter(system_id__in=scope.systems, assessed_at__gte=scope.moment - FRESH_ASSESSMENT)
    return {scope.systems[row.system_id]: row for row in rows.order_by("slot")}


def _fill_card(cards: dict[str, Family], slug: str, subsystem: str, measures: Mapping[str, Any]) -> None:
    """Add the numbers from which a subsystem was scored: `vsm_system1_…` to `vsm_system5_…`."""
    for measure, value in measures.items():
        if not isinstance(value, (int, float)):
            continue
        name = f"vsm_system{subsystem.removeprefix('s')}_{_spelled(measure)}"
        text = f"{measure.replace('_', ' ').capitalize()}, from which {subsystem.upper()} was assessed."
        cards.setdefault(name, gauge(name, text, "system")).add(float(value), slug)


def _spelled(measure: str) -> str:
    return SPELLED.get(measure) or (f"{measure}_now" if measure.endswith(RESERVED) else measure)


def _lag(seconds: Family | None) -> Iterator[Family]:
    """Yield the documented name, in milliseconds as its events are, and the one in base units (2-20)."""
    base = gauge("vsm_coordination_lag_seconds", "How late coordinated work began, mean of five minutes.", "system")
    documented = gauge("vsm_coordination_lag", "The same in milliseconds, under its documented name.", "system")
    for values, number in seconds.rows if seconds else ():
        base.add(number, *values)
        documented.add(1000 * number, *values)
    yield from (base, documented)


def counted(scope: Scope) -> Iterator[Family]:
    """Yield how many units and firing alerts there are."""
    units = gauge("vsm_units", "Units by kind and state.", "system", "kind", "state")
    rows = Unit.objects.filter(system_id__in=scope.systems).values_list("system_id", "kind", "state").order_by()
    for system_id, kind, state, n in rows.annotate(Count("pk")):
        units.add(n, scope.systems[system_id], kind, state)
    alerts = gauge("vsm_alerts_firing", "Alerts that fire.", "system", "severity")
    firing = Alert.objects.filter(system_id__in=scope.systems, state=Alert.State.FIRING).order_by()
    for system_id, severity, n in firing.values_list("system_id", "severity").annotate(Count("pk")):
        alerts.add(n, scope.systems[system_id], severity)
    checks = gauge("vsm_checks", "Jobs that are to say that they ran, by status.", "system", "status")
    for (system_id, status), n in check_counts(scope.systems, now=timezone.now()).items():
        checks.add(n, scope.systems[system_id], status)
    yield from (units, alerts, checks)


def signals(scope: Scope) -> Iterator[Family]:
    """Yield signals under the documented name and, as Prometheus asks of a counter, with `_total` (2-21)."""
    labels = ("system", "type", "severity")
    total = counter("vsm_algedonic_signals", "Algedonic signals recorded.", *labels)
    documented = gauge("vsm_algedonic_signals", "The same under its documented name.", *labels, alias=True)
    for system_id, type_, severity, n in algedonic.tallies(scope.systems):
        for family in (total, documented):
            family.add(n, scope.systems[system_id], type_, severity)
    unfinished = gauge("vsm_algedonic_signals_open", "Signals that are not over.", *labels)
    for system_id, type_, severity, n in algedonic.open_counts(scope.systems):
        unfinished.add(n, scope.systems[system_id], type_, severity)
    yield from (total, documented, unfinished)


def messages(scope: Scope) -> Iterator[Family]:
    """Yield how many messages were accepted, by channel and its two ends (001-18)."""
    family = counter(
        "vsm_messages", "Messages accepted, by channel and its ends.", "system", "channel", "sender", "recipient"
    )
    shown = {**scope.systems, 0: ""} if scope.shows_platform else scope.systems  # some are of no system
    for system_id, channel, sender, recipient, n in message_totals(shown):
        family.add(n, shown[system_id], channel, sender, recipient)
    yield family
