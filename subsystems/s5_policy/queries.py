"""The policy in force. A system without a row of its own has the documented defaults."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q

from subsystems.recursion.models import System
from subsystems.s5_policy.models import AlertPolicy, Decision, ViabilityPolicy


def viability_policy(system: System) -> ViabilityPolicy:
    """Return the weights and thresholds of *system*."""
    return ViabilityPolicy.objects.filter(system=system).first() or ViabilityPolicy(system=system)


def alert_policy(system: System) -> AlertPolicy:
    """Return the alert limits of *system*."""
    return AlertPolicy.objects.filter(system=system).first() or AlertPolicy(system=system)


def answer_time(policy: AlertPolicy, severity: str) -> timedelta | None:
    """Return how soon *policy* expects an answer to an alert; an informational one needs none."""
    seconds = {
        "critical": policy.answer_critical_within_seconds,
        "warning": policy.answer_warning_within_seconds,
    }.get(severity)
    return None if seconds is None else timedelta(seconds=seconds)


def answer_counts(system: System, *, since: datetime, now: datetime) -> dict[str, Any]:
    """Return how many questions since *since* were asked, settled (answered, or overdue) and answered in time."""
    answered = Q(answered_at__isnull=False)
    return Decision.objects.filter(system=system, asked_at__gte=since).aggregate(
        asked=Count("pk"),
        settled=Count("pk", filter=answered | Q(due_at__lte=now)),
        in_time=Count("pk", filter=answered & Q(answered_at__lte=F("due_at"))),
    )
