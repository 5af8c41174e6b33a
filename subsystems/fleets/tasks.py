"""Doors of the fleets' history."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from subsystems.fleets import counting, detection, services, watching

COUNT_EVERY_MINUTES = 10  # counting a million rows takes a fifth of a second


@shared_task(name="fleets.forget_old", soft_time_limit=50, time_limit=60)
def forget_old() -> None:
    """Delete tasks past their time. Running twice is safe: the second finds what the first left."""
    now = timezone.now()
    services.forget_old(now=now, count_too=now.minute % COUNT_EVERY_MINUTES == 0)
    watching.forget_states(now=now)
    detection.forget_findings(now=now)
    counting.forget(now=now)


@shared_task(name="fleets.detect", soft_time_limit=25, time_limit=30)
def detect() -> None:
    """Look for what is stuck. Running twice is safe: a slot is claimed once, and a finding is open once."""
    detection.detect(now=timezone.now())
