"""Doors of S2."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from subsystems.s2_coordination import services


@shared_task(name="s2_coordination.forget_old_slots", soft_time_limit=20, time_limit=30)
def forget_old_slots() -> None:
    """Delete old slot rows. Running twice is safe: the second finds nothing."""
    services.forget_old_slots(now=timezone.now())
