"""Rules and their evaluation; what people do with alerts is in `alerts/people/acting.py`, and offered here."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from alerts import lifecycle, templates
from alerts.conditions import KINDS
from alerts.conditions.kind import Feed, Kind
from alerts.evaluator import evaluate as evaluate
from alerts.limits import RANK
from alerts.machine import MAX_STEPS
from alerts.models import Alert, AlertRule, RuleVersion
from alerts.notices.queries import ESCALATION_LABEL, escalations_of
from alerts.people.acting import acknowledge as acknowledge
from alerts.people.acting import assign as assign
from alerts.people.acting import comment as comment
from alerts.people.acting import resolve as resolve
from alerts.people.acting import snooze as snooze
from alerts.people.acting import unacknowledge as unacknowledge
from alerts.people.acting import unsnooze as unsnooze
from subsystems.kernel.errors import Invalid, NotListed
from subsystems.kernel.slots import slot_of
from subsystems.messaging.models import SlotRun
from subsystems.messaging.slots import claim_slot
from subsystems.recursion.models import System
from subsystems.recursion.queries import systems_for
from subsystems.s1_operations import adapters
from subsystems.s1_operations.models import Unit
from subsystems.s5_policy import services as s5
from subsystems.telemetry.samples import METRIC_NAME
from subsystems.telemetry.selection import matchers

EVALUATED_EVERY_SECONDS = 5
KEEP = timedelta(days=30)  # 002-48
EDITABLE = (
    "name", "kind", "params", "metric", "unit", "unit_kind", "match", "subtree", "aggregation", "window_seconds",
    "across", "at_least", "comparison", "threshold", "recover_threshold", "severity_steps", "for_seconds",
    "keep_firing_seconds", "stale_seconds", "no_data_policy", "error_policy", "interval_seconds", "severity",
    "cooldown_seconds", "enabled", "labels", "annotations", "runbook_url", "owner",
)  # fmt: skip
TOLD = ("name", "cooldown_seconds", "labels", "annotations", "runbook_url", "owner")  # open alerts go on under these
CONDITION = tuple(name for name in EDITABLE if name not in TOLD)
RULE_METRIC = re.compile(rf"(?:{METRIC_NAME.pattern})(?:\{{.+\}})?")


# --- Rules --------------------------------------------------------------------------------------------------------


def create_rule(system: System, by: User | None, **fields: Any) -> AlertRule:
    """Add a rule to *system*. Raises Invalid naming the first field that cannot be used."""
    return add_rule(AlertRule(system=system, created_by=by), **fields)


def add_rule(rule: AlertRule, **fields: Any) -> AlertRule:
    """Add a rule that a form has made. Raises Invalid naming the first field that cannot be used."""
    with transaction.atomic():
        _fill(rule, fields)
        _remember(rule, rule.created_by, [])
    return rule


def drafted(system: System, **fields: Any) -> AlertRule:
    """Return a rule that is not saved, to be looked at. Its name need not be free. Raises Invalid."""
    rule = AlertRule(system=system)
    for name, value in fields.items():
        _set(rule, name, value)
    rule.name = f"{rule.name[:80]} {uuid4().hex}" if rule.name else uuid4().hex
    check_rule(rule)
    return rule


@transaction.atomic
def update_rule(rule: AlertRule, by: User | None = None, **fields: Any) -> AlertRule:
    """Change a rule. Its open alerts end where its condition changed: they told of something else. Raises Invalid."""
    before = AlertRule.objects.select_for_update().get(pk=rule.pk)
    rule.version = before.version + 1
    _fill(rule, fields)
    changed = [name for name in EDITABLE if getattr(before, _column(name)) != getattr(rule, _column(name))]
    if not changed:
        rule.version = before.version
        AlertRule.objects.filter(pk=rule.pk).update(version=before.version)
        return rule
    if not before.versions.exists():  # older than the history
        _remember(before, None, [], at=before.updated_at)
    _remember(rule, by, changed)
    if any(name in CONDITION for name in changed):
        _end_rule(rule, now=timezone.now())
    return rule


def revert_rule(rule: AlertRule, version: int, by: User | None = None) -> AlertRule:
    """Give a rule the fields that it had in *version*, as a change of its own. Raises NotListed and Invalid."""
    row = RuleVersion.objects.filter(rule=rule, version=version).first()
    if row is None:
        raise NotListed(f"This rule has no version {version}.", field="version")
    fields = {name: value for name, value in row.fields.items() if name in EDITABLE}
    for name, model in (("unit", Unit), ("owner", User)):
        wanted = fields.get(name)
        fields[name] = model.objects.filter(pk=wanted).first() if wanted else None
        if wanted and fields[name] is None:
            raise Invalid(f"The {name} of that version is gone.", field=name)
    return update_rule(rule, by, **fields)


@transaction.atomic
def delete_rule(rule: AlertRule) -> None:
    """Delete a rule and end its open alerts, which are kept as history."""
    _end_rule(rule, now=timezone.now())
    AlertRule.objects.filter(pk=rule.pk).delete()


# --- Evaluation ---------------------------------------------------------------------------------------------------


def evaluate_slot(*, now: datetime, shard: int = 0, of: int = 1, again: bool = False) -> int:
    """Evaluate the rules of *shard* once in the current slot; return how many alerts began to fire.

    *again*: the worker that had claimed the slot died over it. All that lasts is in the alerts, so the same slot, or
    the next one, goes on from whatever was written.
    """
    job = f"alerts.evaluate.{shard}.{of}"
    slot = claim_slot(job, EVALUATED_EVERY_SECONDS, now=now, scheduled=False)
    if slot is None:
        slot = slot_of(now, EVALUATED_EVERY_SECONDS)
        if not again or not SlotRun.objects.filter(job=job, slot=slot, finished_at=None).exists():
            return 0
    fired = evaluate(now=now, shard=shard, of=of)
    SlotRun.objects.filter(job=job, slot=slot).update(finished_at=timezone.now())
    return fired


def overdue(*, now: datetime) -> bool:
    """Return whether nobody has evaluated any rule for three slots."""
    since = now.timestamp() - 3 * EVALUATED_EVERY_SECONDS
    return not SlotRun.objects.filter(job__startswith="alerts.evaluate.", slot__gt=since).exists()


# --- What ends -----------------------------------------------------------------------------------------------------


def forget_alerts(*, now: datetime) -> int:
    """Delete alerts that have been over for 30 days; return how many."""
    s5.forget_decisions(now=now)
    deleted = Alert.objects.filter(state=Alert.State.RESOLVED, resolved_at__lt=now - KEEP).delete()[1]
    return deleted.get(Alert._meta.label, 0)


def _end_rule(rule: AlertRule, *, now: datetime) -> None:
    for alert in Alert.objects.filter(rule=rule).exclude(state=Alert.State.RESOLVED):
        lifecycle.end(alert, Alert.Resolution.RULE, now=now)
    Alert.objects.filter(rule=rule, held=True).update(held=False)


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


def _column(name: str) -> str:
    return f"{name}_id" if name in ("unit", "owner") else name


def _remember(rule: AlertRule, by: User | None, changed: list[str], *, at: datetime | None = None) -> None:
    """Keep what the rule says from now on."""
    fields = {name: getattr(rule, _column(name)) for name in EDITABLE}
    RuleVersion.objects.create(
        rule=rule, version=rule.version, fields=fields, changed=changed, by=by, at=at or timezone.now()
    )


def _set(rule: AlertRule, name: str, value: Any) -> None:
    try:
        setattr(rule, name, value)
    except (TypeError, ValueError) as error:  # a unit that is no Unit
        raise Invalid(str(error), field=name) from None


def check_rule(rule: AlertRule) -> None:
    """Raise Invalid naming the first field with which *rule* could not work; fill in what its kind has by default."""
    kind = KINDS.get(rule.kind)
    if kind is None:
        raise Invalid(f"The kinds of conditions are {', '.join(KINDS)}.", field="kind")
    if rule.threshold is None and kind.default_threshold is not None:
        rule.threshold = kind.default_threshold
    if kind.needs_window and not rule.window_seconds:
        rule.window_seconds = kind.default_window
    try:
        rule.full_clean()
    except ValidationError as error:
        _refuse(error)
    _check_numbers(rule, kind)
    _check_scope(rule, kind)
    templates.check_labels(rule.labels)
    templates.check(rule.annotations, "annotations")


def _check_numbers(rule: AlertRule, kind: Kind) -> None:
    kind.settle(rule.params)
    if not math.isfinite(rule.threshold):
        raise Invalid("The threshold must be a finite number.", field="threshold")
    recover = rule.recover_threshold
    if recover is not None and not math.isfinite(recover):
        raise Invalid("The threshold must be a finite number.", field="recover_threshold")
    sign = 1 if rule.comparison in ("gt", "gte") else -1
    if recover is not None and sign * (recover - rule.threshold) > 0:
        side = "above" if sign > 0 else "below"
        raise Invalid(f"It recovers before it fires: this must not be {side} the threshold.", field="recover_threshold")
    if rule.aggregation != "last" and kind.name == "threshold" and not rule.window_seconds:
        raise Invalid("An aggregate needs a window.", field="window_seconds")
    if kind.feed is Feed.PAIRS and rule.interval_seconds < 30:
        rule.interval_seconds = 30  # it reads hours, or days
    if rule.interval_seconds % 5:
        raise Invalid("Rules are evaluated at multiples of 5 seconds.", field="interval_seconds")
    _check_steps(rule, sign)


def _check_steps(rule: AlertRule, sign: int) -> None:
    """Steps go from bad to worse, in severity and in threshold."""
    if not isinstance(rule.severity_steps, list) or len(rule.severity_steps) > MAX_STEPS:
        raise Invalid(f"At most {MAX_STEPS} steps, as a list.", field="severity_steps")
    rank, limit = RANK[rule.severity], rule.threshold
    for step in rule.severity_steps:
        if not isinstance(step, dict) or set(step) != {"severity", "threshold"} or step["severity"] not in RANK:
            raise Invalid('A step is {"severity": "critical", "threshold": 95}.', field="severity_steps")
        if isinstance(step["threshold"], bool) or not isinstance(step["threshold"], int | float):
            raise Invalid("The threshold of a step is a number.", field="severity_steps")
        if RANK[step["severity"]] <= rank or not math.isfinite(step["threshold"]):
            raise Invalid("Each step is worse than the one before.", field="severity_steps")
        if sign * (step["threshold"] - limit) <= 0:
            raise Invalid("The threshold of each step lies beyond the one before.", field="severity_steps")
        rank, limit = RANK[step["severity"]], step["threshold"]


def _check_scope(rule: AlertRule, kind: Kind) -> None:
    if kind.feed in (Feed.SAMPLES, Feed.PAIRS, Feed.EXPRESSION) and not RULE_METRIC.fullmatch(rule.metric):
        raise Invalid('A metric is like cpu_ratio, or with labels like size{queue="mail"}.', field="metric")
    try:
        matchers(rule.match)
    except Invalid as error:
        raise Invalid(error.detail, field="match") from None
    if rule.unit_kind and rule.unit_kind not in adapters.registry():
        raise Invalid(f"The types of units are {', '.join(sorted(adapters.registry()))}.", field="unit_kind")
    named = rule.labels.get(ESCALATION_LABEL, "")
    if named and "{{" not in named and named not in escalations_of(rule.system):
        raise Invalid(f"There is no escalation policy {named[:60]!r} in this system or above.", field="labels")
    if rule.owner is not None and not systems_for(rule.owner).filter(pk=rule.system_id).exists():
        raise Invalid("Nobody here has this name.", field="owner")
    if rule.unit is not None and rule.unit.system_id != rule.system_id:
        raise Invalid("This unit belongs to another system.", field="unit")
    if rule.unit is not None and rule.unit_kind not in ("", rule.unit.kind):
        raise Invalid(f"This unit is a {rule.unit.kind}, not a {rule.unit_kind}.", field="unit_kind")


def _refuse(error: ValidationError) -> None:
    name, messages = next(iter(error.message_dict.items()))
    if name == "__all__":
        raise Invalid("Another rule has this name.", field="name")
    raise Invalid(str(messages[0]), field=name)
