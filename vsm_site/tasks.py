"""Doors of the site."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from vsm_site.exporters import services


@shared_task(name="vsm_site.export", soft_time_limit=20, time_limit=30)
def export() -> None:
    """Send metrics to the targets that are due. Running twice is safe: a slot is claimed once."""
    services.export_due(now=timezone.now())
