"""Doors of messaging."""

from __future__ import annotations

import time

from celery import Task, shared_task
from celery.exceptions import Reject
from django.db import InterfaceError, OperationalError, connections
from django.utils import timezone

from subsystems.messaging import receiving, services, slots

TALLY_SECONDS = 600
PAUSES = (0.5, 2.0, 5.0)  # while the database is away


@shared_task(name="messaging.receive", bind=True, soft_time_limit=50, time_limit=60)
def receive(self: Task, numbers: list[int]) -> None:
    """Handle messages. Running twice is safe: each handler's claim is a unique row in the transaction of its effect."""
    _receive(self, numbers)


@shared_task(name="messaging.receive_long", bind=True, soft_time_limit=300, time_limit=330)
def receive_long(self: Task, numbers: list[int]) -> None:
    """Handle messages that may take minutes. Running twice is safe: such handlers claim their own work."""
    _receive(self, numbers)


@shared_task(name="messaging.expire_requests", soft_time_limit=20, time_limit=30)
def expire_requests() -> None:
    """Close requests that nobody answered in time. Running twice is safe: each is claimed by one UPDATE."""
    services.expire_requests(now=timezone.now())


@shared_task(name="messaging.forget_old", soft_time_limit=60, time_limit=90)
def forget_old() -> None:
    """Delete old messages and slots, counted before. Running twice is safe: the second finds nothing.

    Who claims the slot counts: two at once on empty tallies would have no row to wait for each other at.
    """
    now = timezone.now()
    if slots.claim_slot("messaging.tally", TALLY_SECONDS, now=now, scheduled=False) is not None:
        services.tally(now=now)
    services.forget_old(now=now)
    slots.forget_old_slots(now=now)


def _receive(task: Task, numbers: list[int]) -> None:
    """Handle messages; while the database is away wait a little, then let the broker keep them."""
    redelivered = bool((task.request.delivery_info or {}).get("redelivered"))
    for pause in (*PAUSES, None):
        try:
            receiving.receive(numbers, worker=task.request.hostname or "", redelivered=redelivered)
            return
        except (OperationalError, InterfaceError) as error:
            connections.close_all()
            redelivered = False  # a database that goes away again has killed nobody
            if pause is None:
                raise Reject(error, requeue=True) from error
            time.sleep(pause)
