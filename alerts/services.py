"""Rules, and what people do with the alerts they raise."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from alerts import lifecycle
from alerts.evaluator import evaluate as evaluate
from alerts.lifecycle import shown
from alerts.models import Alert, AlertRule
from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.models import System
from subsystems.s1_operations import adapters
from subsystems.s5_policy import services as s5
from subsystems.telemetry.samples import METRIC_NAME

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
    return add_rule(AlertRule(system=system, created_by=by), **fields)


def add_rule(rule: AlertRule, **fields: Any) -> AlertRule:
    """Add a rule that a form has made. Raises Invalid naming the first field that cannot be used."""
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
    return shown(alert)


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
    return shown(alert)


def forget_alerts(*, now: datetime) -> int:
    """Delete alerts that have been over for 30 days; return how many."""
    s5.forget_decisions(now=now)
    return Alert.objects.filter(state=Alert.State.RESOLVED, resolved_at__lt=now - KEEP).delete()[0]


def _end_rule(rule: AlertRule, *, now: datetime) -> None:
    for alert in Alert.objects.filter(rule=rule).exclude(state=Alert.State.RESOLVED):
        lifecycle.end(alert, Alert.Resolution.RULE, now=now)
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
    check_rule(rule)
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


def check_rule(rule: AlertRule) -> None:
    """Raise Invalid naming the first field with which *rule* could not work."""
    try:
        rule.full_clean()
    except ValidationError as error:
        _refuse(error)
    if not RULE_METRIC.fullmatch(rule.metric):
        raise Invalid('A metric is like cpu_ratio, or with labels like size{queue="mail"}.', field="metric")
    if not math.isfinite(rule.threshold):
        raise Invalid("The threshold must be a finite number.", field="threshold")
    if rule.unit_kind and rule.unit_kind not in adapters.registry():
        raise Invalid(f"The types of units are {', '.join(sorted(adapters.registry()))}.", field="unit_kind")
    if rule.unit is not None and rule.unit.system_id != rule.system_id:
        raise Invalid("This unit belongs to another system.", field="unit")
    if rule.unit is not None and rule.unit_kind not in ("", rule.unit.kind):
        raise Invalid(f"This unit is a {rule.unit.kind}, not a {rule.unit_kind}.", field="unit_kind")


def _refuse(error: ValidationError) -> None:
    name, messages = next(iter(error.message_dict.items()))
    if name == "__all__":
        raise Invalid("Another rule has this name.", field="name")
    raise Invalid(str(messages[0]), field=name)
