"""Evaluating rules: what the samples say becomes pending, firing and resolved alerts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from alerts import lifecycle, plan, queries
from alerts.evaluation import WORDS, Verdict, base_metric, subject_of
from alerts.models import Alert, AlertRule
from alerts.plan import Case
from subsystems.kernel.errors import TransientError
from subsystems.telemetry import queries as telemetry

logger = logging.getLogger(__name__)


@dataclass
class Changes:
    """What one evaluation does in one system. Nothing of it is done twice when two evaluators run at once."""

    new: dict[str, Case] = field(default_factory=dict)  # by fingerprint
    due: dict[str, Case] = field(default_factory=dict)  # pending or new, and held for long enough
    values: list[tuple[Alert, float]] = field(default_factory=list)
    dropped: list[Alert] = field(default_factory=list)  # pending no longer: never told, so nothing to keep
    ended: list[tuple[Alert, Alert.Resolution]] = field(default_factory=list)
    released: list[Alert] = field(default_factory=list)  # resolved by hand, and the condition was false since
    silent: list[Alert] = field(default_factory=list)
    heard: list[Alert] = field(default_factory=list)

    def any(self) -> bool:
        """Return whether there is anything to write."""
        return any(vars(self).values())


def evaluate(*, now: datetime) -> int:
    """Evaluate every enabled rule of every system; return how many alerts began to fire."""
    return sum(_evaluate(system_id, scope, now) for system_id, scope in queries.scopes().items())


def _evaluate(system_id: int, scope: queries.Scope, now: datetime) -> int:
    changes = _changes(scope, _cases(system_id, scope, now.timestamp()))
    if not changes.any():
        return 0
    with transaction.atomic():
        return _apply(system_id, scope, changes, now)


def _cases(system_id: int, scope: queries.Scope, now: float) -> list[Case]:
    rules = [queries.spec(rule) for rule in scope.rules.values()]
    if not rules:
        return []
    try:
        latest = telemetry.latest(system_id, metrics={base_metric(rule.metric) for rule in rules})
        found = list(plan.matches(rules, latest, scope.units))
        windows = queries.windows(system_id, plan.wanted_windows(found, latest), now=now)
    except TransientError as error:  # seen nothing: every open alert says so and stays as it is
        logger.warning("Alert rules cannot see any sample: %s", error)
        return []
    pending = {alert.fingerprint: alert.pending_at.timestamp() for alert in scope.alerts if alert.open}
    return plan.cases(found, latest, windows, pending, now=now)


def _changes(scope: queries.Scope, cases: Iterable[Case]) -> Changes:
    changes = Changes()
    by_key = {case.match.fingerprint: case for case in cases}
    watched = scope.units.watched_ids()
    known: set[str] = set()
    for alert in scope.alerts:
        over = _orphaned(alert, scope, watched)
        if over is not None:
            _let_go(changes, alert, over)
            continue
        known.add(alert.fingerprint)
        _follow(changes, alert, by_key.get(alert.fingerprint))
    for key, case in by_key.items():
        if key not in known and case.judgement.verdict is Verdict.HOLDS:
            changes.new[key] = case
            if case.judgement.due:
                changes.due[key] = case
    return changes


def _orphaned(alert: Alert, scope: queries.Scope, watched: set[int]) -> Alert.Resolution | None:
    if alert.rule_id not in scope.rules:
        return Alert.Resolution.RULE
    unit_id = alert.data.get("unit_id")
    return Alert.Resolution.UNIT if unit_id is not None and unit_id not in watched else None


def _let_go(changes: Changes, alert: Alert, why: Alert.Resolution) -> None:
    if alert.state == Alert.State.PENDING:
        changes.dropped.append(alert)
    elif alert.open:
        changes.ended.append((alert, why))
    else:
        changes.released.append(alert)


def _follow(changes: Changes, alert: Alert, case: Case | None) -> None:
    """Note what *case* means for an alert that is open, or was resolved by hand."""
    verdict = case.judgement.verdict if case else Verdict.NO_DATA
    if verdict is Verdict.CLEAR:
        _let_go(changes, alert, Alert.Resolution.CONDITION)
    elif not alert.open:
        return
    elif case is None or verdict is Verdict.NO_DATA:
        if alert.no_data_since is None:
            changes.silent.append(alert)
    else:
        _go_on(changes, alert, case)


def _go_on(changes: Changes, alert: Alert, case: Case) -> None:
    if alert.no_data_since is not None:
        changes.heard.append(alert)
    if alert.state == Alert.State.PENDING and case.judgement.due:
        changes.due[alert.fingerprint] = case
    elif case.judgement.value is not None and case.judgement.value != alert.value:
        changes.values.append((alert, case.judgement.value))


def _apply(system_id: int, scope: queries.Scope, changes: Changes, now: datetime) -> int:
    _mark(changes, now)
    _end(changes.ended, now)
    _drop(changes.dropped)
    _open(system_id, scope, changes.new)
    fired = _fire(system_id, scope, changes.due, now)
    told = {alert.pk for alert in fired}
    lifecycle.show_all(alert for key, alert in queries.by_fingerprints(changes.new).items() if alert.pk not in told)
    return len(fired)


def _mark(changes: Changes, now: datetime) -> None:
    """Write what changes nothing of an alert's state: values, silence, and releases."""
    for alert, value in changes.values:
        alert.value = value
    for alert in changes.silent:
        alert.no_data_since = now
    for alert in changes.heard:
        alert.no_data_since = None
    if changes.values:
        Alert.objects.bulk_update([alert for alert, _ in changes.values], ["value"], batch_size=200)
    _update(changes.silent, no_data_since=now)
    _update(changes.heard, no_data_since=None)
    _update(changes.released, held=False)
    touched = {alert.pk: alert for alert in [*(alert for alert, _ in changes.values), *changes.silent, *changes.heard]}
    lifecycle.show_all(touched.values())


def _end(ended: Sequence[tuple[Alert, Alert.Resolution]], now: datetime) -> None:
    for alert, why in ended:
        lifecycle.end(alert, why, now=now)


def _drop(pending: Sequence[Alert]) -> None:
    """Forget alerts whose condition did not hold for long enough; open dashboards see them end."""
    if not pending:
        return
    Alert.objects.filter(pk__in=[alert.pk for alert in pending], state=Alert.State.PENDING).delete()
    for alert in pending:
        alert.state = Alert.State.RESOLVED
    lifecycle.show_all(pending)


def _open(system_id: int, scope: queries.Scope, new: dict[str, Case]) -> None:
    """Insert pending alerts; one that another evaluator was quicker with is left as it is."""
    rows = [_pending(system_id, scope.rules[case.match.rule.id], key, case) for key, case in new.items()]
    Alert.objects.bulk_create(rows, ignore_conflicts=True)


def _pending(system_id: int, rule: AlertRule, key: str, case: Case) -> Alert:
    match, judgement = case.match, case.judgement
    subject = subject_of(match.source, match.series)
    return Alert(
        system_id=system_id,
        rule=rule,
        unit_id=match.unit_id,
        type="rule",
        title=f"{rule.name}: {subject}"[:200],
        subject=subject[:260],
        fingerprint=key,
        severity=rule.severity,
        value=judgement.value,
        pending_at=datetime.fromtimestamp(judgement.since or 0, tz=UTC),
        data={
            "metric": rule.metric, "series": match.series, "source": match.source, "comparison": rule.comparison,
            "condition": f"{rule.metric} {WORDS[rule.comparison]} {rule.threshold:g}", "threshold": rule.threshold,
            "unit_id": match.unit_id,
        },
    )  # fmt: skip


def _fire(system_id: int, scope: queries.Scope, due: dict[str, Case], now: datetime) -> list[Alert]:
    """Let pending alerts fire, each once, and ask S5 for an answer to those that people are told of."""
    if not due:
        return []
    herald = lifecycle.Herald.of(system_id, "rule", due, now=now)
    fired = []
    for key, alert in queries.by_fingerprints(due).items():
        cooldown = timedelta(seconds=scope.rules[due[key].match.rule.id].cooldown_seconds)
        alert.value = due[key].judgement.value
        if herald.fire(alert, cooldown):
            fired.append(alert)
    return fired


def _update(alerts: Sequence[Alert], **fields: Any) -> None:
    if alerts:
        Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(**fields)
