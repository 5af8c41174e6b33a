"""Doors of S2: keeping the record of runs."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from subsystems.s2_coordination import services


@shared_task(name="s2_coordination.forget_runs", soft_time_limit=280, time_limit=300)
def forget_runs() -> None:
    """Forget old runs. Running twice is safe: the second finds nothing."""
    services.forget_runs(now=timezone.now())
