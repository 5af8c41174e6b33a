"""Doors of health."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.utils import timezone

from subsystems.health import services
from subsystems.health.queries import assessment_body
from subsystems.kernel.triggerable import Arguments, triggerable


@shared_task(name="health.assess", soft_time_limit=25, time_limit=30)
def assess() -> None:
    """Assess every system. Running twice is safe: a slot is claimed once."""
    services.assess_slot(now=timezone.now())


@shared_task(name="health.assess_early", soft_time_limit=25, time_limit=30)
def assess_early(payload: dict[str, Any]) -> None:
    """Assess what has no recent assessment, right after a collection. Running twice is safe: the second finds none."""
    services.assess_early(now=timezone.now())


@shared_task(name="health.forget_history", soft_time_limit=60, time_limit=90)
def forget_history() -> None:
    """Delete old assessments. Running twice is safe: the second finds nothing."""
    services.forget_history(now=timezone.now())


@triggerable("health.assess_now")
def assess_now(arguments: Arguments) -> list[dict[str, Any]]:
    """Assess every system now and return the assessments."""
    return [assessment_body(made) for made in services.assess_now(now=timezone.now())]
