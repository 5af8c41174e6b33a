"""Telling those whose shift begins or ends, where their rota wants that."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from alerts.notices import payload
from alerts.people import rotas
from alerts.people.contacts import OTHER
from alerts.people.models import Rota
from alerts.people.queries import plans
from alerts.people.telling import tell_one
from subsystems.kernel.times import moment_text
from subsystems.recursion.queries import people_in

REASON = "handover"
LOOKED_BACK = timedelta(days=1)  # after a longer stop of the platform, what was missed is no news any more


def tell_handovers(*, now: datetime) -> int:
    """Tell of the hand-overs since the last look; return how many notifications were written."""
    watched = list(Rota.objects.filter(tell_handover=True, told_until__lt=now).select_related("system"))
    if not watched:
        return 0
    start = min(max(row.told_until or now, now - LOOKED_BACK) for row in watched)
    found = plans(watched, start, now + rotas.LONGEST_LOOK)
    return sum(_look(row, found[row.pk], now) for row in watched)


def _look(row: Rota, plan: rotas.Rota, now: datetime) -> int:
    since = max(row.told_until or now, now - LOOKED_BACK)
    at = rotas.handover_after(plan, since)
    if at is None or at > now:
        return 0
    before, after = rotas.on_call(plan, since), rotas.on_call(plan, now)
    with transaction.atomic():
        mine = Rota.objects.filter(pk=row.pk, told_until=row.told_until)
        if not mine.update(told_until=now) or before == after:
            return 0
        return _tell(row, plan, before, after, now)


def _tell(row: Rota, plan: rotas.Rota, before: int | None, after: int | None, now: datetime) -> int:
    people = [each for each in (before, after) if each is not None]
    users = {user.pk: user for user in people_in(row.system_id).filter(pk__in=people)}
    until = rotas.handover_after(plan, now)
    ends = f" until {moment_text(until)}" if until else ""
    name = users[after].get_username() if after in users else "nobody"
    written = 0
    if after in users:
        written += _write(row, users[after], f"You are on call now for {row.name}{ends}.", now)
    if before in users:
        written += _write(row, users[before], f"Your shift for {row.name} is over: {name} is on call{ends}.", now)
    return written


def _write(row: Rota, user: User, words: str, now: datetime) -> int:
    labels = {"alertname": "HandOver", "severity": "info", "system": row.system.slug, "rota": row.name}
    told = payload.Told(
        labels, {"summary": words}, True, moment_text(now), None, "0" * 64, "info", words,
        url=f"{settings.EXTERNAL_URL}/dashboard/on-call/rotas/{row.pk}/?system={row.system.slug}",
    )  # fmt: skip
    return int(tell_one(user, told, system=row.system, reason=REASON, severity=OTHER, now=now))
