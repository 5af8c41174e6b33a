"""Changing policy: every change is a new version with who made it and why, and an event of the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.text import slugify

from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, NotListed, Refused
from subsystems.kernel.telemetry_events import emit
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from subsystems.s2_coordination.damping import set_rules
from subsystems.s3_control.acts import ACTS
from subsystems.s3_control.models import SteeringRule
from subsystems.s3_control.permitting import checked_limits, set_permission
from subsystems.s5_policy import handed, queries
from subsystems.s5_policy.models import GoalValue, Policy, PolicyVersion
from subsystems.s5_policy.term import LARGEST, Fields
from subsystems.s5_policy.terms import Kind, Terms, difference, limits_of, terms_of
from subsystems.variety.services import judge_by

logger = logging.getLogger(__name__)
MOST = {Kind.GOAL: 50, Kind.VALUE: 50}  # of one system: each is looked at with every assessment
FURTHEST = timedelta(days=366)
MAX_REASON = 500


@transaction.atomic
def amend(
    system: System,
    kind: str,
    given: Mapping[str, Any],
    *,
    by: User | None,
    reason: str,
    name: str = "",
    values: Iterable[str] | None = None,
    judgement: float | None = None,
    expected: int | None = None,
    effective_at: datetime | None = None,
    now: datetime | None = None,
) -> PolicyVersion:
    """Let a policy of *system* say *given*, all else as before, from *effective_at* (else now) on.

    *expected* is the version that whoever changes it has seen: Refused when there is a newer one. A version that says
    nothing new is not written; the newest is returned. Raises Invalid naming the field.
    """
    now = now or timezone.now()
    terms = terms_of(kind)
    _check_reason(reason)
    policy = _locked(system, terms, name, now)
    last = policy.versions.first()
    if expected is not None and expected != (last.version if last else 0):
        raise Refused("Somebody has changed it meanwhile: look at it again.", field="version", code="changed_meanwhile")
    before = last.fields if last else {}
    fields = terms.complete(given, before)
    _check_plan(fields.get("plan", ()))
    if terms.kind is Kind.ACTING:
        _check_acting(fields, given)
    tags = queries.checked_values(system, values) if values is not None else (last.values if last else [])
    changed = difference({**terms.defaults, **before} if last else terms.defaults if not terms.many else {}, fields)
    same_tags = last is not None and (tags, judgement) == (last.values, last.judgement)
    if last is not None and not changed and same_tags:
        return last
    at = _checked_moment(effective_at, now)
    version = PolicyVersion.objects.create(
        policy=policy, version=(last.version if last else 0) + 1, fields=fields, changed=changed, values=tags,
        judgement=judgement, reason=reason.strip(), by=by, author=by.get_username() if by else "", made_at=now,
        effective_at=at,
    )  # fmt: skip
    _tell(version)
    hand_down(system, now=now)
    return version


def hand_down(system: System, *, now: datetime) -> int:
    """Tell those below what S5 says where that has changed or has come into force; return how many policies."""
    rows = PolicyVersion.objects.by(now).filter(
        policy__system=system, policy__kind__in=WAYS_DOWN, version__gt=F("policy__handed_version")
    )
    newest: dict[int, PolicyVersion] = {}
    for version in rows.select_related("policy__system"):
        newest.setdefault(version.policy_id, version)
    known = [each for each in newest.values() if each.policy.kind != Kind.ACTING or each.policy.name in ACTS]
    for version in known:
        _hand(version, now)
    return len(known)


@transaction.atomic
def _hand(version: PolicyVersion, now: datetime) -> None:
    mine = Policy.objects.filter(pk=version.policy_id, handed_version__lt=version.version)
    if mine.update(handed_version=version.version):
        kind = Kind(version.policy.kind)
        WAYS_DOWN[kind](version, {**terms_of(kind).defaults, **version.fields}, now)


def _permit(version: PolicyVersion, fields: Fields, now: datetime) -> None:
    set_permission(
        version.policy.system_id, version.policy.name, fields["mode"], limits_of(fields),
        by=version.author or "S5", reason=version.reason, now=now,
    )  # fmt: skip
    _leave_to(version.policy, fields["approvers"])


def _damp(version: PolicyVersion, fields: Fields, now: datetime) -> None:
    set_rules(version.policy.system_id, fields, by=version.by, now=now)


def _judge(version: PolicyVersion, fields: Fields, now: datetime) -> None:
    judge_by(version.policy.system, handed.judged_by(fields), actor=version.author or "S5")


# Who must act by a policy reads it where it can: packages import only downwards, so what S5 says is handed down.
WAYS_DOWN: Mapping[str, Callable[[PolicyVersion, Fields, datetime], None]] = {
    Kind.ACTING: _permit, Kind.DAMPING: _damp, Kind.VARIETY: _judge,
}  # fmt: skip


def _leave_to(policy: Policy, group: str) -> None:
    """Leave acts of this kind to *group*. What was ruled by hand stays where policy never named a group."""
    ever = any(said.get("approvers") for said in policy.versions.values_list("fields", flat=True))
    if not ever:
        return
    found = Group.objects.filter(name=group).first()
    if group and found is None:  # it went before its time came: what was ruled before is the safer
        logger.warning("%s is to be left to the group %s, which is gone.", policy, group)
        return
    rules = SteeringRule.objects.filter(system_id=policy.system_id, kind=policy.name, target="*")
    rules.exclude(group=found).delete()
    if found is not None and not rules.exists():
        SteeringRule.objects.create(system_id=policy.system_id, kind=policy.name, target="*", group=found)


def add(system: System, kind: str, given: Mapping[str, Any], *, by: User | None, reason: str, **about: Any) -> Policy:
    """Make a goal or a value of *system*, named after its title. Raises Invalid naming the field."""
    terms = terms_of(kind)
    if terms.kind not in MOST:
        raise Invalid("There is one of this kind already: change that.", field="kind")
    name = _free_name(system, terms.kind, str(given.get("title", "")))
    version = amend(system, kind, given, by=by, reason=reason, name=name, **about)
    return version.policy


def revert(policy: Policy, number: int, *, by: User | None, reason: str, now: datetime | None = None) -> PolicyVersion:
    """Let *policy* say again what it said in version *number*, as a version of its own. Raises NotListed, Invalid."""
    found = policy.versions.filter(version=number).first()
    if found is None:
        raise NotListed(f"There is no version {number}.", field="version")
    known = {term.name for term in terms_of(policy.kind).terms}
    fields = {name: value for name, value in found.fields.items() if name in known}
    declared = queries.declared_values(policy.system)
    return amend(
        policy.system, policy.kind, fields, by=by, reason=reason or f"Back to version {number}", name=policy.name,
        values=[name for name in found.values if name in declared], judgement=found.judgement, now=now,
    )  # fmt: skip


def enter_value(goal: Policy, value: float, *, by: User, note: str = "", now: datetime | None = None) -> GoalValue:
    """Record what a person says that a goal stands at. Raises Invalid, and Refused where a metric says it."""
    if goal.kind != Kind.GOAL:
        raise NotListed("This is no goal.", field="id")
    if queries.newest_fields(goal).get("source") != "person":
        raise Refused("The value of this goal comes from a metric.", field="value")
    if not abs(value) <= LARGEST:
        raise Invalid("A finite number.", field="value")
    now = now or timezone.now()
    with transaction.atomic():
        row = GoalValue.objects.create(
            goal=goal, value=value, note=note[:MAX_REASON], by=by, author=by.get_username(), at=now
        )
        data = {"goal": goal.name, "value": value, "note": row.note}
        append(Stream.POLICY, "GoalValueEntered", data, system_id=goal.system_id, actor=row.author)
    return row


def _locked(system: System, terms: Terms, name: str, now: datetime) -> Policy:
    if bool(name) is not terms.many:
        raise Invalid("Goals, values and acts go by a name, other policies by their kind.", field="name")
    if terms.kind is Kind.ACTING and name not in ACTS:
        raise Invalid(f"The kinds of acts are {', '.join(ACTS)}.", field="name")
    Policy.objects.get_or_create(system=system, kind=terms.kind, name=name, defaults={"made_at": now})
    return Policy.objects.select_for_update().get(system=system, kind=terms.kind, name=name)


def _check_plan(acts: Iterable[Mapping[str, Any]]) -> None:
    for act in acts:
        if act["kind"] not in ACTS:
            raise Invalid(f"{act['kind']}: the kinds of acts are {', '.join(ACTS)}.", field="plan")


def _check_acting(fields: Fields, given: Mapping[str, Any]) -> None:
    """Refuse now what S3 would refuse when it comes into force."""
    try:
        checked_limits(limits_of(fields))
    except Invalid as error:
        raise Invalid(error.detail, field="targets") from None
    name = given.get("approvers")
    if name and not Group.objects.filter(name=name).exists():
        raise Invalid("There is no group of users of this name.", field="approvers")


def _free_name(system: System, kind: Kind, title: str) -> str:
    taken = set(Policy.objects.filter(system=system, kind=kind).values_list("name", flat=True))
    if len(taken) >= MOST[kind]:
        raise Refused(f"A system has {MOST[kind]} of these at most.", field="kind", code="too_many")
    base = slugify(title)[:60] or kind.value
    return base if base not in taken else f"{base}-{uuid4().hex[:6]}"


def _check_reason(reason: str) -> None:
    if not reason.strip() or "\0" in reason:
        raise Invalid("Say why.", field="reason", code="required")
    if len(reason) > MAX_REASON:
        raise Invalid(f"At most {MAX_REASON} characters.", field="reason")


def _checked_moment(wanted: datetime | None, now: datetime) -> datetime:
    """Return from when on a version holds. What was in force in the past stays what it was."""
    if wanted is None or wanted <= now:
        return now
    if wanted > now + FURTHEST:
        raise Invalid("Within a year.", field="effective_at")
    return wanted


def _tell(version: PolicyVersion) -> None:
    policy = version.policy
    data: Fields = {
        "kind": policy.kind, "name": policy.name, "version": version.version, "changed": version.changed,
        "reason": version.reason, "values": version.values, "effective_at": moment_text(version.effective_at),
    }  # fmt: skip
    append(Stream.POLICY, "PolicyChanged", data, system_id=policy.system_id, actor=version.author)
    about = {"policy": str(policy), "actor": version.author}
    transaction.on_commit(lambda: emit("vsm.s5.policy.update", {"count": 1}, about))
