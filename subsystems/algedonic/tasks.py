"""Doors of the algedonic channel."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from subsystems.algedonic import services


@shared_task(name="algedonic.escalate", soft_time_limit=20, time_limit=30)
def escalate() -> None:
    """Escalate what nobody answered. Running twice is safe: each level is claimed by one UPDATE."""
    services.escalate_due(now=timezone.now())


@shared_task(name="algedonic.tidy", soft_time_limit=50, time_limit=60)
def tidy() -> None:
    """End what has lived its time and delete old history. Running twice is safe: the second finds nothing."""
    now = timezone.now()
    services.end_expired(now=now)
    services.forget_history(now=now)
