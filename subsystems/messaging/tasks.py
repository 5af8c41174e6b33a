"""Doors of messaging."""

from __future__ import annotations

from celery import shared_task

from subsystems.messaging import services


@shared_task(name="messaging.sweep", soft_time_limit=20, time_limit=30)
def sweep() -> None:
    """Send what was left in the outbox. Running twice is safe: receivers are idempotent by message id."""
    services.sweep()
