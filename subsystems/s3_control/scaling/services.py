"""Looking at each scaling policy, advising the next step, and what happens when capacity is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from subsystems.algedonic.services import try_to_raise
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid
from subsystems.messaging.channels import Party
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control import recommending
from subsystems.s3_control.handing_over import LOST
from subsystems.s3_control.models import PoolUnit, Recommendation, ResourcePool
from subsystems.s3_control.scaling import gathering, steps
from subsystems.s3_control.scaling.deciding import Decision, decide, idle_since
from subsystems.s3_control.scaling.gathering import AUTHOR, Known
from subsystems.s3_control.scaling.models import ScalingPolicy

SETTLE_SECONDS = 60.0
UNSEEN = timedelta(seconds=60)  # between two looks: longer than that, and nobody knows what was between


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
    wanted = decide(policy.terms, known.given, now=now)
    decision = _within_bargain(policy, known, wanted, now)
    _feel_loss(policy, known, now)
    unseen = policy.looked_at is None or now - policy.looked_at > UNSEEN  # what nobody saw was not idle
    since = idle_since(decision, known.given.size, None if unseen else policy.idle_since, now=now)
    told = {
        "size": known.given.size, "desired": wanted.desired, "why": decision.why[:500], "looked_at": now,
        "idle_since": since, "drivers": [driver.body() for driver in decision.drivers],
    }  # fmt: skip
    ScalingPolicy.objects.filter(pk=policy.pk).update(**told)
    row = _advised(policy, known, decision, now)
    if row is not None and row.by_itself:
        more = gathering.stood_idle(policy, now=now) if decision.direction < 0 else None
        recommending.approve_by_itself(row, now=now, since=since, extra=more)
    return decision


def _within_bargain(policy: ScalingPolicy, known: Known, wanted: Decision, now: datetime) -> Decision:
    """Keep a queue that shares a pool within what it holds of it. What it wants beyond that it has to ask for."""
    unit = PoolUnit.objects.filter(
        pool__fleet=policy.fleet_id, pool__kind=ResourcePool.Kind.SLOTS, pool__by=ResourcePool.By.QUEUE,
        pool__enabled=True, name=policy.queue,
    ).select_related("pool").first()  # fmt: skip
    size = known.given.size
    if unit is None or size is None:
        return wanted
    held = unit.allocations.filter(ended_at=None).values_list("amount", flat=True).first()
    most = size if held is None else int(held)  # without a bargain it stays as it is
    if (wanted.desired or 0) <= most and size <= most:
        return wanted
    terms = replace(policy.terms, most=min(policy.most, most), least=min(policy.least, most))
    found = decide(terms, known.given, now=now)
    words = "nothing is held" if held is None else f"{held:g} slots are held"
    return replace(found, why=f"{found.why} Of {unit.pool} {words}; {wanted.desired} are wanted.")


def _advised(policy: ScalingPolicy, known: Known, decision: Decision, now: datetime) -> Recommendation | None:
    """Advise the step, once; advice that does not fit any more is withdrawn."""
    at = None if known.queue is None else datetime.fromtimestamp(known.queue.observed_at, UTC)
    return recommending.keep_advice(
        system_id=policy.system_id, subject=policy.subject, author=AUTHOR, fleet=policy.fleet,
        wanted=_advice(policy, known, decision), measured_at=at, by_itself=policy.mode == ScalingPolicy.Mode.AUTO,
        settle_seconds=min(SETTLE_SECONDS, policy.out_cooldown_seconds, policy.in_cooldown_seconds), why=decision.why,
        now=now,
    )  # fmt: skip


def _advice(policy: ScalingPolicy, known: Known, decision: Decision) -> recommending.Advice | None:
    size = known.given.size
    if not decision.direction or decision.desired is None or size is None:
        return None
    found = steps.step(
        known.readers, size, decision.desired, policy.queue, known.supply,
        whole=policy.means == ScalingPolicy.Means.WORKERS,
    )  # fmt: skip
    if found is None:
        return None
    act = {"kind": found.kind, "target": found.target, "parameters": dict(found.parameters or {})}
    inputs = {name: value for name, value in asdict(known.given).items() if not isinstance(value, datetime)}
    return recommending.Advice(
        title=found.words or decision.why, reason=decision.why, act=act if found.kind and not decision.safe else None,
        effect={"metric": "slots", "source": policy.subject, "from": size, "to": found.after, "unit": "slots"},
        evidence={
            "assessment": decision.why, "inputs": inputs, "drivers": [each.body() for each in decision.drivers],
            "policy": policy.pk,
        },
    )  # fmt: skip


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
