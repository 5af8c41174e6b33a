"""Setting up what is shared: pools, and the units that share them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, NotListed, Refused
from subsystems.recursion.models import System
from subsystems.recursion.queries import with_descendants
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.bargaining import enforcing
from subsystems.s3_control.bargaining.models import PoolUnit, ResourcePool
from subsystems.s3_control.bargaining.queries import POOL_FIELDS, UNIT_FIELDS

Kind = ResourcePool.Kind
MOST_UNITS = 200


def save_pool(
    system: System,
    fields: Mapping[str, Any],
    *,
    by: str,
    name: str = "",
    fleet: Fleet | None = None,
    pool: ResourcePool | None = None,
) -> ResourcePool:
    """Make a pool of *system*, or change one. Raises Invalid naming the field at fault."""
    row = pool or ResourcePool(system=system, fleet=fleet, name=name.strip())
    for each, value in fields.items():
        if each in POOL_FIELDS:
            setattr(row, each, value)
    _check_pool(row, system)
    told = {"pool": row.name, "fleet": row.fleet.name if row.fleet else None}
    try:
        with transaction.atomic():
            row.save()
            told |= {each: getattr(row, each) for each in POOL_FIELDS}
            append(Stream.CONTROL, "ResourcePoolSaved", told, system_id=system.pk, actor=by[:150])
            enforcing.enforce_pool(row)
    except IntegrityError:
        raise Invalid("There is a pool of this name already.", field="name") from None
    return row


def _check_pool(row: ResourcePool, system: System) -> None:
    if not row.name or not row.name.isprintable():
        raise Invalid("A pool has a name: what requests call the resource.", field="name")
    if row.kind == Kind.MESSAGE_RATE and row.fleet is not None:
        raise Invalid("Messages are the system's, not a fleet's.", field="fleet")
    if row.kind != Kind.MESSAGE_RATE and (row.fleet is None or row.fleet.system_id != system.pk):
        raise Invalid("Name the fleet of this system whose slots or tasks are shared.", field="fleet")
    if row.fleet is not None and row.fleet.own:
        raise Invalid("The platform's own workers are run by the platform, not bargained about.", field="fleet")
    if row.kind == Kind.TASK_RATE and row.limit is None:
        raise Invalid("Say how many tasks a second there are to give away: nothing measures that.", field="limit")
    if row.kind == Kind.SLOTS and row.limit is not None and row.limit != int(row.limit):
        raise Invalid("Slots are whole.", field="limit")
    _clean(row, ["system", "fleet"])


def save_unit(
    pool: ResourcePool, name: str, fields: Mapping[str, Any], *, by: str, system: System | None = None
) -> PoolUnit:
    """Let a unit share a pool, or change its terms. Raises Invalid naming the field at fault."""
    name = name.strip()
    row = PoolUnit.objects.filter(pool=pool, name=name).first()
    if row is None:
        row = PoolUnit(pool=pool, name=name, system=_system_of(pool, name))
        if pool.units.count() >= MOST_UNITS:
            raise Refused(f"A pool is shared by {MOST_UNITS} units at most.", code="too_many")
    for each, value in fields.items():
        if each in UNIT_FIELDS:
            setattr(row, each, value)
    if row.ceiling is not None and row.ceiling < row.guarantee:
        raise Invalid("The ceiling is at least the guarantee.", field="ceiling")
    _clean(row, ["pool", "system"])
    others = pool.units.exclude(pk=row.pk).aggregate(total=models.Sum("guarantee"))["total"] or 0.0
    if pool.limit is not None and others + row.guarantee > pool.limit:
        raise Invalid(
            f"With the others {others + row.guarantee:g} of {pool.limit:g} are guaranteed.", field="guarantee"
        )
    told = {"pool": pool.name, "unit": name, **{each: getattr(row, each) for each in UNIT_FIELDS}}
    try:
        with transaction.atomic():
            row.save()
            append(Stream.CONTROL, "ResourceUnitSaved", told, system_id=pool.system_id, actor=by[:150])
    except IntegrityError:
        raise Invalid("It was added at the same moment.", field="name") from None
    return row


def _system_of(pool: ResourcePool, name: str) -> System:
    """Return whose people speak for a unit: a system for itself, everything else with the pool's own."""
    if pool.kind != Kind.MESSAGE_RATE:
        return pool.system
    found = System.objects.filter(slug=name, pk__in=with_descendants([pool.system_id])).first()
    if found is None:
        raise Invalid("Name this system or one below it by its slug.", field="name")
    return found


def _clean(row: models.Model, without: list[str]) -> None:
    try:
        row.clean_fields(exclude=without)
    except ValidationError as error:
        name, words = next(iter(error.message_dict.items()))
        raise Invalid(f"{name}: {words[0]}", field=name) from None


@transaction.atomic
def drop_unit(pool: ResourcePool, name: str, *, by: str) -> None:
    """Let a unit share a pool no more; what it held and bargained goes with it. Raises NotListed."""
    row = pool.units.filter(name=name).first()
    if row is None:
        raise NotListed("There is no such unit in this pool.", field="unit")
    append(
        Stream.CONTROL, "ResourceUnitDropped", {"pool": pool.name, "unit": name}, system_id=pool.system_id,
        actor=by[:150],
    )  # fmt: skip
    row.delete()
    if pool.kind == Kind.MESSAGE_RATE:
        enforcing.enforce([row.system_id])


@transaction.atomic
def drop_pool(pool: ResourcePool, *, by: str) -> None:
    """Share a resource no more; what was done about it stays as it is."""
    append(Stream.CONTROL, "ResourcePoolDropped", {"pool": pool.name}, system_id=pool.system_id, actor=by[:150])
    sharing = set(pool.units.values_list("system_id", flat=True)) if pool.kind == Kind.MESSAGE_RATE else set()
    pool.delete()
    enforcing.enforce(sharing)
