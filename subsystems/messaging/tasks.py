"""Doors of messaging."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from subsystems.messaging import services, slots


@shared_task(name="messaging.sweep", soft_time_limit=20, time_limit=30)
def sweep() -> None:
    """Send what was left in the outbox. Running twice is safe: receivers are idempotent by message id."""
    services.sweep()


@shared_task(name="messaging.forget_old_slots", soft_time_limit=20, time_limit=30)
def forget_old_slots() -> None:
    """Delete old slot rows. Running twice is safe: the second finds nothing."""
    slots.forget_old_slots(now=timezone.now())
