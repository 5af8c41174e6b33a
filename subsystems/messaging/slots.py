"""Doing periodic work once per slot, whoever asks.

It lives down here, beside the outbox, because the collectors of S1 claim slots too and may not import S2.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from subsystems.kernel.slots import slot_of
from subsystems.messaging.models import SlotRun

KEEP = timedelta(hours=1)


def claim_slot(job: str, period_seconds: int, *, now: datetime, scheduled: bool = True) -> int | None:
    """Claim the current slot of *job*; return its start (epoch seconds), or None when somebody else has it."""
    slot = slot_of(now, period_seconds)
    return slot if claim(job, slot, period_seconds, now=now, scheduled=scheduled) else None


def claim(job: str, slot: int, period_seconds: int, *, now: datetime, scheduled: bool = True) -> bool:
    """Claim a given slot of *job*; return whether it was free. What is not *scheduled* may leave slots out."""
    try:
        with transaction.atomic():
            SlotRun.objects.create(
                job=job, slot=slot, period_seconds=period_seconds, started_at=now, scheduled=scheduled
            )
    except IntegrityError:
        return False
    return True


@contextmanager
def slot_once(job: str, period_seconds: int, *, now: datetime | None = None) -> Iterator[int | None]:
    """Yield the claimed slot, or None when there is nothing to do; record when the work ended."""
    slot = claim_slot(job, period_seconds, now=now or timezone.now())
    yield slot
    if slot is not None:
        SlotRun.objects.filter(job=job, slot=slot).update(finished_at=timezone.now())


def forget_old_slots(*, now: datetime) -> int:
    """Delete slot rows that nobody needs any more; return how many."""
    return SlotRun.objects.filter(started_at__lt=now - KEEP).delete()[0]
