"""Doors of S2: keeping the record of runs, and looking at how all goes together."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from subsystems.s2_coordination import services
from subsystems.s2_coordination.monitor import services as monitor


@shared_task(name="s2_coordination.forget_runs", soft_time_limit=280, time_limit=300)
def forget_runs() -> None:
    """Forget old runs. Running twice is safe: the second finds nothing."""
    services.forget_runs(now=timezone.now())


@shared_task(name="s2_coordination.look", soft_time_limit=50, time_limit=60)
def look() -> None:
    """Look at what swings and clashes. Running twice is safe: each minute is claimed once, each finding open once."""
    monitor.look_slot(now=timezone.now())


@shared_task(name="s2_coordination.forget_findings", soft_time_limit=100, time_limit=120)
def forget_findings() -> None:
    """Forget old findings, readings and clearings. Running twice is safe: the second finds nothing."""
    monitor.forget(now=timezone.now())
