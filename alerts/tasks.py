"""Doors of alerts."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.utils import timezone

from alerts import receiver, services
from subsystems.kernel.triggerable import Arguments, triggerable


@shared_task(name="alerts.evaluate", soft_time_limit=20, time_limit=30)
def evaluate(payload: dict[str, Any]) -> None:
    """Evaluate every rule after a collection. Running twice is safe: each change is claimed by one UPDATE."""
    services.evaluate(now=timezone.now())


@shared_task(name="alerts.receive_viability", soft_time_limit=20, time_limit=30)
def receive_viability(payload: dict[str, Any], message_id: str) -> None:
    """Watch an assessment. Running twice is safe: a message is heard once by its id."""
    receiver.receive_viability(payload, message_id, now=timezone.now())


@shared_task(name="alerts.forget_alerts", soft_time_limit=60, time_limit=90)
def forget_alerts() -> None:
    """Delete old alerts. Running twice is safe: the second finds none."""
    services.forget_alerts(now=timezone.now())


@triggerable("alerts.evaluate_now")
def evaluate_now(arguments: Arguments) -> dict[str, int]:
    """Evaluate every alert rule now and return how many alerts began to fire."""
    return {"fired": services.evaluate(now=timezone.now())}
