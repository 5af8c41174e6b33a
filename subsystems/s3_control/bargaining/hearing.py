"""Both ends of the channel: what S3 makes of a unit's words, and what S1 answers by the terms of a unit."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from subsystems.kernel.errors import Invalid, NotListed, Refused
from subsystems.messaging.channels import Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered
from subsystems.recursion.queries import root_system
from subsystems.s3_control.bargaining import granting, rounds, services
from subsystems.s3_control.bargaining.models import Bargain, PoolUnit
from subsystems.s3_control.bargaining.services import Wish

SPEAKER = "S1"
Form = TypeVar("Form", bound=BaseModel)


class Requested(BaseModel):
    """`request`: a unit wants *amount* of a *resource* in all. The unit goes without saying where there is one."""

    model_config = ConfigDict(extra="ignore")

    resource: Annotated[str, Field(min_length=1, max_length=80)]
    unit: Annotated[str, Field(max_length=200)] = ""
    amount: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
    priority: Annotated[int, Field(ge=0, le=10)] = 5
    deadline: AwareDatetime | None = None
    within_seconds: Annotated[float | None, Field(gt=0, le=7 * 86_400)] = None
    reason: Annotated[str, Field(max_length=500)] = ""
    measured: bool = False

    def wish(self, now: datetime) -> Wish:
        within = None if self.within_seconds is None else now + timedelta(seconds=self.within_seconds)
        return Wish(self.amount, self.priority, self.deadline or within, self.reason)


class Answered(BaseModel):
    """`accept`, `refuse`, `release`: which bargain is meant, or else the message that asked for it."""

    model_config = ConfigDict(extra="ignore")

    bargain: uuid.UUID | None = None
    number: Annotated[int | None, Field(ge=0)] = None
    reason: Annotated[str, Field(max_length=500)] = ""


def hear(envelope: Envelope, context: Delivered) -> Mapping[str, Any] | None:
    """Let S3 hear a word of S1. What it cannot do it declines, by a message that says why."""
    system_id = context.system_id or root_system().pk
    try:
        if envelope.type == granting.REQUEST:
            row = _requested(envelope, system_id, context.now)
        else:
            row = _answered(envelope, system_id, context.now)
    except Refused as error:
        told = {"code": error.code, "field": error.field, "why": error.detail, "to": envelope.type}
        granting.say(Party.S3, granting.DECLINE, told, system_id=system_id, about=envelope.id)
        return None
    rounds.consider_soon(row.pool, now=context.now)
    return {"bargain": str(row.pk), "state": str(row.state)}


def _requested(envelope: Envelope, system_id: int, now: datetime) -> Bargain:
    told = _read(Requested, envelope.payload)
    unit = unit_called(system_id, told.resource, told.unit)
    origin = Bargain.Origin.MEASURED if told.measured else Bargain.Origin.MESSAGE
    return services.ask(unit, told.wish(now), message_id=envelope.id, origin=origin, by=SPEAKER, now=now)


def _answered(envelope: Envelope, system_id: int, now: datetime) -> Bargain:
    told = _read(Answered, envelope.payload)
    mine = Bargain.objects.filter(system_id=system_id).select_related("pool", "unit")
    row = mine.filter(pk=told.bargain).first() if told.bargain else mine.filter(message_id=_meant(envelope)).first()
    if row is None:
        raise NotListed("There is no such bargain in this system.", field="bargain")
    if envelope.type == granting.ACCEPT:
        return services.accept(row, told.number, by=SPEAKER, now=now)
    if envelope.type == granting.REFUSE:
        return services.refuse(row, told.number, by=SPEAKER, reason=told.reason, now=now)
    return services.release(row, by=SPEAKER, reason=told.reason, now=now)


def _meant(envelope: Envelope) -> str:
    return envelope.correlation_id or "-"


def unit_called(system_id: int, resource: str, name: str = "") -> PoolUnit:
    """Return the unit that speaks for *system_id* about a resource, of its own pools or of one above it.

    Raises NotListed naming `resource`, Invalid naming `unit`.
    """
    units = list(PoolUnit.objects.filter(system_id=system_id, pool__name=resource).select_related("pool")[:200])
    if not units:
        raise NotListed(f"No unit of this system shares a pool called {resource}.", field="resource")
    if not name and len(units) == 1:
        return units[0]
    found = [unit for unit in units if unit.name == name]
    if len(found) != 1:
        offered = ", ".join(unit.name for unit in units[:10])
        raise Invalid(f"Name one of the units that share {resource}: {offered}.", field="unit")
    return found[0]


def hear_offer(envelope: Envelope, context: Delivered) -> None:
    """Let S1 hear an offer, and accept it where the unit's terms say so. What counts is the bargain, not the message.

    A refusal is left to people and to the unit's own program: silence lets the offer expire.
    """
    row = _told(envelope, context)
    if row is None or row.offered is None or (row.offer_until or context.now) <= context.now:
        return
    least = row.unit.accept_from
    if least is None or (not row.is_notice and row.offered < least * row.wanted):
        return
    told = {"bargain": str(row.pk), "number": row.offer_number}
    granting.say(Party.S1, granting.ACCEPT, told, system_id=row.system_id, about=row.message_id)


def hear_decline(envelope: Envelope, context: Delivered) -> None:
    """Let S1 hear that S3 did not do what it asked; the journey of the message shows why."""
    _told(envelope, context)


def _told(envelope: Envelope, context: Delivered) -> Bargain | None:
    system_id = context.system_id or root_system().pk
    number = str(envelope.payload.get("bargain") or "")
    rows = Bargain.objects.filter(system_id=system_id, state__in=Bargain.ALIVE).select_related("unit")
    rows = rows.filter(pk=number) if _is_uuid(number) else rows.filter(message_id=_meant(envelope))
    rows.update(heard_at=context.now)
    return rows.first()


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _read(form: type[Form], payload: Mapping[str, Any]) -> Form:
    try:
        return form.model_validate(dict(payload))
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in mistake["loc"])
        raise Invalid(f"{place}: {mistake['msg']}", field=place) from None
