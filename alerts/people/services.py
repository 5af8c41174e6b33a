"""What moves on by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.people import waking
from alerts.people.escalating import escalate as escalate
from alerts.people.handing_over import tell_handovers
from alerts.people.models import EscalationRun

KEEP = timedelta(days=30)


def turn(*, now: datetime) -> None:
    """Give back what is acknowledged or snoozed for too long, and tell of hand-overs. Two at once share the work."""
    while waking.return_overdue(now=now):
        pass
    tell_handovers(now=now)


def forget_old(*, now: datetime) -> int:
    """Delete escalations that have been over for 30 days; return how many rows."""
    return EscalationRun.objects.filter(state=EscalationRun.State.OVER, ended_at__lt=now - KEEP).delete()[0]
