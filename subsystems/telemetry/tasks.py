"""Doors of telemetry."""

from __future__ import annotations

import logging
import time

from celery import shared_task
from django.conf import settings

from subsystems.kernel.errors import TransientError, VsmError
from subsystems.kernel.triggerable import Arguments, tell_progress, triggerable
from subsystems.telemetry import archiving, partitions, retention, tiers

# RabbitMQ takes back what is not acknowledged within half an hour, and a day begun later would be cut off.
ARCHIVE_SECONDS = 1400
TRIGGERED_SECONDS = 180
logger = logging.getLogger(__name__)


@shared_task(name="telemetry.roll_up", soft_time_limit=50, time_limit=60)
def roll_up() -> None:
    """Write due roll-ups. Running twice is safe: the same rows are written again.

    A hot tier that is down is left to the next minute; what is due stays due.
    """
    try:
        tiers.roll_up(now=time.time())
    except TransientError as error:
        logger.warning("Nothing was rolled up: %s", error)


@shared_task(name="telemetry.evict", soft_time_limit=240, time_limit=300)
def evict() -> None:
    """Forget what is past its time in both tiers. Running twice is safe: the second finds nothing."""
    now = time.time()
    partitions.ensure_ahead(now=now)
    retention.forget(now=now)
    try:
        tiers.evict(now=now)
    except TransientError as error:
        logger.warning("The hot tier was not cleaned: %s", error)


@shared_task(name="telemetry.archive", soft_time_limit=1650, time_limit=1750)
def archive() -> None:
    """Move settled days into the archive. Running twice is safe: the second finds nothing left to do, or is refused."""
    if not settings.ARCHIVE_URL:
        return
    try:
        archiving.archive_due(now=time.time(), until=time.monotonic() + ARCHIVE_SECONDS)
    except archiving.ArchiveBusy:
        logger.info("Another process is archiving")
    except VsmError as error:
        logger.error("Nothing was archived: %s", error)


@triggerable("telemetry.archive_now", scope="admin")
def archive_now(arguments: Arguments) -> dict[str, int]:
    """Write, read back and move settled days into the archive now, for some minutes; `left` are for the next hour."""
    until = time.monotonic() + TRIGGERED_SECONDS
    return archiving.archive_due(now=time.time(), until=until, progress=tell_progress).to_wire()


@triggerable("telemetry.roll_up_now")
def roll_up_now(arguments: Arguments) -> dict[str, int]:
    """Write the roll-ups of all closed minutes now."""
    return {"rollups": tiers.roll_up(now=time.time())}
