"""What people decide about escalation policies; written with names, kept with numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from alerts.models import AlertRule
from alerts.notices.models import Routing, Target
from alerts.notices.queries import ESCALATION_LABEL
from alerts.notices.routing import read_routing
from alerts.people.duties import audit, check_name, known_people, save_named
from alerts.people.escalation import Do, read_steps
from alerts.people.models import EscalationPolicy, EscalationRun, EscalationStep, Page, Rota, Team
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System

MAX_POLICIES = 200  # of a system
_NAMED: Mapping[str, Any] = {"team": Team, "rota": Rota, "target": Target}


def save_policy(policy: EscalationPolicy, by: User, **fields: Any) -> EscalationPolicy:
    """Save a new or an old policy; its steps name users, teams, rotas and targets. Raises Invalid naming the place.

    Those at work go on with the steps that they began with.
    """
    before = policy.name if policy.pk else ""
    for name, value in fields.items():
        if name not in ("name", "steps", "enabled"):
            raise Invalid(f"A policy has no field {name!r} that can be set.", field=name)
        setattr(policy, name, value)
    check_name(policy, MAX_POLICIES, "escalation policies")
    if before and before != policy.name:
        raise Invalid("A policy keeps its name: the routing and rules know it by that.", field="name")
    if "steps" in fields or policy.pk is None:
        policy.steps = _with_numbers(policy.system, policy.steps)
    if policy.pk is None:
        policy.created_by = by
    with transaction.atomic():
        save_named(policy, "Another policy has this name.")
        told = {"policy": policy.pk, "name": policy.name, "steps": policy.steps, "enabled": policy.enabled}
        audit("escalation_policy.saved", policy.system, by, told)
    return policy


def delete_policy(policy: EscalationPolicy, by: User) -> None:
    """Delete a policy. Raises Refused while the routing or a rule of its system names it."""
    routing = Routing.objects.filter(system=policy.system).first()
    if routing and policy.name in read_routing(routing.document).escalation_names():
        raise Refused("The routing names this policy.", code="in_use")
    rule = AlertRule.objects.filter(system=policy.system, **{f"labels__{ESCALATION_LABEL}": policy.name}).first()
    if rule is not None:
        raise Refused(f"The rule {rule.name!r} names this policy.", code="in_use")
    with transaction.atomic():
        audit("escalation_policy.deleted", policy.system, by, {"policy": policy.pk, "name": policy.name})
        policy.delete()


def policy_body(policy: EscalationPolicy) -> dict[str, Any]:
    """Return one policy as JSON, with names."""
    return policy_bodies([policy])[0]


def policy_bodies(policies: list[EscalationPolicy]) -> list[dict[str, Any]]:
    """Return policies as JSON, with names; four queries, however many there are."""
    wanted: dict[str, set[int]] = {whom: set() for whom in ("user", *_NAMED)}
    for policy in policies:
        for step in policy.steps:
            for whom, number in step.get("notify", {}).items():
                wanted[whom].add(number)
    names: dict[str, dict[int, str]] = {"user": {}}
    if wanted["user"]:
        names["user"] = dict(User.objects.filter(pk__in=wanted["user"]).values_list("pk", "username"))
    for whom, model in _NAMED.items():
        chosen = model.objects.filter(pk__in=wanted[whom]) if wanted[whom] else model.objects.none()
        names[whom] = dict(chosen.values_list("pk", "name"))
    return [
        {
            "id": policy.pk,
            "system": policy.system.slug,
            "name": policy.name,
            "enabled": policy.enabled,
            "steps": [_with_names(step, names) for step in policy.steps],
        }
        for policy in policies
    ]


def run_body(run: EscalationRun) -> dict[str, Any]:
    """Return one escalation as JSON; read what `RUN_PARTS` names beforehand."""
    return {
        "id": run.pk,
        "system": run.system.slug,
        "policy": run.policy_name,
        "title": run.title,
        "state": str(run.state),
        "round": run.round,
        "step": run.step,
        "of": len(run.steps),
        "due_at": moment_text(run.due_at) if run.state == EscalationRun.State.RUNNING else None,
        "started_at": moment_text(run.started_at),
        "ended_at": moment_text(run.ended_at),
        "steps": [_step_body(step) for step in run.taken.all()],
    }


RUN_PARTS = ("taken__pages__user", "taken__pages__method", "taken__pages__notification")


def _step_body(step: EscalationStep) -> dict[str, Any]:
    return {
        "round": step.round,
        "number": step.number + 1,
        "what": step.words,
        "outcome": str(step.outcome),
        "cause": step.cause,
        "at": moment_text(step.at),
        "pages": [_page_body(page) for page in step.pages.all()],
    }


def _page_body(page: Page) -> dict[str, Any]:
    return {
        "user": page.user.get_username() if page.user else None,
        "method": page.method.name if page.method else None,
        "state": str(page.state),
        "cause": page.cause,
        "due_at": moment_text(page.due_at),
        "at": moment_text(page.at),
        "notification": str(page.notification_id) if page.notification_id else None,
        "sent": page.notification.state if page.notification else None,
    }


def _with_names(step: Mapping[str, Any], names: Mapping[str, Mapping[int, str]]) -> dict[str, Any]:
    if "notify" not in step:
        return dict(step)
    ((whom, number),) = step["notify"].items()
    return {**step, "notify": {whom: names[whom].get(number, "")}}


def _with_numbers(system: System, given: object) -> list[dict[str, Any]]:
    """Return steps that name by numbers, where they did by names. Raises Invalid naming the place."""
    steps = read_steps(given)
    assert isinstance(given, list | tuple)  # it was read
    kept = [dict(each) for each in given]
    for number, step in enumerate(steps):
        if step.do is Do.NOTIFY:
            kept[number]["notify"] = {step.whom: _number(system, step.whom, step.who, f"steps[{number}].notify")}
    return kept


def _number(system: System, whom: str, name: object, place: str) -> int:
    field = f"{place}.{whom}"
    if not isinstance(name, str) or "\0" in name:
        raise Invalid("This is a name.", field=field)
    if whom == "user":
        return known_people(system, [name], field)[name].pk
    found = _NAMED[whom].objects.filter(system=system, name=name).first()
    if found is None:
        raise Invalid(f"There is no {whom} {name[:60]!r} in this system.", field=field)
    return int(found.pk)
