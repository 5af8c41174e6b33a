"""Doors of alerts."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.utils import timezone

from alerts import services
from subsystems.kernel.triggerable import Arguments, triggerable


@shared_task(name="alerts.evaluate", soft_time_limit=20, time_limit=30)
def evaluate(payload: dict[str, Any]) -> None:
    """Evaluate every rule after a collection. Running twice is safe: each change is claimed by one UPDATE."""
    services.evaluate(now=timezone.now())


@shared_task(name="alerts.forget_alerts", soft_time_limit=60, time_limit=90)
def forget_alerts() -> None:
    """Delete old alerts. Running twice is safe: the second finds none."""
    services.forget_alerts(now=timezone.now())


@triggerable("alerts.evaluate_now")
def evaluate_now(arguments: Arguments) -> dict[str, int]:
    """Evaluate every alert rule now and return how many alerts began to fire."""
    return {"fired": services.evaluate(now=timezone.now())}
