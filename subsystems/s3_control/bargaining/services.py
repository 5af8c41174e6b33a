"""The bargain itself: request, offer, acceptance, refusal, deadline, and giving back.

Each of S1's words is a message on the resource bargain channel, and has its effect once, whether it came by a message
or was said at a door, which then sends the message.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.times import moment_text
from subsystems.messaging.channels import Party
from subsystems.s3_control.bargaining import enforcing, granting, rounds
from subsystems.s3_control.bargaining.granting import ACCEPT, RELEASE, REQUEST, State
from subsystems.s3_control.bargaining.models import Allocation, Bargain, PoolUnit

PATIENCE = timedelta(minutes=10)  # a request without a deadline waits so long
LONGEST = timedelta(days=7)
PLATFORM = "the platform"


# --- Asking ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Wish:
    """What a unit asks for: so much in all, not so much more."""

    wanted: float
    priority: int = 5
    deadline: datetime | None = None
    reason: str = ""


def ask(
    unit: PoolUnit, wish: Wish, *, message_id: str, origin: str, by: str = "", now: datetime | None = None
) -> Bargain:
    """Put a request down, in place of an earlier one that is still open; asked twice, it is one.

    Raises Invalid naming the field, Refused (`off`) for a pool that is switched off.
    """
    now = now or timezone.now()
    _check(unit, wish, now)
    with transaction.atomic():
        pool = granting.hold(unit.pool_id)
        if (said := Bargain.objects.filter(message_id=message_id).first()) is not None:
            return said
        if not pool.enabled:
            raise Refused(f"Nothing of {pool.name} is given away now: the pool is switched off.", code="off")
        earlier = Bargain.objects.filter(unit=unit, state__in=Bargain.ASKING)
        earlier.update(state=State.REPLACED, ended_at=now, offered=None, why="A later request took its place.")
        return Bargain.objects.create(
            pool=pool, unit=unit, system_id=unit.system_id, message_id=message_id, origin=origin, asked_by=by[:150],
            wanted=wish.wanted, priority=wish.priority, reason=wish.reason[:500], asked_at=now,
            deadline=wish.deadline or now + PATIENCE,
        )  # fmt: skip


def _check(unit: PoolUnit, wish: Wish, now: datetime) -> None:
    if not 0 < wish.wanted <= 1e9:
        raise Invalid("The amount is more than 0, and 1,000,000,000 at most.", field="amount")
    if unit.pool.whole and wish.wanted != int(wish.wanted):
        raise Invalid("Slots are whole.", field="amount")
    if not 0 <= wish.priority <= 10:
        raise Invalid("The priority is a whole number from 0 to 10.", field="priority")
    if wish.deadline is not None and not now < wish.deadline <= now + LONGEST:
        raise Invalid("The deadline is a moment within the next 7 days.", field="deadline")


def request(unit: PoolUnit, wish: Wish, *, by: str, now: datetime | None = None) -> Bargain:
    """Ask in the name of a unit, by the message that it would send itself; what can be offered is offered at once."""
    now = now or timezone.now()
    told = {
        "resource": unit.pool.name, "unit": unit.name, "amount": wish.wanted, "priority": wish.priority,
        "reason": wish.reason,
    }  # fmt: skip
    if wish.deadline is not None:
        told["deadline"] = moment_text(wish.deadline)
    with transaction.atomic():
        envelope = granting.say(Party.S1, REQUEST, told, system_id=unit.system_id)
        row = ask(unit, wish, message_id=envelope.id, origin=Bargain.Origin.PERSON, by=by, now=now)
    rounds.consider_soon(unit.pool, now=now)
    row.refresh_from_db()
    return row


# --- Answering -------------------------------------------------------------------------------------------------------
@transaction.atomic
def accept(row: Bargain, number: int | None = None, *, by: str, now: datetime | None = None) -> Bargain:
    """Let what was offered be held from now on. *number* is the offer that is meant; accepted twice, it is once.

    Raises Refused: `no_offer` when there is none or another one now, `expired`, `short` when the pool has shrunk since.
    """
    now = now or timezone.now()
    pool = granting.hold(row.pool_id)
    row = Bargain.objects.select_related("unit", "pool").get(pk=row.pk)
    if row.offered is None and row.state == State.ALLOCATED and number == row.offer_number:
        return row
    _refuse_gone(row, number, now)
    assert row.offered is not None
    held = granting.in_force(pool)
    others = sum(each.amount for unit, each in held.items() if unit != row.unit_id)
    mine = held[row.unit_id].amount if row.unit_id in held else 0.0
    if row.offered > mine and pool.capacity is not None and others + row.offered > pool.capacity + 1e-6:
        raise Refused("The pool has become smaller since this was offered.", code="short")
    granting.allocate(row, row.offered, by=by, imposed=False, now=now)
    return row


def _refuse_gone(row: Bargain, number: int | None, now: datetime) -> None:
    if row.offered is None or (number is not None and number != row.offer_number):
        raise Refused("There is no such offer, or another one by now.", code="no_offer")
    if row.offer_until is not None and row.offer_until <= now:
        raise Refused("The offer has expired.", code="expired")


@transaction.atomic
def refuse(
    row: Bargain, number: int | None = None, *, by: str, reason: str = "", now: datetime | None = None
) -> Bargain:
    """Decline an offer: a request ends, and what is held already stays held. Refused twice, it is once.

    Raises Refused: `no_offer`, `expired`, and `binding` for a notice, which comes into force all the same.
    """
    now = now or timezone.now()
    granting.hold(row.pool_id)
    row = Bargain.objects.select_related("unit", "pool").get(pk=row.pk)
    if row.state == State.REFUSED and number in (None, row.offer_number):
        return row
    _refuse_gone(row, number, now)
    if row.is_notice:
        raise Refused(
            "What S3 takes back is told, not asked: it comes into force when its time is over.", code="binding"
        )
    told: dict[str, Any] = {"offered": None, "answered_at": now, "answered_by": by[:150]}
    if row.state == State.ALLOCATED:  # it wants no more than it has
        held = granting.in_force(row.pool).get(row.unit_id)
        told |= {"wanted": held.amount if held else row.wanted, "why": reason[:500] or "More was refused."}
    else:
        told |= {"state": State.REFUSED, "ended_at": now, "why": reason[:500] or row.why}
    return granting.changed(row, "ResourceOfferRefused", by, told)


@transaction.atomic
def release(row: Bargain, *, by: str, reason: str = "", now: datetime | None = None) -> Bargain:
    """Give back what is held, or withdraw what is asked. Raises Refused (`ended`) when it is over already."""
    now = now or timezone.now()
    granting.hold(row.pool_id)
    row = Bargain.objects.select_related("unit", "pool").get(pk=row.pk)
    if row.state == State.RELEASED:
        return row
    if row.state not in Bargain.ALIVE:
        raise Refused(f"It is over already: {row.get_state_display().lower()}.", code="ended")
    if row.state == State.ALLOCATED:
        Allocation.objects.filter(unit=row.unit_id, ended_at=None).update(ended_at=now)
    enforcing.enforce_pool(row.pool)
    told = {"state": State.RELEASED, "offered": None, "ended_at": now, "answered_by": by[:150], "why": reason[:500]}
    return granting.changed(row, "ResourceReleased", by, told)


def answer(
    row: Bargain, verb: str, *, by: str, number: int | None = None, reason: str = "", now: datetime | None = None
) -> Bargain:
    """Say *verb* (`accept`, `refuse`, `release`) in the name of a unit: in effect at once, and sent as its message."""
    now = now or timezone.now()
    with transaction.atomic():
        if verb == RELEASE:
            found = release(row, by=by, reason=reason, now=now)
        elif verb == ACCEPT:
            found = accept(row, number, by=by, now=now)
        else:
            found = refuse(row, number, by=by, reason=reason, now=now)
        told = {"bargain": str(row.pk), "number": found.offer_number, "reason": reason}
        granting.say(Party.S1, verb, told, system_id=row.system_id, about=row.message_id)
    rounds.consider_soon(found.pool, now=now)
    found.refresh_from_db()
    return found
