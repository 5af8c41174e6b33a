"""Rules and the life of their alerts: pending, firing, acknowledged, resolved."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from alerts import plan, queries
from alerts.evaluation import WORDS, Verdict, base_metric, subject_of
from alerts.limits import Told, suppression
from alerts.models import Alert, AlertRule
from alerts.plan import Case
from subsystems.kernel.errors import Invalid, Refused, TransientError
from subsystems.messaging import live
from subsystems.recursion.models import System
from subsystems.s5_policy import services as s5
from subsystems.s5_policy.models import AlertPolicy
from subsystems.s5_policy.queries import alert_policy, answer_time
from subsystems.telemetry import queries as telemetry
from subsystems.telemetry.samples import METRIC_NAME
from subsystems.telemetry.store import hot_tier

logger = logging.getLogger(__name__)
KEEP = timedelta(days=30)  # 002-48
EDITABLE = (
    "name", "metric", "unit", "unit_kind", "comparison", "threshold", "for_seconds", "severity", "cooldown_seconds",
    "enabled",
)  # fmt: skip
CONDITION = ("metric", "unit_id", "unit_kind", "comparison", "threshold", "for_seconds", "severity", "enabled")
RULE_METRIC = re.compile(rf"(?:{METRIC_NAME.pattern})(?:\{{.+\}})?")


# --- Rules --------------------------------------------------------------------------------------------------------


def create_rule(system: System, by: User | None, **fields: Any) -> AlertRule:
    """Add a rule to *system*. Raises Invalid naming the first field that cannot be used."""
    rule = AlertRule(system=system, created_by=by)
    _fill(rule, fields)
    return rule


@transaction.atomic
def update_rule(rule: AlertRule, **fields: Any) -> AlertRule:
    """Change a rule. Its open alerts end where its condition changed: they told of something else. Raises Invalid."""
    before = AlertRule.objects.get(pk=rule.pk)
    _fill(rule, fields)
    if any(getattr(before, name) != getattr(rule, name) for name in CONDITION):
        _end_rule(rule, now=timezone.now())
    return rule


@transaction.atomic
def delete_rule(rule: AlertRule) -> None:
    """Delete a rule and end its open alerts, which are kept as history."""
    _end_rule(rule, now=timezone.now())
    AlertRule.objects.filter(pk=rule.pk).delete()


# --- What people do with alerts -----------------------------------------------------------------------------------


@transaction.atomic
def acknowledge(alert: Alert, by: User, comment: str = "") -> Alert:
    """Record that *by* has seen the alert. Raises Refused when it is over or somebody else was first."""
    if len(comment) > 500:
        raise Invalid("A comment is 500 characters at most.", field="comment")
    now = timezone.now()
    waiting = Alert.objects.filter(pk=alert.pk, acknowledged_at=None).exclude(state=Alert.State.RESOLVED)
    if not waiting.update(acknowledged_at=now, acknowledged_by=by, comment=comment):
        raise _not_open(alert, "acknowledged")
    s5.answer(alert.system_id, alert.fingerprint, at=now)
    return _shown(alert)


@transaction.atomic
def resolve(alert: Alert, by: User) -> Alert:
    """End an alert by hand; it does not fire again before its condition was once false.

    Raises Refused when it is over already.
    """
    now = timezone.now()
    still = Alert.objects.filter(pk=alert.pk).exclude(state=Alert.State.RESOLVED)
    ended = {"state": Alert.State.RESOLVED, "resolved_at": now, "resolution": Alert.Resolution.HAND}
    if not still.update(**ended, resolved_by=by, held=True):
        raise _not_open(alert, "resolved")
    s5.answer(alert.system_id, alert.fingerprint, at=now)
    return _shown(alert)


def forget_alerts(*, now: datetime) -> int:
    """Delete alerts that have been over for 30 days; return how many."""
    s5.forget_decisions(now=now)
    return Alert.objects.filter(state=Alert.State.RESOLVED, resolved_at__lt=now - KEEP).delete()[0]


# --- Evaluation ---------------------------------------------------------------------------------------------------


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
    _show(alert for key, alert in queries.by_fingerprints(changes.new).items() if alert.pk not in told)
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
    _show(touched.values())


def _end(ended: Sequence[tuple[Alert, Alert.Resolution]], now: datetime) -> None:
    for alert, why in ended:
        end(alert, why, now=now)


def end(alert: Alert, why: Alert.Resolution, *, now: datetime) -> bool:
    """Resolve a firing or pending alert that the platform itself sees the end of; False when it was over already."""
    still = Alert.objects.filter(pk=alert.pk).exclude(state=Alert.State.RESOLVED)
    if not still.update(state=Alert.State.RESOLVED, resolved_at=now, resolution=why):
        return False
    s5.answer(alert.system_id, alert.fingerprint, at=now)
    _shown(alert)
    return True


def _drop(pending: Sequence[Alert]) -> None:
    """Forget alerts whose condition did not hold for long enough; open dashboards see them end."""
    if not pending:
        return
    Alert.objects.filter(pk__in=[alert.pk for alert in pending], state=Alert.State.PENDING).delete()
    for alert in pending:
        alert.state = Alert.State.RESOLVED
    _show(pending)


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
    herald = Herald.of(system_id, "rule", due, now=now)
    fired = []
    for key, alert in queries.by_fingerprints(due).items():
        cooldown = timedelta(seconds=scope.rules[due[key].match.rule.id].cooldown_seconds)
        alert.value = due[key].judgement.value
        if herald.fire(alert, cooldown):
            fired.append(alert)
    return fired


@dataclass
class Herald:
    """Decides for one system and type whom to spare, and counts while it goes."""

    policy: AlertPolicy
    before: dict[str, Told]
    told: int
    now: datetime

    @classmethod
    def of(cls, system_id: int, type_: str, fingerprints: Iterable[str], *, now: datetime) -> Herald:
        """Return the herald for alerts of *type_* with these fingerprints."""
        before = queries.last_told(list(fingerprints), now=now)
        told = queries.told_last_hour(system_id, type_, now=now)
        return cls(alert_policy(System(pk=system_id)), before, told, now)

    def fire(self, alert: Alert, cooldown: timedelta) -> bool:
        """Let a pending alert fire; False when another evaluator was quicker."""
        before = self.before.get(alert.fingerprint)
        spared = suppression(
            alert.severity, now=self.now, cooldown=cooldown, before=before, told_last_hour=self.told,
            max_per_hour=self.policy.max_alerts_per_hour,
        )  # fmt: skip
        again = before is not None and self.now - before.at < cooldown
        data = {**alert.data, "repeats": before.repeats + 1 if before and again else 0}
        changed = {"state": Alert.State.FIRING, "fired_at": self.now, "suppressed": spared, "data": data}
        waiting = Alert.objects.filter(pk=alert.pk, state=Alert.State.PENDING)
        if not waiting.update(**changed, value=alert.value, severity=alert.severity):
            return False
        self.told += not spared and alert.severity != "critical"
        tell(alert, spared, answer_time(self.policy, alert.severity), now=self.now)
        _shown(alert)
        return True


def tell(alert: Alert, spared: str, within: timedelta | None, *, now: datetime) -> None:
    """Log an alert that fires and ask S5 for an answer; one that is held back is only counted."""
    if spared:
        logger.debug("Alert rate limited (%s): %s", spared, alert.title)  # 002-41
        hot_tier().count("alerts_suppressed")
        return
    level = logging.ERROR if alert.severity == "critical" else logging.WARNING  # 002-34, 002-43
    logger.log(level, "Alert %s: %s", alert.severity, alert.title)
    if within is not None:
        s5.ask(alert.system_id, alert.fingerprint, asked_at=now, within=within)


# --- Shared ---------------------------------------------------------------------------------------------------------


def show(alert: Alert) -> None:
    """Show *alert* on open dashboards once the transaction commits."""
    body = queries.alert_body(alert)
    transaction.on_commit(lambda: live.push(alert.system_id, "alert", str(alert.pk), body))


def _shown(alert: Alert) -> Alert:
    alert.refresh_from_db()
    show(alert)
    return alert


def _show(alerts: Iterable[Alert]) -> None:
    for alert in alerts:
        show(alert)


def _update(alerts: Sequence[Alert], **fields: Any) -> None:
    if alerts:
        Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(**fields)


def _end_rule(rule: AlertRule, *, now: datetime) -> None:
    for alert in Alert.objects.filter(rule=rule).exclude(state=Alert.State.RESOLVED):
        end(alert, Alert.Resolution.RULE, now=now)
    Alert.objects.filter(rule=rule, held=True).update(held=False)


def _not_open(alert: Alert, wanted: str) -> Refused:
    now = Alert.objects.select_related("acknowledged_by").filter(pk=alert.pk).first()
    if now is not None and now.open and now.acknowledged_by:
        return Refused(f"{now.acknowledged_by} has acknowledged this alert already.", code="already_acknowledged")
    return Refused(f"This alert is over: it can no longer be {wanted}.", code="not_open")


def _fill(rule: AlertRule, fields: dict[str, Any]) -> None:
    """Set *fields* and save. Raises Invalid naming the first that cannot be used."""
    for name, value in fields.items():
        if name not in EDITABLE:
            raise Invalid(f"A rule has no field {name!r} that can be set.", field=name)
        _set(rule, name, value)
    _check(rule)
    try:
        with transaction.atomic():
            rule.save()
    except IntegrityError:
        raise Invalid("Another rule has this name.", field="name") from None


def _set(rule: AlertRule, name: str, value: Any) -> None:
    try:
        setattr(rule, name, value)
    except (TypeError, ValueError) as error:  # a unit that is no Unit
        raise Invalid(str(error), field=name) from None


def _check(rule: AlertRule) -> None:
    try:
        rule.full_clean()
    except ValidationError as error:
        _refuse(error)
    if not RULE_METRIC.fullmatch(rule.metric):
        raise Invalid('A metric is like cpu_ratio, or with labels like size{queue="mail"}.', field="metric")
    if not math.isfinite(rule.threshold):
        raise Invalid("The threshold must be a finite number.", field="threshold")
    if rule.unit is not None and rule.unit.system_id != rule.system_id:
        raise Invalid("This unit belongs to another system.", field="unit")
    if rule.unit is not None and rule.unit_kind not in ("", rule.unit.kind):
        raise Invalid(f"This unit is a {rule.unit.kind}, not a {rule.unit_kind}.", field="unit_kind")


def _refuse(error: ValidationError) -> None:
    name, messages = next(iter(error.message_dict.items()))
    if name == "__all__":
        raise Invalid("Another rule has this name.", field="name")
    raise Invalid(str(messages[0]), field=name)
