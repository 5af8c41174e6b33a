"""S5's answer to an unhealthy system: it is told once, and does what its policy says; by default it advises.

Whoever assesses calls `heed` with every assessment. The row of the emergency is the state: running twice is safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from subsystems.algedonic.services import settle, try_to_raise
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import NotListed, Refused
from subsystems.kernel.health import Health, band
from subsystems.kernel.severity import Severity
from subsystems.kernel.times import moment_text
from subsystems.messaging.channels import Party
from subsystems.recursion.models import System
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.recommending import recommend
from subsystems.s5_policy import queries
from subsystems.s5_policy.emergency import checklist, is_due
from subsystems.s5_policy.models import Emergency
from subsystems.s5_policy.terms import Mode

SOURCE = "emergency"
ADVICE = {"s1": "resource", "s2": "optimisation", "s3": "resource", "s4": "architectural", "s5": "optimisation"}


@transaction.atomic
def heed(
    system: System,
    *,
    overall_health: float | None,
    subsystems: Mapping[str, Mapping[str, Any]],
    told_already: bool,
    now: datetime,
) -> Emergency | None:
    """Open, answer or close the emergency of *system*; return the open one. Unknown health changes nothing.

    *told_already* is whether S5 hears of the same assessment by another pain, so that it is told once.
    """
    state = band(overall_health)
    row = Emergency.objects.select_for_update().filter(system=system, ended_at=None).first()
    if state is Health.UNHEALTHY and row is None:
        row = _open(system, overall_health, told_already, now)
    elif row is not None and state not in (Health.UNHEALTHY, Health.UNKNOWN):
        _close(row, now)
        return None
    if row is not None and row.responded_at is None and state is Health.UNHEALTHY:
        _respond(row, subsystems, now)
    return row


def tick(row: Emergency, number: int, *, by: User, done: bool, now: datetime) -> Emergency:
    """Mark a line of the checklist as done, or take that back. Raises NotListed."""
    with transaction.atomic():
        row = Emergency.objects.select_for_update().get(pk=row.pk)
        if not 0 <= number < len(row.checklist):
            raise NotListed("There is no such line.", field="number")
        step = row.checklist[number]
        step["done_at"], step["done_by"] = (moment_text(now), by.get_username()) if done else (None, "")
        row.save(update_fields=["checklist"])
        said = {"emergency": row.pk, "line": number, "what": step["what"], "done": done}
        append(Stream.POLICY, "EmergencyStepTicked", said, system_id=row.system_id, actor=by.get_username())
    return row


def _open(system: System, score: float | None, told_already: bool, now: datetime) -> Emergency:
    row = Emergency.objects.create(system=system, began_at=now, score=score)
    append(Stream.POLICY, "EmergencyBegan", {"emergency": row.pk, "health": score}, system_id=system.pk)
    if not told_already:
        try_to_raise(
            type="pain", source=SOURCE, severity=Severity.CRITICAL, system_id=system.pk, origin=Party.PLATFORM, at=now,
            data={"health": score, "emergency": row.pk}, description="The health of the whole system is unhealthy.",
        )  # fmt: skip
    return row


def _respond(row: Emergency, subsystems: Mapping[str, Mapping[str, Any]], now: datetime) -> None:
    policy = queries.emergency_policy(row.system)
    last = Emergency.objects.filter(system=row.system_id).exclude(responded_at=None).order_by("-responded_at").first()
    if not is_due(policy, began_at=row.began_at, last_response=last.responded_at if last else None, now=now):
        return
    row.responded_at, row.mode, row.checklist = now, policy.mode, checklist(subsystems)
    _advise(row, now)
    if policy.mode == Mode.ACT:
        row.checklist += [_proposed(row, number, act, now) for number, act in enumerate(policy.plan)]
    row.save(update_fields=["responded_at", "mode", "checklist"])
    said = {"emergency": row.pk, "mode": row.mode, "checklist": [step["what"] for step in row.checklist]}
    append(Stream.POLICY, "EmergencyResponded", said, system_id=row.system_id)


def _advise(row: Emergency, now: datetime) -> None:
    """Hand each step down to S3 as advice. What holds no act is done by people; S3 has it in its inbox."""
    for step in row.checklist:
        if step["score"] is None:
            continue
        name = step["subsystem"]
        made = recommend(
            system_id=row.system_id, kind=ADVICE[name], source="s3", author="S5 emergency response",
            subject=f"{SOURCE}:{name}", title=step["what"], reason=step["why"], key=f"{SOURCE}:{row.pk}:{name}",
            evidence={"emergency": row.pk, "subsystem": name, "score": step["score"]}, measured_at=now, now=now,
        )  # fmt: skip
        step["recommendation"] = str(made.pk)


def _proposed(row: Emergency, number: int, act: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Propose an act of the plan to S3, which does it by itself only where S5 permits that kind of act."""
    fleet, kind, target = act["fleet"], act["kind"], act.get("target", "")
    words = f"{kind} {target} on {fleet}".replace("  ", " ")
    step = {"subsystem": "s1", "what": f"Act of the plan: {words}", "why": "", "score": row.score, "done_at": None,
            "done_by": ""}  # fmt: skip
    asked = {"kind": kind, "target": target, "parameters": act.get("parameters", {})}
    try:
        made = recommend(
            system_id=row.system_id, kind="resource", source="s3", author="S5 emergency response",
            subject=f"{fleet}:{target}"[:200], title=f"Emergency plan: {words}"[:200], act=asked, measured_at=now,
            fleet=Fleet.objects.filter(system_id=row.system_id, name=fleet).first(),
            key=f"{SOURCE}:{row.pk}:plan:{number}", evidence={"emergency": row.pk}, now=now,
        )  # fmt: skip
    except Refused as error:
        return {**step, "why": f"Not proposed: {error.detail}"[:300]}
    return {**step, "recommendation": str(made.pk)}


def _close(row: Emergency, now: datetime) -> None:
    row.ended_at = now
    row.save(update_fields=["ended_at"])
    append(Stream.POLICY, "EmergencyEnded", {"emergency": row.pk}, system_id=row.system_id)
    settle(SOURCE, system_id=row.system_id, now=now, why="The system is not unhealthy any more.")
