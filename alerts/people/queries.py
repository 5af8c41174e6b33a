"""Reading who is on call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User

from alerts.people import rotas
from alerts.people.models import Rota, RotaOverride, Team
from subsystems.kernel.times import moment_text

Names = Mapping[int, str]


def plans(rows: Sequence[Rota], start: datetime, end: datetime) -> dict[int, rotas.Rota]:
    """Return the plan of each rota, with the overrides that lie between two moments."""
    overrides: dict[int, list[rotas.Override]] = defaultdict(list)
    found = RotaOverride.objects.filter(rota__in=rows, starts_at__lt=end, ends_at__gt=start).order_by("pk")
    for rota_id, user, starts_at, ends_at in found.values_list("rota_id", "user_id", "starts_at", "ends_at"):
        overrides[rota_id].append(rotas.Override(user, starts_at, ends_at))
    return {row.pk: rotas.read_rota(row.time_zone, row.layers, overrides[row.pk]) for row in rows}


def names_of(rows: Iterable[Rota], *more: int) -> dict[int, str]:
    """Return the names of all who take part in these rotas, and of *more* users."""
    numbers = {pk for row in rows for layer in row.layers for pk in layer["participants"]} | set(more)
    overriding = RotaOverride.objects.filter(rota__in=list(rows)).values_list("user_id", flat=True)
    users = User.objects.filter(pk__in=numbers | set(overriding))
    return dict(users.values_list("pk", "username"))


def rota_bodies(rows: Sequence[Rota], *, now: datetime) -> list[dict[str, Any]]:
    """Return rotas as JSON, with who is on call and when that changes. Three queries, however many there are."""
    found = plans(rows, now, now + rotas.LONGEST_LOOK)
    names = names_of(rows)
    return [_rota_body(row, found[row.pk], names, now) for row in rows]


def _rota_body(row: Rota, plan: rotas.Rota, names: Names, now: datetime) -> dict[str, Any]:
    holder = rotas.on_call(plan, now)
    handover = rotas.handover_after(plan, now)
    after = rotas.on_call(plan, handover) if handover else None
    return {
        "id": row.pk,
        "system": row.system.slug,
        "name": row.name,
        "time_zone": row.time_zone,
        "layers": [
            {**layer, "participants": [names.get(pk, "") for pk in layer["participants"]]} for layer in row.layers
        ],
        "tell_handover": row.tell_handover,
        "on_call": names.get(holder) if holder else None,
        "handover_at": moment_text(handover),
        "next": names.get(after) if after else None,
    }


def shift_bodies(row: Rota, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Return who is on call between two moments as JSON, oldest first."""
    plan = plans([row], start, end)[row.pk]
    names = names_of([row])
    return [
        {
            "user": names.get(each.user, ""),
            "starts_at": moment_text(each.starts_at),
            "ends_at": moment_text(each.ends_at),
            "layer": each.layer,
            "override": each.overridden,
        }
        for each in rotas.shifts(plan, start, end)
    ]


def override_body(override: RotaOverride) -> dict[str, Any]:
    """Return one override as JSON."""
    return {
        "id": override.pk,
        "user": override.user.get_username(),
        "starts_at": moment_text(override.starts_at),
        "ends_at": moment_text(override.ends_at),
        "created_by": override.created_by.get_username() if override.created_by else None,
    }


def team_body(team: Team) -> dict[str, Any]:
    """Return one team as JSON; read its members beforehand."""
    members = sorted(user.get_username() for user in team.members.all())
    return {"id": team.pk, "system": team.system.slug, "name": team.name, "members": members}


def holder_of(row: Rota, at: datetime) -> int | None:
    """Return the number of the user who is on call at a moment."""
    return rotas.on_call(plans([row], at, at + timedelta(seconds=1))[row.pk], at)
