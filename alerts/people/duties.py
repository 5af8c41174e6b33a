"""What people decide about teams and rotas: saved as a whole, refused by the field that is wrong, and on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, models, transaction

from alerts.people.hours import read_zone
from alerts.people.models import EscalationPolicy, Rota, RotaOverride, Team
from alerts.people.rotas import MAX_PARTICIPANTS, read_layers
from subsystems.event_log import services as event_log
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from subsystems.recursion.queries import people_in

MAX_TEAMS, MAX_ROTAS, MAX_OVERRIDES = 200, 200, 500  # of a system; of a rota, that are not over
LONGEST_OVERRIDE, FARTHEST_OVERRIDE = timedelta(days=92), timedelta(days=366)


# --- Teams ---


def save_team(team: Team, by: User, *, name: str | None = None, members: Sequence[str] | None = None) -> Team:
    """Save a new or an old team; *members* are names of users. Raises Invalid naming the field."""
    if name is not None:
        team.name = name
    check_name(team, MAX_TEAMS, "teams")
    chosen = None if members is None else known_people(team.system, members, "members")
    with transaction.atomic():
        save_named(team, "Another team has this name.")
        if chosen is not None:
            team.members.set(chosen.values())
        audit("team.saved", team.system, by, {"team": team.pk, "name": team.name, "members": list(chosen or ())})
    return team


def delete_team(team: Team, by: User) -> None:
    """Delete a team. Raises Refused while an escalation policy names it."""
    refuse_in_use(team.system_id, "team", team.pk)
    with transaction.atomic():
        audit("team.deleted", team.system, by, {"team": team.pk, "name": team.name})
        team.delete()


# --- Rotas ---

ROTA_FIELDS = ("name", "time_zone", "layers", "tell_handover")


def save_rota(rota: Rota, by: User, *, now: datetime, **fields: Any) -> Rota:
    """Save a new or an old rota; participants of its layers are names of users. Raises Invalid naming the place."""
    for name, value in fields.items():
        if name not in ROTA_FIELDS:
            raise Invalid(f"A rota has no field {name!r} that can be set.", field=name)
        setattr(rota, name, value)
    check_name(rota, MAX_ROTAS, "rotas")
    read_zone(rota.time_zone)
    if "layers" in fields or rota.pk is None:
        rota.layers = _with_numbers(rota.system, rota.layers)
    if rota.pk is None:
        rota.created_by = by
    # Whoever is on call from now on by another plan is told at its next hand-over, not of those that never were.
    rota.told_until = now
    with transaction.atomic():
        save_named(rota, "Another rota has this name.")
        audit("rota.saved", rota.system, by, {"rota": rota.pk, "name": rota.name, "layers": rota.layers})
    return rota


def delete_rota(rota: Rota, by: User) -> None:
    """Delete a rota. Raises Refused while an escalation policy names it."""
    refuse_in_use(rota.system_id, "rota", rota.pk)
    with transaction.atomic():
        audit("rota.deleted", rota.system, by, {"rota": rota.pk, "name": rota.name})
        rota.delete()


def take_shift(
    rota: Rota, user: User, by: User, starts_at: datetime, ends_at: datetime, *, now: datetime
) -> RotaOverride:
    """Let *user* be on call from *starts_at* until *ends_at*, whoever it would be. Saying it again changes nothing.

    Raises Invalid naming the field.
    """
    if not people_in(rota.system_id).filter(pk=user.pk).exists():
        raise Invalid("Nobody of this name may operate this system.", field="user")
    if ends_at <= max(starts_at, now):
        raise Invalid("It must end after it begins, and in the future.", field="ends_at")
    if ends_at - starts_at > LONGEST_OVERRIDE or ends_at - now > FARTHEST_OVERRIDE:
        raise Invalid(f"{LONGEST_OVERRIDE.days} days at most, and within a year.", field="ends_at")
    if rota.overrides.filter(ends_at__gt=now).count() >= MAX_OVERRIDES:
        raise Invalid(f"At most {MAX_OVERRIDES} at once.", field="starts_at")
    with transaction.atomic():
        made, new = rota.overrides.get_or_create(
            user=user, starts_at=starts_at, ends_at=ends_at, defaults={"created_by": by, "created_at": now}
        )
        if new:
            audit("rota.shift_taken", rota.system, by, _told(made))
    return made


def drop_override(override: RotaOverride, by: User) -> None:
    """Let those be on call again who were meant to be."""
    with transaction.atomic():
        if RotaOverride.objects.filter(pk=override.pk).delete()[0]:
            audit("rota.override_dropped", override.rota.system, by, _told(override))


def _told(override: RotaOverride) -> dict[str, Any]:
    return {
        "rota": override.rota_id, "user": override.user.get_username(), "from": moment_text(override.starts_at),
        "until": moment_text(override.ends_at),
    }  # fmt: skip


def _with_numbers(system: System, given: object) -> list[dict[str, Any]]:
    """Return layers whose participants are numbers of users, where they were names. Raises Invalid."""
    read_layers(given)
    assert isinstance(given, list | tuple)  # it was read
    layers = [dict(each) for each in given]
    for place, layer in enumerate(layers):
        field = f"layers[{place}].participants"
        known = known_people(system, layer["participants"], field, ordered=True)
        layer["participants"] = [known[name].pk for name in layer["participants"]]
        layer["name"] = layer["name"].strip()
    return layers


# --- What they share ---


def known_people(system: System, names: Sequence[object], field: str, *, ordered: bool = False) -> dict[str, User]:
    """Return the users of these names who may operate *system*. Raises Invalid. *ordered*: a name may come twice."""
    if len(names) > MAX_PARTICIPANTS or not all(isinstance(each, str) and "\0" not in each for each in names):
        raise Invalid(f"At most {MAX_PARTICIPANTS} names of users.", field=field)
    wanted = [str(each) for each in names]
    found = {user.get_username(): user for user in people_in(system.pk).filter(username__in=wanted)}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise Invalid(f"Nobody called {missing[0][:60]!r} may operate this system.", field=field)
    if not ordered and len(set(wanted)) < len(wanted):
        raise Invalid("Somebody is named twice.", field=field)
    return {name: found[name] for name in wanted}


def check_name(row: Any, most: int, words: str) -> None:
    """Raise Invalid when the name of *row* cannot be used, or when its system has too many such rows."""
    if not row.name.strip() or len(row.name) > 120 or "\0" in row.name:
        raise Invalid("A name has 1 to 120 characters.", field="name")
    row.name = row.name.strip()
    if row.pk is None and type(row).objects.filter(system=row.system).count() >= most:
        raise Invalid(f"A system may have {most} {words}.", field="name")


def save_named(row: models.Model, taken: str) -> None:
    """Save *row*. Raises Invalid with *taken* when its system has one of this name."""
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise Invalid(taken, field="name") from None


def audit(type_: str, system: System, by: User, data: Mapping[str, Any]) -> None:
    event_log.append(Stream.AUDIT, type_, data, system_id=system.pk, actor=by.get_username())


def refuse_in_use(system_id: int, whom: str, number: int) -> None:
    """Raise Refused while an escalation policy of the system notifies this team, rota or target."""
    for policy in EscalationPolicy.objects.filter(system=system_id):
        if any(step.get("notify") == {whom: number} for step in policy.steps):
            raise Refused(f"The escalation policy {policy.name!r} names this {whom}.", code="in_use")
