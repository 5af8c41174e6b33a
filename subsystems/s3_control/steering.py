"""Steering by hand: proposing an act, rehearsing it, undoing it. What it takes to do it is in `carrying.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Forbidden, Invalid, Refused
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.live import push
from subsystems.messaging.services import publish
from subsystems.recursion.queries import systems_for
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control import permitting, previews, steering_rules
from subsystems.s3_control.acts import ACTS, Act, Parameters, Target
from subsystems.s3_control.models import Action, StandingOrder, SteeringRule
from subsystems.s3_control.queries import action_body

PROPOSED = "action.proposed"
PLATFORM = "the platform"
LASTS = timedelta(seconds=30)  # of one step; whoever died with it is replaced then


@dataclass(frozen=True)
class Request:
    """One act as it is asked for."""

    fleet: Fleet
    kind: str
    target: str = ""
    parameters: Mapping[str, Any] | None = None
    reason: str = ""
    dry_run: bool = False
    via: str = ""  # the name of the token that was used


def propose(request: Request, *, by: User, now: datetime | None = None) -> Action:
    """Record an act and let it be done; with *dry_run* only say what it would do.

    Raises Invalid naming the field, Forbidden when a rule leaves the act to others, Refused when it cannot be done, and
    FleetUnreachable when the broker does not answer: then nothing was recorded.
    """
    return record(prepare(request, by=by, now=now))


def prepare(request: Request, *, by: User | None, now: datetime | None = None) -> Action:
    """Return the action that *request* means, looked at and not recorded yet; without a person it is the platform's.

    Raises what `propose` does.
    """
    act, parameters, target = _checked(request)
    if not request.dry_run:
        permitting.refuse_forbidden(request.fleet.system_id, act.kind)
    if by is not None:
        _refuse_others(request, act, target, by)
    preview = previews.preview(request.fleet, act, target, parameters)
    if preview.refusal and not request.dry_run:
        raise Refused(preview.refusal, code="cannot")
    given = parameters.model_dump(mode="json", exclude_unset=True)
    return Action(
        system_id=request.fleet.system_id,
        fleet=request.fleet,
        fleet_name=request.fleet.name,
        kind=act.kind,
        target=target,
        parameters=given,
        reason=request.reason.strip()[:500],
        dry_run=request.dry_run,
        actor=PLATFORM if by is None else by.get_username(),
        via=request.via[:130],
        requested_by=by,
        requested_at=now or timezone.now(),
        total=preview.count,
        before=preview.before,
        detail=preview.refusal or preview.words,
        state=Action.State.REHEARSED if request.dry_run else Action.State.PROPOSED,
    )


def undo(action: Action, *, by: User | None, reason: str = "", via: str = "", now: datetime | None = None) -> Action:
    """Do what reverses *action*, as an act of its own. Raises Refused when nothing does, or somebody did before."""
    kind, parameters = _undoing(action)
    assert action.fleet is not None
    request = Request(action.fleet, kind, action.target, parameters, reason or f"Undoes {action.pk}", via=via)
    with transaction.atomic():
        undoing = record(prepare(request, by=by, now=now))
        if not Action.objects.filter(pk=action.pk, undone_by=None).update(undone_by=undoing):
            raise Refused("Somebody has undone it before.", code="undone")
    return undoing


def can_undo(action: Action) -> bool:
    """Return whether there is something that would reverse *action* now."""
    try:
        return bool(_undoing(action))
    except Refused:
        return False


def resume_by_itself(order: StandingOrder, *, now: datetime) -> Action:
    """Record that a pause or a limit ends because its time is over; the audit trail says so like any other act."""
    kind = {"pause": "queue.resume", "rate_limit": "task.end_fleet_rate_limit"}[order.kind]
    first = order.action
    resumed = record(
        Action(
            system_id=order.fleet.system_id, fleet=order.fleet, fleet_name=order.fleet.name, kind=kind,
            target=order.key, reason="The stated time is over.", actor=PLATFORM, requested_at=now,
            total=1, state=Action.State.PROPOSED,
        )
    )  # fmt: skip
    Action.objects.filter(pk=first.pk, undone_by=None).update(undone_by=resumed)
    return resumed


def note(action: Action, type_: str) -> None:
    """Record in the event log what became of *action*, and tell open dashboards; in the caller's transaction."""
    body = action_body(action)
    append(
        Stream.CONTROL,
        type_,
        {name: body[name] for name in LOGGED},
        system_id=action.system_id,
        actor=action.actor[:150],
        correlation_id=str(action.pk),
    )
    show(action)


def show(action: Action) -> None:
    """Tell open dashboards how far *action* is, after the commit."""
    system_id, key = action.system_id, str(action.pk)
    body = {"state": str(action.state), "done": action.done, "failed": action.failed, "total": action.total}
    if system_id is not None:
        transaction.on_commit(lambda: push(system_id, "action", key, body))


LOGGED = (
    "id", "kind", "fleet", "target", "parameters", "reason", "dry_run", "state", "actor", "via", "detail", "total",
    "done", "failed",
)  # fmt: skip


@transaction.atomic
def record(action: Action) -> Action:
    """Write down what was prepared, and let it be done after the commit."""
    if action.dry_run:
        action.finished_at = action.requested_at
    action.detail = action.detail[:500]
    action.save(force_insert=True)
    note(action, "ActionRehearsed" if action.dry_run else "ActionProposed")
    if not action.dry_run:
        publish(
            Envelope(
                channel=Channel.COMMAND, sender=Party.S3, recipient=Party.S1, type=PROPOSED,
                payload={"action_id": str(action.pk)}, correlation_id=str(action.pk),
            ),
            system_id=action.system_id,
            limited=False,
        )  # fmt: skip
    return action


def _checked(request: Request) -> tuple[Act, Parameters, str]:
    act = ACTS.get(request.kind)
    if act is None:
        raise Invalid(f"The kinds of acts are {', '.join(ACTS)}.", field="kind")
    if request.fleet.own:
        raise Refused("The platform's own workers are run by the platform, not steered by it.", code="own_fleet")
    if not request.fleet.enabled:
        raise Refused(f"{request.fleet.name} is switched off.", code="disabled")
    return act, _parameters(act, request.parameters), _target(request, act)


def _parameters(act: Act, given: Mapping[str, Any] | None) -> Parameters:
    if given is not None and not isinstance(given, Mapping):
        raise Invalid("The parameters must be an object of names and values.", field="parameters")
    try:
        return act.parameters.model_validate(dict(given or {}))
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(["parameters", *(str(step) for step in mistake["loc"])])
        raise Invalid(f"{place}: {mistake['msg'].removeprefix('Value error, ')}", field=place) from None


def _target(request: Request, act: Act) -> str:
    if act.target in {Target.FLEET, Target.TASKS}:
        return request.fleet.name
    target = request.target.strip()
    if not target or len(target) > 200 or not target.isprintable():
        raise Invalid(f"Name the {act.target} that is meant, in at most 200 characters.", field="target")
    return target


def _refuse_others(request: Request, act: Act, target: str, by: User) -> None:
    rows = SteeringRule.objects.filter(system_id=request.fleet.system_id).values_list("kind", "target", "group__name")
    rules = [steering_rules.Rule(*row) for row in rows]
    if not steering_rules.groups_needed(rules, act.kind, target):
        return
    admin = systems_for(by, "admin").filter(pk=request.fleet.system_id).exists()
    groups = set(by.groups.values_list("name", flat=True))
    if refusal := steering_rules.refusal(rules, act.kind, target, groups=groups, admin=admin):
        raise Forbidden(refusal)


def _undoing(action: Action) -> tuple[str, dict[str, Any]]:
    act = ACTS.get(action.kind)
    if action.dry_run or action.state not in {Action.State.APPLIED, Action.State.VERIFIED}:
        raise Refused("Only what was done can be undone.", code="not_done")
    if action.undone_by_id is not None:
        raise Refused("Somebody has undone it before.", code="undone")
    found = act.undo(action.parameters, action.before) if act is not None and act.undo else None
    if found is None or action.fleet_id is None:
        raise Refused(f"Nothing undoes {action.kind} here.", code="not_undoable")
    kind, parameters = found
    known = ACTS[kind].parameters.model_fields
    return kind, {name: value for name, value in parameters.items() if name in known}
