"""Where an escalation begins: with the flush that tells of a group, in its transaction."""

from __future__ import annotations

from datetime import datetime

from alerts.notices.models import Group
from alerts.people.models import EscalationPolicy, EscalationRun


def begin(group: Group, policy_id: int, *, now: datetime) -> bool:
    """Let a policy begin for *group*, unless one is at work there; the caller holds the group."""
    if EscalationRun.objects.filter(group=group, state__in=EscalationRun.OPEN).exists():
        return False
    policy = EscalationPolicy.objects.filter(pk=policy_id).first()
    if policy is None:
        return False
    EscalationRun.objects.create(
        system_id=group.system_id, group=group, policy=policy, policy_name=policy.name, steps=policy.steps,
        due_at=now, started_at=now,
    )  # fmt: skip
    return True
