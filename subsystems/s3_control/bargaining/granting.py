"""What is held of a pool, and the record of how it came to be held: the one place that writes either.

Whatever is promised of a pool is promised while its row is held, so that two bargains at once are one after the other,
and what is held together with what is offered is never more than there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.live import push
from subsystems.messaging.services import publish
from subsystems.s3_control.bargaining import enforcing
from subsystems.s3_control.bargaining.models import Allocation, Bargain, ResourcePool
from subsystems.variety.gathering import decided

State = Bargain.State
REQUEST, OFFER, ACCEPT, REFUSE, RELEASE, DECLINE = "request", "offer", "accept", "refuse", "release", "decline"


def allocate(row: Bargain, amount: float, *, by: str, imposed: bool, now: datetime) -> None:
    """Let *amount* be held from now on, in place of what was; *imposed* when S3 told it and nobody accepted."""
    Allocation.objects.filter(unit=row.unit_id, ended_at=None).update(ended_at=now)
    former = Bargain.objects.filter(unit=row.unit_id, state=State.ALLOCATED).exclude(pk=row.pk)
    former.update(state=State.REPLACED, offered=None, ended_at=now, why="A later request took its place.")
    Allocation.objects.create(
        pool_id=row.pool_id, unit_id=row.unit_id, system_id=row.system_id, bargain=row, amount=amount,
        strategy=row.strategy, imposed=imposed, since=now,
    )  # fmt: skip
    enforcing.enforce_pool(row.pool)
    told = {"state": State.ALLOCATED, "offered": None, "is_notice": False, "answered_at": now, "answered_by": by[:150]}
    changed(row, "ResourceAllocated", by, told, amount=amount, imposed=imposed)
    transaction.on_commit(lambda: decided("", f"allocate {row.pool.kind}", system_id=row.system_id))


def changed(row: Bargain, type_: str, by: str, told: Mapping[str, Any], **more: Any) -> Bargain:
    """Write down what is *told* of a bargain, with its event, in the transaction of the caller."""
    for name, value in told.items():
        setattr(row, name, value)
    row.save(update_fields=list(told))
    body = {
        "bargain": str(row.pk), "resource": row.pool.name, "unit": row.unit.name, "wanted": row.wanted,
        "state": str(row.state), "strategy": row.strategy, "why": row.why, **more,
    }  # fmt: skip
    append(
        Stream.CONTROL, type_, body, system_id=row.system_id, actor=by[:150], correlation_id=row.message_id
    )  # fmt: skip
    show(row.system_id, row.pool_id)
    return row


def hold(pool_id: int) -> ResourcePool:
    """Hold a pool for the rest of the transaction, and return it: its row is written before anything is read of it."""
    ResourcePool.objects.filter(pk=pool_id).update(rounds=F("rounds") + 1)
    pool = ResourcePool.objects.select_related("fleet", "system").get(pk=pool_id)
    show(pool.system_id, pool_id)
    return pool


def show(system_id: int, pool_id: int) -> None:
    """Tell open dashboards of a system, after the commit, that something about a pool is another."""
    transaction.on_commit(lambda: push(system_id, "bargain", str(pool_id), {}))


def in_force(pool: ResourcePool) -> dict[int, Allocation]:
    return {row.unit_id: row for row in Allocation.objects.filter(pool=pool, ended_at=None)}


def say(
    sender: Party, type_: str, payload: Mapping[str, Any], *, system_id: int, about: str = "",
    until: datetime | None = None,
) -> Envelope:  # fmt: skip
    """Send one message of the bargain. Raises what `publish` raises: RateLimited, ChannelFull."""
    other = Party.S3 if sender is Party.S1 else Party.S1
    envelope = Envelope(
        channel=Channel.RESOURCE_BARGAIN, sender=sender, recipient=other, type=type_, payload=payload,
        correlation_id=about, expires_at=until,
    )  # fmt: skip
    publish(envelope, system_id=system_id)
    return envelope
