"""Bargains at the same moment, and workers that die in the middle of one: never more is held than there is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from subsystems.event_log.models import PendingEvent
from subsystems.kernel.errors import Refused
from subsystems.s3_control.bargaining import rounds, services
from subsystems.s3_control.bargaining.services import Wish
from subsystems.s3_control.models import Allocation, Bargain, PoolUnit, ResourcePool
from tests.integration.test_api_steering import make_fleet
from tests.integration.test_bargaining import deliver, make_pool, no_samples, seen  # noqa: F401
from tests.support.dying import Step, dies_at, the_dead_are_gone
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
CAPACITY = 10


def at_work() -> ResourcePool:
    """Return a pool of ten slots that five units share."""
    fleet, names = make_fleet(), [f"q{number}" for number in range(5)]
    pool = make_pool(fleet, *names, limit=CAPACITY, offer_seconds=3600)
    PoolUnit.objects.update(accept_from=None)
    seen(fleet, timezone.now(), **dict.fromkeys(names, 1))
    return pool


def promised(pool: ResourcePool) -> float:
    """Return what is held or might be accepted this moment; nobody bargains while it is looked at."""
    with transaction.atomic():
        ResourcePool.objects.filter(pk=pool.pk).update(why="looked at")
        held = dict(Allocation.objects.filter(ended_at=None).values_list("unit", "amount"))
        for unit, offered in Bargain.objects.filter(offered__isnull=False).values_list("unit", "offered"):
            held[unit] = max(held.get(unit, 0.0), offered)
    return sum(held.values())


def test_units_that_bargain_at_once_get_no_more_than_there_is() -> None:
    """Five ask for four of ten slots, accept, give back and ask again, each in a thread of its own."""
    pool, seen_most, wrong = at_work(), [], []

    def bargain(name: str) -> None:
        try:
            unit = pool.units.get(name=name)
            for wanted in (4, 3):
                row = services.request(unit, Wish(wanted), by=name)
                with suppress(Refused):  # others were first: nothing is offered
                    services.answer(row, "accept", by=name)
                    seen_most.append(promised(pool))
                    services.answer(row, "release", by=name)
        except Exception as error:  # noqa: BLE001
            wrong.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=bargain, args=(f"q{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert wrong == []
    assert seen_most
    assert max(seen_most) <= CAPACITY


def together(*calls: Callable[[], object]) -> list[object]:
    """Let each call begin at the same moment, in a thread of its own; return what each returned or was refused by."""
    start, found = threading.Barrier(len(calls)), [None] * len(calls)

    def run(number: int, call: Callable[[], object]) -> None:
        try:
            start.wait(60)
            found[number] = call()
        except Exception as error:  # noqa: BLE001
            found[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def offered(pool: ResourcePool, wanted: int) -> list[Bargain]:
    """Return the bargains of two units that were offered what they asked for."""
    rows = [services.request(pool.units.get(name=name), Wish(wanted), by=name) for name in ("q0", "q1")]
    assert [row.offered for row in rows] == [wanted, wanted]
    return rows


def test_an_offer_that_is_accepted_twice_at_once_is_held_once() -> None:
    """A person at a door and the unit's own message, in the same moment."""
    pool = at_work()
    row = offered(pool, 4)[0]

    found = together(*[lambda: services.accept(row, row.offer_number, by="either").state] * 2)

    assert found == ["allocated", "allocated"]
    assert Allocation.objects.filter(unit=row.unit_id).count() == 1
    assert PendingEvent.objects.filter(type="ResourceAllocated").count() == 1


def test_of_two_offers_that_no_longer_fit_together_one_is_accepted() -> None:
    """The pool shrank from ten to six after five were offered to each: who says yes first has them."""
    pool = at_work()
    rows = offered(pool, 5)
    ResourcePool.objects.filter(pk=pool.pk).update(capacity=6)

    found = together(*[partial(services.accept, row, row.offer_number, by="unit") for row in rows])

    refused = [each.code for each in found if isinstance(each, Refused)]
    assert refused == ["short"], found
    assert Allocation.objects.filter(ended_at=None).aggregate(held=Sum("amount"))["held"] == 5


def test_killed_at_any_step_a_bargain_is_as_if_it_had_not_begun_or_had_ended() -> None:
    """Whoever does it again finds one offer, one acceptance, one allocation."""
    pool = at_work()
    units = list(pool.units.all())
    rows = [
        services.ask(unit, Wish(4), message_id=f"m{number}", origin="person")
        for number, unit in enumerate(units)
    ]  # fmt: skip

    def work(_: Step) -> None:
        rounds.consider(pool, now=timezone.now())
        for row in rows:
            with suppress(Refused):
                services.answer(row, "accept", by="ann")

    deaths = 0
    for k in range(1, 60, 8):
        deaths += dies_at(k, work, after=bool(k % 16 > 8))
        wait_for(the_dead_are_gone)
        assert promised(pool) <= CAPACITY
    work(Step(10**9, after=False))
    deliver()

    assert deaths >= 5
    assert promised(pool) == CAPACITY
    assert Allocation.objects.filter(ended_at=None).count() == len(units)
    assert not Bargain.objects.filter(offered__isnull=False).exists()
