"""The resource bargain on what was seen of a fleet: words both ways, promises kept, and what is held answered for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subsystems.event_log.models import PendingEvent
from subsystems.fleets.models import QueueState, TaskCount, WorkerState
from subsystems.fleets.task_counts import Event
from subsystems.health import gauging
from subsystems.kernel.errors import Invalid, Refused
from subsystems.messaging import limits
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.models import DeadLetter, Message, RateLimit
from subsystems.messaging.receiving import receive
from subsystems.messaging.services import send
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.bargaining import enforcing, gathering, granting, pooling, rounds, services
from subsystems.s3_control.bargaining.services import Wish
from subsystems.s3_control.models import Allocation, Bargain, PoolUnit, Recommendation, ResourcePool
from subsystems.s3_control.scaling import services as scaling
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.integration.test_api_steering import make_fleet
from tests.support.factories import bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_samples() -> Iterator[None]:
    hot_tier().clear()
    yield
    hot_tier().clear()


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def fleet() -> Fleet:
    return make_fleet()


def seen(fleet: Fleet, now: datetime, **busy: int) -> None:
    """Let the collector have seen a worker of eight slots for each queue, and how many of them are busy."""
    at = now.timestamp()
    WorkerState.objects.filter(fleet=fleet).delete()
    for queue, active in busy.items():
        WorkerState.objects.create(
            fleet=fleet, name=f"{queue}@x", role=f"{queue}@x", observed_at=at, progress_at=at, pool="prefork",
            pool_size=8, queues=[queue], active_count=active, reserved_count=0, active=[], reserved=[],
        )  # fmt: skip


def make_pool(fleet: Fleet | None, *names: str, name: str = "cpu", **fields: Any) -> ResourcePool:
    system = fleet.system if fleet else root_system()
    pool = ResourcePool.objects.create(system=system, fleet=fleet, name=name, **fields)
    for each in names:
        PoolUnit.objects.create(pool=pool, system=system, name=each)
    return pool


def deliver(rounds: int = 6) -> None:
    """Let every message of the bargain arrive, and what is said because of it."""
    for _ in range(rounds):
        waiting = Message.objects.filter(channel=Channel.RESOURCE_BARGAIN, state__in=["waiting", "sent"])
        for number in list(waiting.order_by("number").values_list("number", flat=True)):
            receive([number], worker="test")


def said(type_: str = "request", system: Any = None, **payload: Any) -> Message:
    """Send a word of S1, as a program would."""
    return send(
        Envelope(
            channel=Channel.RESOURCE_BARGAIN, sender=Party.S1, recipient=Party.S3, type=type_, payload=payload,
            correlation_id=payload.pop("about", ""),
        ),
        system_id=(system or root_system()).pk,
    )  # fmt: skip


def held(pool: ResourcePool) -> dict[str, float]:
    return dict(Allocation.objects.filter(pool=pool, ended_at=None).values_list("unit__name", "amount"))


# --- By messages -----------------------------------------------------------------------------------------------------
def test_the_documented_request_is_offered_accepted_and_held(fleet: Fleet, now: datetime) -> None:
    """Requirement 003-9: resource_bargain/request {resource: cpu, amount: 50}; the unit goes without saying."""
    pool = make_pool(fleet, "mail", limit=40)
    seen(fleet, now, mail=2)

    asked = said(resource="cpu", amount=50)
    deliver()

    row = Bargain.objects.get()
    assert (row.state, row.wanted, row.origin, row.message_id) == ("allocated", 50, "message", asked.id)
    assert held(pool) == {"mail": 40}
    told = list(Message.objects.filter(channel="resource_bargain").order_by("number").values_list("sender", "type"))
    assert told == [("s1", "request"), ("s3", "offer"), ("s1", "accept")]
    assert not DeadLetter.objects.exists()
    assert PendingEvent.objects.filter(type="ResourceAllocated").count() == 1


def test_a_word_that_arrives_twice_has_its_effect_once(fleet: Fleet, now: datetime) -> None:
    """Redelivered requests, acceptances and releases change nothing."""
    pool = make_pool(fleet, "mail", limit=10)
    seen(fleet, now, mail=2)
    said(resource="cpu", unit="mail", amount=4)
    deliver()
    row = Bargain.objects.get()

    again = services.ask(pool.units.get(), Wish(4), message_id=row.message_id, origin="message")
    accepted = services.accept(row, row.offer_number, by="S1")
    for _ in range(2):
        said("release", bargain=str(row.pk))
        deliver()

    assert (again.pk, accepted.state, Bargain.objects.count(), Allocation.objects.count()) == (
        row.pk,
        "allocated",
        1,
        1,
    )
    row.refresh_from_db()
    assert (row.state, held(pool), DeadLetter.objects.count()) == ("released", {}, 0)


@pytest.mark.parametrize(
    ("payload", "code", "field"),
    [
        pytest.param({"resource": "gpu", "amount": 5}, "not_listed", "resource", id="no such pool"),
        pytest.param({"resource": "cpu", "amount": 5}, "invalid", "unit", id="two units, none named"),
        pytest.param({"resource": "cpu", "unit": "mail", "amount": -1}, "invalid", "amount", id="less than nothing"),
        pytest.param({"resource": "cpu", "unit": "mail", "amount": 1.5}, "invalid", "amount", id="half a slot"),
        pytest.param({"resource": "cpu", "unit": "mail"}, "invalid", "amount", id="no amount"),
        pytest.param(
            {"resource": "cpu", "unit": "mail", "amount": 5, "deadline": "2020-01-01T00:00:00Z"}, "invalid", "deadline",
            id="a deadline that is over",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_declined_with_the_field(
    fleet: Fleet, now: datetime, payload: dict, code: str, field: str
) -> None:
    """The asker hears why, on the same channel; nothing dies and nothing is written."""
    make_pool(fleet, "mail", "bulk")

    asked = said(**payload)
    deliver()

    decline = Message.objects.get(type="decline")
    assert (decline.payload["code"], decline.payload["field"], decline.correlation_id) == (code, field, asked.id)
    assert (Bargain.objects.count(), DeadLetter.objects.count()) == (0, 0)


def test_a_unit_whose_terms_leave_the_answer_to_people_is_answered_for_by_nobody(fleet: Fleet, now: datetime) -> None:
    """An offer that nobody answers expires at its time, and holds nothing any more."""
    pool = make_pool(fleet, "mail", "bulk", limit=8)
    PoolUnit.objects.filter(name="mail").update(accept_from=None)
    PoolUnit.objects.filter(name="bulk").update(accept_from=0.9)
    seen(fleet, now, mail=2, bulk=2)
    said(resource="cpu", unit="mail", amount=8)
    said(resource="cpu", unit="bulk", amount=8)
    deliver()

    mail, bulk = (Bargain.objects.get(unit__name=name) for name in ("mail", "bulk"))
    assert (mail.state, mail.offered, mail.heard_at is not None) == ("offered", 8, True)
    assert (bulk.state, bulk.offered) == ("open", None)  # all of it is promised
    later = now + timedelta(seconds=90)
    seen(fleet, later, mail=2, bulk=2)
    rounds.consider(pool, now=later)

    mail.refresh_from_db()
    bulk.refresh_from_db()
    assert (mail.state, mail.why) == ("expired", "The offer of 8 was not answered in time.")
    assert (bulk.state, bulk.offered) == ("offered", 8)
    with pytest.raises(Refused, match="no such offer"):
        services.accept(mail, mail.offer_number, by="ann", now=later)


def test_a_tenant_hears_and_says_nothing_of_anothers_bargains(fleet: Fleet, now: datetime) -> None:
    """Their words carry their system; a bargain of another is not there."""
    make_pool(fleet, "mail", limit=10)
    seen(fleet, now, mail=2)
    said(resource="cpu", amount=4)
    deliver()
    row, other = Bargain.objects.get(), make_system()

    said(resource="cpu", amount=4, system=other)
    said("release", bargain=str(row.pk), system=other)
    deliver()

    row.refresh_from_db()
    codes = Message.objects.filter(type="decline", system=other).values_list("payload__code", flat=True)
    assert (row.state, list(codes), Bargain.objects.count()) == ("allocated", ["not_listed"] * 2, 1)


# --- What is promised ------------------------------------------------------------------------------------------------
def test_words_of_s3_are_said_by_s3_alone(fleet: Fleet) -> None:
    """Whoever may send messages may not offer, accept or decline in its name; who tried is on record."""
    make_pool(fleet, "mail", limit=40)
    secret = make_token(["operate"], user=make_user("mallory", role="operator"))[1]

    answers = [
        Client().post(
            "/api/v1/messages/", content_type="application/json", headers=bearer(secret),
            data={"from": "s3", "to": "s1", "channel": "resource_bargain", "type": word, "payload": {"amount": 400}},
        )
        for word in ("offer", "accept", "decline")
    ]  # fmt: skip

    assert [each.status_code for each in answers] == [409, 409, 409]
    assert "nobody speaks for it" in answers[0].json()["detail"]
    refused = PendingEvent.objects.filter(type="message.refused").values_list("actor", flat=True)
    assert list(refused) == ["mallory"] * 3
    assert not Message.objects.filter(channel="resource_bargain").exists()


def test_what_others_hold_is_told_back_with_notice(fleet: Fleet, now: datetime) -> None:
    """A newcomer with a guarantee gets it when the notice is over, whatever the holder says."""
    pool = make_pool(fleet, "mail", "bulk", limit=8)
    PoolUnit.objects.update(accept_from=None)
    PoolUnit.objects.filter(name="bulk").update(guarantee=3)
    seen(fleet, now, mail=2, bulk=2)
    first = services.request(pool.units.get(name="mail"), Wish(8), by="ann", now=now)
    services.answer(first, "accept", by="ann", number=1, now=now)
    second = services.request(pool.units.get(name="bulk"), Wish(3), by="bob", now=now)
    first.refresh_from_db()

    assert (second.state, first.offered, first.is_notice) == ("open", 5, True)
    assert "told to give back" in second.why
    with pytest.raises(Refused) as refused:
        services.answer(first, "refuse", by="ann", now=now)
    later = now + timedelta(seconds=61)
    seen(fleet, later, mail=2, bulk=2)
    rounds.consider(pool, now=later)
    second.refresh_from_db()
    assert (refused.value.code, held(pool), second.offered) == ("binding", {"mail": 5}, 3)

    services.answer(second, "accept", by="bob", now=later)
    assert held(pool) == {"mail": 5, "bulk": 3}
    assert Allocation.objects.get(unit__name="mail", ended_at=None).imposed


def test_nothing_is_offered_on_what_is_stale(fleet: Fleet, now: datetime) -> None:
    """The request says why it waits, until its deadline."""
    pool = make_pool(fleet, "mail", limit=8)
    seen(fleet, now - timedelta(seconds=31), mail=2)

    row = services.request(pool.units.get(), Wish(4, deadline=now + timedelta(seconds=30)), by="ann", now=now)
    assert (row.state, row.why) == ("open", "No offer: No worker of shop was seen for 30 s.")
    rounds.consider(pool, now=now + timedelta(seconds=31))

    row.refresh_from_db()
    assert (row.state, row.why.startswith("Its deadline is over. No offer")) == ("expired", True)


def test_a_worker_of_two_units_makes_the_pool_unknown(fleet: Fleet, now: datetime) -> None:
    """Whose its slots are nobody can say."""
    pool = make_pool(fleet, "mail", "bulk")
    seen(fleet, now, mail=2)
    WorkerState.objects.update(queues=["mail", "bulk"])

    found = rounds.consider(pool, now=now)

    assert found.why == "mail@x works for two units of this pool: whose its slots are is not known."


def test_a_pool_that_shrank_keeps_no_promise_that_it_cannot(fleet: Fleet, now: datetime) -> None:
    """An offer made on sixteen slots is not accepted on eight."""
    pool = make_pool(fleet, "mail", "bulk")
    PoolUnit.objects.update(accept_from=None)
    seen(fleet, now, mail=2, bulk=2)
    row = services.request(pool.units.get(name="mail"), Wish(16), by="ann", now=now)
    seen(fleet, now, mail=2)
    rounds.consider(pool, now=now)

    with pytest.raises(Refused) as refused:
        services.answer(row, "accept", by="ann", now=now)

    assert (row.offered, refused.value.code, held(pool)) == (16, "short", {})


# --- What is held is used, or not ------------------------------------------------------------------------------------
def test_what_is_held_is_answered_for(fleet: Fleet, now: datetime) -> None:
    """Efficiency is of what was measured, look by look; a hole in the measurements counts for nothing."""
    pool = make_pool(fleet, "mail", limit=8)
    seen(fleet, now, mail=2)
    said(resource="cpu", amount=8)
    deliver()
    Allocation.objects.update(since=now)
    PoolUnit.objects.update(measured_at=now)

    for seconds, busy in ((10, 8), (20, 4), (200, 0), (210, 4)):
        at = now + timedelta(seconds=seconds)
        seen(fleet, at, mail=busy)
        rounds.consider(pool, now=at)
        rounds.consider(pool, now=at)

    row = Allocation.objects.get()
    assert (row.measured_seconds, row.mean_used, row.efficiency) == (30, pytest.approx(16 / 3), pytest.approx(2 / 3))
    assert rounds.records(pool) == {}  # half a minute says nothing about a strategy


def test_the_gauge_of_s3_is_what_is_used_of_what_is_held(fleet: Fleet, now: datetime) -> None:
    """With its inputs; what was not measured lately is left out, and then the pools of workers tell."""
    pool = make_pool(fleet, "mail", limit=8)
    seen(fleet, now, mail=6)
    said(resource="cpu", amount=8)
    deliver()
    rounds.consider(pool, now=now)
    asked = gauging.Asked(root_system(), now, None, 0, 0)

    found = gauging._allocation(asked)["allocation_efficiency"]
    stale = gauging._allocation(gauging.Asked(root_system(), now + timedelta(minutes=2), None, 0, 0))

    assert (found.value, found.inputs["cpu allocated"], found.inputs["cpu not as used"]) == (0.75, 8.0, 2.0)
    assert stale["allocation_efficiency"].value is None
    assert gauging._autonomy(asked).inputs["allocated"] == 1


def test_an_allocation_becomes_advice_on_the_one_road(fleet: Fleet, now: datetime) -> None:
    """Twelve slots are held and eight are there: grow by four, with the effect by which it will be judged."""
    pool = make_pool(fleet, "mail", limit=12)
    seen(fleet, now, mail=2)
    said(resource="cpu", amount=12)
    deliver()

    rounds.bargain(now=now)
    rounds.bargain(now=now)

    advice = Recommendation.objects.get()
    assert (advice.author, advice.act_kind, advice.act_parameters) == ("resource bargain", "worker.grow", {"by": 4})
    assert (advice.subject, advice.effect["from"], advice.effect["to"]) == ("shop/mail", 8, 12)
    assert (advice.state, advice.by_itself) == ("proposed", False)
    services.release(Bargain.objects.get(), by="ann", now=now)
    rounds.bargain(now=now)
    advice.refresh_from_db()
    assert (advice.state, ResourcePool.objects.get(pk=pool.pk).capacity) == ("expired", 12)


def test_the_auto_scaler_asks_by_itself_and_stays_within_what_is_held(fleet: Fleet, now: datetime) -> None:
    """One need, one road: what the policy wants is asked for, what is held bounds the step."""
    pool = make_pool(fleet, "mail", limit=9)
    PoolUnit.objects.update(automatic=True)
    policy = scaling.save_policy(fleet, {"queue": "mail"}, by="ann")
    seen(fleet, now, mail=8)
    at = now.timestamp()
    QueueState.objects.create(fleet=fleet, name="mail", observed_at=at, ready=0, levels={}, recent=[[at, 0]])

    before = scaling.evaluate(policy, now=now)
    rounds.bargain(now=now)
    deliver()
    after = scaling.evaluate(policy, now=now)

    policy.refresh_from_db()
    row = Bargain.objects.get()
    assert (before.direction, policy.desired, row.wanted, row.origin) == (0, 14, 14, "measured")
    assert (held(pool), after.desired, after.direction) == ({"mail": 9}, 9, 1)
    assert "Of cpu 9 slots are held; 14 are wanted." in after.why
    assert Recommendation.objects.get().author == "auto-scaler"


def test_tasks_a_second_are_counted_and_limited_across_the_fleet(fleet: Fleet, now: datetime) -> None:
    """Two tasks share what somebody else's service takes; one that asks by itself wants a quarter more than it uses."""
    pool = make_pool(fleet, "shop.pay", "shop.mail", name="api-calls", kind="task_rate", limit=10)
    PoolUnit.objects.filter(name="shop.pay").update(automatic=True)
    for seconds, total in ((0, 100), (10, 160)):
        at = now + timedelta(seconds=seconds)
        seen(fleet, at, mail=2)
        TaskCount.objects.update_or_create(
            fleet=fleet, event=Event.STARTED, name="shop.pay", defaults={"n": total, "changed_at": at.timestamp()}
        )
        rounds.bargain(now=at)
    deliver()
    rounds.bargain(now=at)

    row = Bargain.objects.get()
    assert (row.unit.name, row.unit.used, row.wanted, held(pool)) == ("shop.pay", 6.0, 7.5, {"shop.pay": 7.5})
    advice = Recommendation.objects.get()
    assert (advice.act_kind, advice.act_target, advice.act_parameters) == (
        "task.fleet_rate_limit", "shop.pay", {"rate": "7.5/s"},
    )  # fmt: skip
    assert (advice.effect["metric"], advice.effect["from"], advice.effect["to"]) == ("rate_limit", 0, 7.5)


def test_systems_share_the_messages_of_the_one_above(now: datetime) -> None:
    """What tenants say is counted; each speaks for itself alone."""
    root = root_system()
    child = make_system(parent=root)
    pool = make_pool(None, name="messages", kind="message_rate")
    PoolUnit.objects.create(pool=pool, system=child, name=child.slug)
    for _ in range(3):
        said(resource="messages", amount=100, within_seconds=60, system=child)

    found = gathering.look(pool, list(pool.units.all()), now=timezone.now())
    deliver()

    assert (found.capacity, found.units[child.slug].used) == (10_000, 3 / 60)
    assert held(pool) == {child.slug: 100}


def sharing(*systems: System, name: str = "messages", **fields: Any) -> ResourcePool:
    """Return a pool of the root's messages that *systems* share."""
    pool = make_pool(None, name=name, kind="message_rate", **fields)
    for system in systems:
        PoolUnit.objects.create(pool=pool, system=system, name=system.slug)
    return pool


def passes(system: System, channel: Channel = Channel.COORDINATION) -> int:
    """Return how many messages of *system* find room at once."""
    sender = {Channel.COORDINATION: Party.S2, Channel.RESOURCE_BARGAIN: Party.S1}[channel]
    limits.policy.forget()
    limits.limiter().clear()
    for count in range(60):
        try:
            limits.check(channel, sender, 7, system.pk)
        except RateLimited as error:
            return count if error.layer == "bargain" else -1
    return 60


def test_messages_that_were_bargained_are_all_that_may_be_said_until_they_are_given_back() -> None:
    """Ten seconds of what is held at once, then no more; the bargain itself stays open, and others are not touched."""
    child, other = (make_system(parent=root_system()) for _ in range(2))
    pool = sharing(child, other)
    said(resource="messages", amount=2, system=child)
    deliver()

    held_to = [passes(child), passes(child, Channel.RESOURCE_BARGAIN), passes(other)]
    look = gathering.look(pool, list(pool.units.all()), now=timezone.now())
    said("release", bargain=str(Bargain.objects.get().pk), system=child)
    deliver()

    assert held_to == [20, 60, 60]
    assert (look.units[child.slug].size, look.units[other.slug].size) == (2, 10_000)
    assert (passes(child), RateLimit.objects.count()) == (60, 0)


def test_less_that_comes_into_force_by_notice_is_the_limit_too() -> None:
    """What is held, not what was accepted once, is what may be said."""
    child, other = (make_system(parent=root_system()) for _ in range(2))
    pool = sharing(child, other, limit=4)
    now = timezone.now()
    for number, system in enumerate((child, other)):
        services.request(pool.units.get(system=system), Wish(4), by="ann", now=now + timedelta(seconds=number))
        deliver()

    rounds.consider(pool, now=now + timedelta(seconds=90))
    deliver()

    assert held(pool) == {child.slug: 2, other.slug: 2}
    assert (passes(child), passes(other)) == (20, 20)


@pytest.mark.parametrize("way", ["off", "unit", "pool", "behind its back"])
def test_who_shares_a_pool_no_more_is_let_go(way: str) -> None:
    """A limit that nobody holds would be a limit that nobody can end."""
    child = make_system(parent=root_system())
    pool = sharing(child)
    said(resource="messages", amount=2, system=child)
    deliver()
    assert passes(child) == 20

    if way == "off":
        pooling.save_pool(pool.system, {"enabled": False}, by="ann", pool=pool)
    elif way == "unit":
        pooling.drop_unit(pool, child.slug, by="ann")
    elif way == "pool":
        pooling.drop_pool(pool, by="ann")
    else:
        pool.delete()
        assert rounds.is_bargaining_due(now=timezone.now())
        rounds.bargain(now=timezone.now())

    assert (passes(child), rounds.is_bargaining_due(now=timezone.now())) == (60, way == "unit")


def test_a_system_of_two_pools_is_held_to_the_least_of_both_by_few_queries() -> None:
    """However many systems share."""
    systems = [make_system(parent=root_system()) for _ in range(6)]
    for name, amount in (("messages", 3), ("words", 2)):
        sharing(*systems, name=name)
        for system in systems:
            said(resource=name, amount=amount, system=system)
    deliver()

    with CaptureQueriesContext(connection) as caught:
        enforcing.enforce_all()

    assert {passes(system) for system in systems} == {20}
    assert len(caught) <= 6


def test_open_dashboards_of_both_systems_hear_of_a_bargain(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    """The page is never a quarter of a minute behind what was said: asked, offered, accepted, by whomever."""
    child, told = make_system(parent=root_system()), []
    pool = sharing(child)
    monkeypatch.setattr(granting, "push", lambda system_id, kind, key, body: told.append((system_id, kind, key)))

    with django_capture_on_commit_callbacks(execute=True):
        said(resource="messages", amount=2, system=child)
        deliver()

    assert {(root_system().pk, "bargain", str(pool.pk)), (child.pk, "bargain", str(pool.pk))} == set(told)


# --- The measure of it -----------------------------------------------------------------------------------------------
def test_a_pool_is_looked_at_with_a_number_of_queries_that_does_not_grow(fleet: Fleet, now: datetime) -> None:
    """Two units or twenty."""

    def queries(pool: ResourcePool) -> int:
        rounds.consider(pool, now=now)
        with CaptureQueriesContext(
            connection,
        ) as taken:
            rounds.consider(pool, now=now)
        return len(taken)

    few, many = make_pool(fleet, "a", "b"), make_pool(fleet, *(f"q{place}" for place in range(20)), name="many")
    for pool in (few, many):
        for unit in pool.units.all():
            services.ask(unit, Wish(2), message_id=f"m{unit.pk}", origin="person", now=now)
    seen(fleet, now, **{f"q{place}": 1 for place in range(20)}, a=1, b=1)

    assert queries(few) == queries(many) <= 20


def test_a_request_says_what_is_wrong_with_it(fleet: Fleet, now: datetime) -> None:
    """Each limit of a request is named."""
    pool = make_pool(fleet, "mail", enabled=False)
    unit = pool.units.get()

    for wish, field in ((Wish(0), "amount"), (Wish(2, 11), "priority"), (Wish(2, 5, now), "deadline")):
        with pytest.raises(Invalid) as wrong:
            services.request(unit, wish, by="ann", now=now)
        assert wrong.value.field == field
    with pytest.raises(Refused) as off:
        services.request(unit, Wish(2), by="ann", now=now)
    assert (off.value.code, Message.objects.count()) == ("off", 0)


def test_performance_is_what_a_busy_slot_does(fleet: Fleet, now: datetime) -> None:
    """By what workers count; what was not counted is not known."""
    pool = make_pool(fleet, "mail", "bulk")
    seen(fleet, now, mail=4, bulk=4)
    end = now.timestamp()
    record(
        {"shop/mail@x": [Sample("processed_total", end - back, 1000 - 8 * back, {}) for back in (50.0, 10.0)]},
        system_id=root_system().pk, now=end,
    )  # fmt: skip

    found = gathering.look(pool, list(pool.units.all()), now=now)

    assert {name: unit.performance for name, unit in found.units.items()} == {"mail": 2.0, "bulk": None}
