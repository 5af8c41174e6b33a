"""Looking at each scaling policy, advising the next step, and what happens when capacity is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from subsystems.algedonic.services import try_to_raise
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, Refused
from subsystems.messaging.channels import Party
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control import recommending
from subsystems.s3_control.models import Recommendation
from subsystems.s3_control.scaling import gathering, steps
from subsystems.s3_control.scaling.deciding import Decision, decide
from subsystems.s3_control.scaling.gathering import AUTHOR, Known
from subsystems.s3_control.scaling.models import ScalingPolicy

SETTLE_SECONDS = 60.0
LASTS = timedelta(minutes=10)  # of advice: the next look says it again
LOST = "Critical VSM capacity lost due to node failure"


def scale(*, now: datetime) -> int:
    """Look at every policy that is on; return how many."""
    policies = ScalingPolicy.objects.filter(enabled=True, fleet__enabled=True, fleet__own=False)
    rows = list(policies.select_related("fleet"))
    for policy in rows:
        evaluate(policy, now=now)
    return len(rows)


def evaluate(policy: ScalingPolicy, *, now: datetime) -> Decision:
    """Decide on the size of one queue's readers, and advise the next step towards it."""
    known = gathering.look(policy, now=now)
    decision = decide(policy.terms, known.given, now=now)
    _feel_loss(policy, known, now)
    told = {
        "size": known.given.size, "desired": decision.desired, "why": decision.why[:500], "looked_at": now,
        "drivers": [driver.body() for driver in decision.drivers],
    }  # fmt: skip
    ScalingPolicy.objects.filter(pk=policy.pk).update(**told)
    row = _advised(policy, known, decision, now)
    if row is not None and row.by_itself:
        recommending.approve_by_itself(row, now=now)
    return decision


def _advised(policy: ScalingPolicy, known: Known, decision: Decision, now: datetime) -> Recommendation | None:
    """Advise the step, once; advice that does not fit any more is withdrawn."""
    size = known.given.size
    mine = Recommendation.objects.filter(system_id=policy.system_id, subject=policy.subject, author=AUTHOR)
    if mine.filter(state__in=Recommendation.UNDER_WAY, settled_at=None).exists():
        return None
    found = None
    if decision.direction and decision.desired is not None and size is not None:
        found = steps.step(known.readers, size, decision.desired, policy.queue)
    waiting = mine.filter(state=Recommendation.State.PROPOSED).select_related("fleet").first()
    if waiting is not None:
        if found is not None and _says_the_same(waiting, found):
            return waiting
        _withdraw(waiting, decision, now)
    return None if found is None or size is None else _recommended(policy, known, decision, found, size, now)


def _says_the_same(row: Recommendation, found: steps.Act) -> bool:
    return (row.act_kind, row.act_target, row.act_parameters) == (
        found.kind, found.target, dict(found.parameters or {}),
    )  # fmt: skip


@transaction.atomic
def _withdraw(row: Recommendation, decision: Decision, now: datetime) -> None:
    waiting = Recommendation.objects.filter(pk=row.pk, state=Recommendation.State.PROPOSED)
    if waiting.update(state=Recommendation.State.EXPIRED, settled_at=now, next_at=None, waits_for=decision.why[:500]):
        row.refresh_from_db()
        recommending.note(row, "RecommendationExpired", actor=AUTHOR)


def _recommended(
    policy: ScalingPolicy, known: Known, decision: Decision, found: steps.Act, size: int, now: datetime
) -> Recommendation | None:
    act = {"kind": found.kind, "target": found.target, "parameters": dict(found.parameters or {})}
    effect = {"metric": "slots", "source": policy.subject, "from": size, "to": found.after, "unit": "slots"}
    at = None if known.queue is None else datetime.fromtimestamp(known.queue.observed_at, UTC)
    inputs = {name: value for name, value in asdict(known.given).items() if not isinstance(value, datetime)}
    try:
        return recommending.recommend(
            system_id=policy.system_id, kind="resource", source="s3", author=AUTHOR, subject=policy.subject,
            title=(found.words or decision.why)[:200], reason=decision.why, fleet=policy.fleet,
            act=act if found.kind and not decision.safe else None,
            expected_effect=effect, measured_at=at, expires_at=now + LASTS, now=now,
            settle_seconds=min(SETTLE_SECONDS, policy.out_cooldown_seconds, policy.in_cooldown_seconds),
            evidence={
                "assessment": decision.why, "inputs": inputs, "drivers": [each.body() for each in decision.drivers],
                "policy": policy.pk,
            },
            by_itself=policy.mode == ScalingPolicy.Mode.AUTO,
        )  # fmt: skip
    except Refused:
        return None  # what was seen became stale, or cannot be acted on


def _feel_loss(policy: ScalingPolicy, known: Known, now: datetime) -> None:
    """Raise pain when readers went by themselves and too few are left (004-33)."""
    size = known.given.size
    if policy.size is None or size is None or policy.size < policy.least or size >= policy.least:
        return
    lost = {"affected_subsystems": [policy.subject], "slots_before": policy.size, "slots": size}
    try_to_raise(
        type="pain", source="cluster_management", severity="high", origin=Party.CLUSTER, system_id=policy.system_id,
        description=f"{LOST}: {policy.subject}", data=lost, at=now,
    )  # fmt: skip


# --- Policies --------------------------------------------------------------------------------------------------------
FIELDS = tuple(
    field.name for field in ScalingPolicy._meta.get_fields() if getattr(field, "editable", False) and field.name != "id"
)


def save_policy(
    fleet: Fleet, fields: Mapping[str, Any], *, by: str, policy: ScalingPolicy | None = None
) -> ScalingPolicy:
    """Make or change a policy. Raises Invalid naming the field at fault."""
    row = policy or ScalingPolicy(fleet=fleet, system_id=fleet.system_id)
    for name, value in fields.items():
        setattr(row, name, value)
    if fleet.own:
        raise Invalid("The platform's own workers are run by the platform, not scaled by it.", field="fleet")
    if row.least > row.most:
        raise Invalid("The fewest slots are at most the most.", field="least")
    if row.in_at >= row.out_at:
        raise Invalid("The load for fewer lies below that for more, or it would swing.", field="in_at")
    try:
        row.clean_fields(exclude=["system", "fleet"])
    except ValidationError as error:
        name, words = next(iter(error.message_dict.items()))
        raise Invalid(f"{name}: {words[0]}", field=name) from None
    told = {name: getattr(row, name) for name in FIELDS if name not in ("system", "fleet")}
    try:
        with transaction.atomic():
            row.save()
            append(
                Stream.CONTROL, "ScalingPolicySaved", {"policy": row.pk, "fleet": fleet.name, **told},
                system_id=row.system_id, actor=by[:150],
            )  # fmt: skip
    except IntegrityError:
        raise Invalid("There is a policy for this queue and role already.", field="queue") from None
    return row


@transaction.atomic
def drop_policy(row: ScalingPolicy, *, by: str) -> None:
    """Delete a policy; what it did stays on record."""
    told = {"policy": row.pk, "fleet": row.fleet.name, "queue": row.queue}
    append(Stream.CONTROL, "ScalingPolicyDropped", told, system_id=row.system_id, actor=by[:150])
    row.delete()


def is_scaling_due(*, now: datetime) -> bool:
    """Return whether there is anything to scale."""
    return ScalingPolicy.objects.filter(enabled=True).exists()
