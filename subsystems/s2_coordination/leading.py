"""Which of several beats leads: a lease in the database, with an epoch as its fence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from subsystems.s2_coordination.models import BeatLease, BeatProcess

LEASE_ROW = 1
LEASE = timedelta(seconds=4)  # with the standby's look each second, a leader that dies is replaced within five
RENEW_BEFORE = timedelta(seconds=2.5)
SEEN_EVERY = timedelta(seconds=5)
FORGET_AFTER = timedelta(hours=1)


class Deposed(Exception):
    """Another beat has taken the lead meanwhile; nothing was written."""


@dataclass(frozen=True)
class Reign:
    """The lead as one beat holds it; *vacant_since* is when its predecessor was last known to lead."""

    holder: str
    epoch: int
    expires_at: datetime
    vacant_since: datetime | None = None


def database_now() -> datetime:
    """Return the time of the database's clock: the one that beats on several hosts share."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
    return found


def take(holder: str, *, now: datetime) -> Reign | None:
    """Take the lead if nobody holds it; return it, or None when another beat leads."""
    with transaction.atomic():
        BeatLease.objects.get_or_create(pk=LEASE_ROW)
        row = BeatLease.objects.select_for_update().get(pk=LEASE_ROW)
        if row.expires_at is not None and row.expires_at > now and row.holder != holder:
            return None
        vacant_since = row.renewed_at
        row.holder, row.epoch = holder, row.epoch + 1
        row.taken_at = row.renewed_at = now
        row.expires_at = now + LEASE
        row.save()
    return Reign(holder, row.epoch, row.expires_at, vacant_since)


def renew(reign: Reign, *, now: datetime) -> Reign:
    """Extend *reign*; in a transaction it is the fence of what the transaction writes. Raises Deposed."""
    mine = BeatLease.objects.filter(pk=LEASE_ROW, holder=reign.holder, epoch=reign.epoch)
    if not mine.update(renewed_at=now, expires_at=now + LEASE):
        raise Deposed
    return Reign(reign.holder, reign.epoch, now + LEASE)


def give_up(reign: Reign, *, now: datetime) -> None:
    """Leave the lead to whoever stands by; a beat that is stopped need not be waited for."""
    BeatLease.objects.filter(pk=LEASE_ROW, holder=reign.holder, epoch=reign.epoch).update(expires_at=now)


def report(name: str, started_at: datetime, *, now: datetime) -> None:
    """Say that the beat *name* runs, and forget those that have been away for an hour."""
    if not BeatProcess.objects.filter(name=name).update(seen_at=now):
        BeatProcess.objects.create(name=name, started_at=started_at, seen_at=now)
        BeatProcess.objects.filter(seen_at__lt=now - FORGET_AFTER).delete()


def leave(name: str) -> None:
    """Say that the beat *name* ends."""
    BeatProcess.objects.filter(name=name).delete()


def leaderless_since(*, now: datetime) -> datetime | None:
    """Return since when no beat leads, or None when one does or none ever did."""
    ended = BeatLease.objects.filter(pk=LEASE_ROW).exclude(Q(expires_at=None) | Q(expires_at__gt=now))
    return ended.values_list(F("renewed_at"), flat=True).first()
