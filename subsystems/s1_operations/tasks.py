"""Doors of S1."""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task
from celery.signals import worker_shutdown
from django.db import DatabaseError, connections
from django.utils import timezone
from pydantic import Field

from subsystems.algedonic import canary
from subsystems.kernel.errors import Invalid
from subsystems.kernel.triggerable import Arguments, triggerable
from subsystems.s1_operations import collection, services
from subsystems.s1_operations.models import Unit

logger = logging.getLogger(__name__)


@shared_task(name="s1_operations.collect", soft_time_limit=8, time_limit=10)
def collect() -> None:
    """Collect the current slot and look after the algedonic lane. Running twice is safe: the slot is claimed once."""
    canary.check(now=timezone.now())
    collection.collect()


@shared_task(name="s1_operations.collect_shard", soft_time_limit=8, time_limit=10)
def collect_shard(slot: int, shard: int, shards: int) -> None:
    """Collect one part of a slot. Running twice is safe: each part is claimed once."""
    collection.collect_shard(slot, shard, shards)


@shared_task(name="s1_operations.forget_failures", soft_time_limit=50, time_limit=60)
def forget_failures() -> None:
    """Forget old failures. Running twice is safe: the second finds nothing."""
    services.forget_failures(now=timezone.now())


@shared_task(name="s1_operations.forget_gone", soft_time_limit=280, time_limit=300)
def forget_gone() -> None:
    """Forget units that left for good. Running twice is safe: the second finds none."""
    services.forget_gone(now=timezone.now())


@worker_shutdown.connect
def take_leave(sender: Any, **_: object) -> None:
    """Say our own worker's goodbye: when the whole platform stops, nobody is left to hear its event."""
    try:
        services.report_own_offline(sender.hostname, now=timezone.now())
    except DatabaseError as error:
        logger.warning("The worker's goodbye could not be kept: %s", error)
    finally:
        connections.close_all()


class ProbeArguments(Arguments):
    unit_id: int = Field(ge=1, description="The unit to measure now")


@triggerable("operations.collect_now")
def collect_now(arguments: Arguments) -> dict[str, Any]:
    """Collect all units at once, without waiting for the next slot."""
    seen = collection.collect_now()
    return {
        "slot": seen.slot,
        "unit_count": seen.unit_count,
        "answered_count": seen.answered_count,
        "sample_count": seen.sample_count,
        "duration_ms": round(seen.duration_ms, 1),
    }


@triggerable("operations.probe_unit", ProbeArguments)
def probe_unit(arguments: ProbeArguments) -> dict[str, Any]:
    """Measure one unit now and return what it answered."""
    unit = Unit.objects.select_related("fleet").filter(pk=arguments.unit_id).first()
    if unit is None:
        raise Invalid(f"There is no unit {arguments.unit_id}.", field="unit_id")
    reading = collection.probe_unit(unit)
    return {"unit": unit.name, "heard": reading.heard, "metrics": reading.metrics, "error": reading.error}
