"""The rounds: look at a pool, let lapse what is over, divide what there is, offer what follows; and the clock of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction

from subsystems.kernel.errors import Refused
from subsystems.kernel.times import moment_text
from subsystems.messaging.channels import Party
from subsystems.messaging.limits import RateLimited, bargained
from subsystems.messaging.pressure import ChannelFull
from subsystems.s3_control.bargaining import acting, enforcing, gathering, granting
from subsystems.s3_control.bargaining.gathering import Seen
from subsystems.s3_control.bargaining.granting import OFFER, REQUEST, State
from subsystems.s3_control.bargaining.models import Allocation, Bargain, PoolUnit, ResourcePool, claim_of
from subsystems.s3_control.bargaining.offering import Claim, Division, Strategy, adapted, divide, plan

logger = logging.getLogger(__name__)
GAP_SECONDS = 60.0  # between two looks: for a longer one nobody knows what was used
ASK_AGAIN = timedelta(seconds=60)
ADAPT_AFTER = timedelta(minutes=10)
MEASURED_SECONDS = 60.0  # of an allocation, before its efficiency counts for its strategy
KEEP = timedelta(days=30)


def consider_soon(pool: ResourcePool, *, now: datetime) -> None:
    """Look at a pool for somebody who has just spoken; where the channel is full, the clock's next turn does."""
    try:
        consider(pool, now=now)
    except (RateLimited, ChannelFull) as error:
        logger.warning("The bargain about %s waits: %s", pool, error)


def consider(pool: ResourcePool, *, now: datetime) -> Seen:
    """Look at a pool, let lapse what is over, divide what there is among all who ask or hold, and offer what follows.

    What is stale is no ground for an offer: each open request then says why it waits.
    """
    pool = ResourcePool.objects.select_related("fleet", "system").get(pk=pool.pk)
    found = gathering.look(pool, list(pool.units.all()), now=now)
    with transaction.atomic():
        pool = granting.hold(pool.pk)
        _keep(pool, found, now)
        _lapse(pool, now)
        if found.why or not pool.enabled:
            _wait(pool, found.why or "The pool is switched off.")
        else:
            _offer(pool, now)
    return found


def _keep(pool: ResourcePool, found: Seen, now: datetime) -> None:
    """Write down what was seen, and what was used of what is held since the last look."""
    pool.capacity, pool.why, pool.looked_at = found.capacity, found.why[:500], now
    pool.save(update_fields=["capacity", "why", "looked_at"])
    held = granting.in_force(pool)
    units = list(pool.units.all())
    for unit in units:
        seen = found.units.get(unit.name, gathering.UnitSeen())
        if unit.pk in held and seen.used is not None:
            _account(held[unit.pk], unit, seen.used, now)
        if seen.counted is not None and _counts_anew(unit, now):
            unit.counted, unit.counted_at = seen.counted, now
        unit.used, unit.performance = seen.used, seen.performance
        unit.measured_at = None if seen.used is None else now
    PoolUnit.objects.bulk_update(units, ["used", "performance", "measured_at", "counted", "counted_at"])
    Allocation.objects.bulk_update(held.values(), ["measured_seconds", "used_total", "gap_total"])


def _counts_anew(unit: PoolUnit, now: datetime) -> bool:
    return unit.counted_at is None or (now - unit.counted_at).total_seconds() >= gathering.LEAST_SECONDS


def _account(held: Allocation, unit: PoolUnit, used: float, now: datetime) -> None:
    since = max(held.since, unit.measured_at) if unit.measured_at else None
    seconds = 0.0 if since is None else (now - since).total_seconds()
    if 0 < seconds <= GAP_SECONDS:
        held.measured_seconds += seconds
        held.used_total += used * seconds
        held.gap_total += abs(held.amount - used) * seconds


def _lapse(pool: ResourcePool, now: datetime) -> None:
    """End what is over: notices come into force, offers and requests that nobody answered in time do not."""
    alive = Bargain.objects.filter(pool=pool, state__in=Bargain.ALIVE).select_related("unit", "pool")
    for row in alive.filter(offered__isnull=False, offer_until__lte=now):
        if row.is_notice:
            assert row.offered is not None
            granting.allocate(row, row.offered, by="S3", imposed=True, now=now)
        elif row.state == State.ALLOCATED:
            row.offered = None
            row.save(update_fields=["offered"])
        else:
            _expire(row, f"The offer of {row.offered:g} was not answered in time.", now)
    for row in alive.filter(state__in=Bargain.ASKING, deadline__lte=now):
        _expire(row, f"Its deadline is over. {row.why}".strip(), now)


def _expire(row: Bargain, why: str, now: datetime) -> None:
    granting.changed(row, "ResourceBargainExpired", "S3", {
        "state": State.EXPIRED, "offered": None, "ended_at": now, "why": why[:500],
    })  # fmt: skip


def _wait(pool: ResourcePool, why: str) -> None:
    waiting = Bargain.objects.filter(pool=pool, state=State.OPEN)
    waiting.update(why=f"No offer: {why}"[:500])


def _offer(pool: ResourcePool, now: datetime) -> None:
    alive = list(Bargain.objects.filter(pool=pool, state__in=Bargain.ALIVE).select_related("unit", "pool"))
    asking = {row.unit_id: row for row in alive if row.is_asking}
    current = {row.unit_id: row for row in alive if not row.is_asking}
    held = granting.in_force(pool)
    rows = {row.unit.name: row for row in [*current.values(), *asking.values()]}
    claims = [
        claim_of(row.unit, asking.get(row.unit_id), current.get(row.unit_id), _amount(held, row), now=now)
        for row in rows.values()
    ]  # fmt: skip
    strategy, words = _strategy(pool, now)
    assert pool.capacity is not None
    division = divide(claims, pool.capacity, strategy, whole=pool.whole)
    found = plan(claims, division, pool.capacity, whole=pool.whole)
    why = f"{words} {division.why}".strip()
    for claim in claims:
        row = rows[claim.key]
        _withdraw(row, claim, division)
        amount = found.offers.get(claim.key, found.notices.get(claim.key))
        if amount is None and row.state == State.OPEN and division.amounts[claim.key] >= claim.cap and claim.held:
            amount = claim.held  # it has what it asks for: the new request takes the place of the old one
        if amount is not None:
            _make(row, amount, claim, strategy, why, now)
        elif row.state == State.OPEN:
            _say_why(row, claim, division, why)


def _amount(held: Mapping[int, Allocation], row: Bargain) -> float:
    return held[row.unit_id].amount if row.unit_id in held else 0.0


def _withdraw(row: Bargain, claim: Claim, division: Division) -> None:
    """Take a notice back that is not needed any more."""
    if row.is_notice and row.offered is not None and division.amounts[claim.key] >= claim.held:
        row.offered, row.is_notice, row.why = None, False, "The notice was withdrawn: there is enough."
        row.save(update_fields=["offered", "is_notice", "why"])


def _say_why(row: Bargain, claim: Claim, division: Division, why: str) -> None:
    share = division.amounts[claim.key]
    if share > claim.held:
        words = f"No offer yet: {share:g} is its share; others, who hold more than theirs, are told to give back. {why}"
    else:
        words = f"No offer: its share is {share:g}{', which it holds' if claim.held else ''}. {why}"
    if row.why != words[:500]:
        row.why = words[:500]
        row.save(update_fields=["why"])


def _make(row: Bargain, amount: float, claim: Claim, strategy: Strategy, why: str, now: datetime) -> None:
    """Offer *amount*, by a message of S3 to S1."""
    until = now + timedelta(seconds=row.pool.offer_seconds)
    if row.is_asking:
        row.state, until = State.OFFERED, min(until, row.deadline)
    row.is_notice = not row.is_asking and amount < claim.held
    row.offered, row.offer_number, row.offer_until = amount, row.offer_number + 1, until
    row.strategy, row.why, row.heard_at = strategy, why[:500], None
    row.save(
        update_fields=["state", "is_notice", "offered", "offer_number", "offer_until", "strategy", "why", "heard_at"]
    )
    told = {
        "bargain": str(row.pk), "resource": row.pool.name, "unit": row.unit.name, "amount": amount,
        "wanted": row.wanted, "held": claim.held, "number": row.offer_number, "until": moment_text(until),
        "notice": row.is_notice, "strategy": str(strategy), "why": row.why,
    }  # fmt: skip
    granting.say(Party.S3, OFFER, told, system_id=row.system_id, about=row.message_id, until=until)
    granting.show(row.system_id, row.pool_id)


def _strategy(pool: ResourcePool, now: datetime) -> tuple[Strategy, str]:
    """Return the strategy that holds, and why where it was chosen. A choice stands for ten minutes."""
    if pool.strategy != Strategy.ADAPTIVE:
        return Strategy(pool.strategy), ""
    if pool.adapted and pool.adapted_at and now - pool.adapted_at < ADAPT_AFTER:
        return Strategy(pool.adapted), f"Adaptive: {pool.adapted} since {pool.adapted_at:%H:%M} UTC."
    chosen, why = adapted(records(pool))
    pool.adapted, pool.adapted_at = chosen, now
    pool.save(update_fields=["adapted", "adapted_at"])
    return chosen, f"Adaptive: {why}"


def records(pool: ResourcePool) -> dict[str, list[float]]:
    """Return the efficiencies of the pool's latest measured allocations by strategy, newest first."""
    found: dict[str, list[float]] = {}
    rows = Allocation.objects.filter(pool=pool, measured_seconds__gte=MEASURED_SECONDS)
    for row in rows[:200]:
        if row.efficiency is not None:
            found.setdefault(row.strategy, []).append(row.efficiency)
    return found


# --- The clock -------------------------------------------------------------------------------------------------------
def is_bargaining_due(*, now: datetime) -> bool:
    """Return whether there is any pool to bargain about, or anybody held to what there was."""
    return ResourcePool.objects.filter(enabled=True).exists() or bool(bargained())


def bargain(*, now: datetime) -> int:
    """Look at every pool that is on; return how many. Each is done or not by itself: one that fails stops no other."""
    pools = list(ResourcePool.objects.filter(enabled=True).select_related("fleet", "system"))
    for pool in pools:
        try:
            found = consider(pool, now=now)
            _ask_measured(pool, found, now)
            acting.act(pool, found, now=now)
        except Refused as error:  # a channel that is full or limited: the next turn tries again
            logger.warning("The bargain about %s waits: %s", pool, error)
    enforcing.enforce_all()
    return len(pools)


def _ask_measured(pool: ResourcePool, found: Seen, now: datetime) -> None:
    """Let units that ask by themselves ask for what they were measured to need."""
    if found.why:
        return
    held = granting.in_force(pool)
    bargains = Bargain.objects.filter(pool=pool, state__in=Bargain.ALIVE).order_by("asked_at")
    latest = {row.unit_id: row for row in bargains}
    for unit in pool.units.filter(automatic=True):
        seen, before = found.units.get(unit.name), latest.get(unit.pk)
        mine = held.get(unit.pk)
        need = None if seen is None else gathering.need_of(pool, seen, mine.amount if mine else 0.0)
        if need and (before is None or (before.wanted != need and now - before.asked_at >= ASK_AGAIN)):
            told = {
                "resource": pool.name, "unit": unit.name, "amount": need, "measured": True,
                "reason": f"Measured need; used {seen.used:g}." if seen and seen.used is not None else "Measured need.",
            }  # fmt: skip
            granting.say(Party.S1, REQUEST, told, system_id=unit.system_id)


def forget_old(*, now: datetime) -> int:
    """Delete bargains that ended 30 days ago, with what was held by them; return how many."""
    return Bargain.objects.filter(ended_at__lt=now - KEEP).delete()[0]
