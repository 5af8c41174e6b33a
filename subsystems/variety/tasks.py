"""Doors of variety."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.signals import worker_process_shutdown
from django.utils import timezone

from subsystems.kernel.triggerable import Arguments, triggerable
from subsystems.variety import gathering, queries, services


@shared_task(name="variety.merge", soft_time_limit=25, time_limit=30)
def merge() -> None:
    """Add what was told of operations. Running twice is safe: a slot is claimed once, and no batch is merged twice."""
    services.merge_slot(now=timezone.now())


@shared_task(name="variety.read", soft_time_limit=25, time_limit=30)
def read() -> None:
    """Measure every system. Running twice is safe: there is one reading of a system and slot."""
    services.read_slot(now=timezone.now())


@shared_task(name="variety.forget", soft_time_limit=100, time_limit=120)
def forget() -> None:
    """Forget old readings. Running twice is safe: the second finds nothing."""
    services.forget(now=timezone.now())


@worker_process_shutdown.connect
def _write_the_rest(**_: object) -> None:
    """A process of a pool ends without a goodbye to Python."""
    gathering.stop()


@triggerable("variety.read_now")
def read_now(arguments: Arguments) -> list[dict[str, Any]]:
    """Measure the variety of every system now and return its figures."""
    gathering.flush()
    return [queries.reading_body(made) for made in services.read_now(now=timezone.now())]
