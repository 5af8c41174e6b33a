"""Doors of alerts."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from alerts import services
from alerts.checks import beating
from alerts.checks import services as checks
from alerts.notices import services as notices
from alerts.people import services as people
from subsystems.kernel.triggerable import Arguments, triggerable


@shared_task(name="alerts.evaluate", soft_time_limit=20, time_limit=30)
def evaluate(payload: dict[str, Any]) -> None:
    """Have each shard of the rules evaluated after a collection. Running twice is safe: a shard claims its slot."""
    if settings.ALERT_SHARDS == 1:
        services.evaluate_slot(now=timezone.now())
        return
    for shard in range(settings.ALERT_SHARDS):
        evaluate_shard.apply_async(kwargs={"shard": shard, "of": settings.ALERT_SHARDS}, expires=10)


@shared_task(bind=True, name="alerts.evaluate_shard", soft_time_limit=20, time_limit=30)
def evaluate_shard(self: Any, shard: int, of: int) -> None:
    """Evaluate one shard of the rules. Running twice is safe: each change of an alert is claimed by one UPDATE."""
    again = bool((self.request.delivery_info or {}).get("redelivered"))
    services.evaluate_slot(now=timezone.now(), shard=shard, of=of, again=again)


@shared_task(name="alerts.catch_up", soft_time_limit=20, time_limit=30)
def catch_up() -> None:
    """Evaluate when no collection has asked for it lately. Running twice is safe: a shard claims its slot."""
    if services.overdue(now=timezone.now()):
        evaluate(payload={})


@shared_task(name="alerts.group", soft_time_limit=25, time_limit=40)
def group(payload: dict[str, Any]) -> None:
    """Sort alerts that changed and flush groups that are due. Running twice is safe: rows are claimed."""
    notices.group(now=timezone.now())
    people.escalate(now=timezone.now())


@shared_task(name="alerts.notify", soft_time_limit=25, time_limit=40)
def notify(payload: dict[str, Any]) -> None:
    """Send what is due. Running twice is safe: each notification is claimed by one."""
    notices.notify(now=timezone.now())


@shared_task(name="alerts.tick", soft_time_limit=45, time_limit=60)
def tick() -> None:
    """Move notices on: what has become due, what no hint was heard of. Running twice is safe: rows are claimed."""
    checks.turn(now=timezone.now())
    people.turn(now=timezone.now())
    notices.turn(now=timezone.now())
    people.escalate(now=timezone.now())
    notices.notify(now=timezone.now())


@shared_task(name="alerts.heartbeat", soft_time_limit=25, time_limit=40)
def heartbeat() -> None:
    """Tell somebody outside that the platform works. Running twice is safe: a slot is claimed once."""
    beating.beat(now=timezone.now())


@shared_task(name="alerts.forget_alerts", soft_time_limit=60, time_limit=90)
def forget_alerts() -> None:
    """Delete old alerts. Running twice is safe: the second finds none."""
    services.forget_alerts(now=timezone.now())
    notices.forget_old(now=timezone.now())
    checks.forget_pings(now=timezone.now())
    people.forget_old(now=timezone.now())


@triggerable("alerts.evaluate_now")
def evaluate_now(arguments: Arguments) -> dict[str, int]:
    """Evaluate every alert rule now and return how many alerts began to fire."""
    return {"fired": services.evaluate(now=timezone.now(), everything=True)}
