"""What the overview is told by the server, and the first steps of a newcomer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from alerts.models import AlertRule
from subsystems.algedonic.models import Signal
from subsystems.event_log.services import append, seal
from subsystems.event_log.streams import Stream
from subsystems.fleets.models import TaskRollUp
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet, Unit
from tests.support.factories import make_system, make_unit, make_user
from vsm_site.dashboard import overview_queries

pytestmark = pytest.mark.django_db
GUIDE = b"Three steps to a watched fleet"


@pytest.fixture
def operator(client: Client) -> Client:
    """A browser in which an operator of the root system is logged in."""
    client.force_login(make_user(role="operator"))
    return client


def test_what_changed_is_counted_linked_and_told_in_words() -> None:
    """At three in the morning one asks first what is different; elsewhere and long ago do not matter."""
    root, now = root_system(), timezone.now()
    for _ in range(3):
        append(Stream.ALERTS, "alert.firing", {"title": "Queue grows old"}, system_id=root.pk, at=now)
    append(Stream.POLICY, "PolicyChanged", {"kind": "viability"}, system_id=root.pk, actor="ada", at=now)
    append(Stream.ALERTS, "alert.firing", {}, system_id=root.pk, at=now - timedelta(hours=2))
    append(Stream.ALERTS, "alert.firing", {}, system_id=make_system().pk, at=now)
    seal()
    make_unit(said_goodbye_at=now)

    told = overview_queries.changes(root, now=now)

    assert {each["title"]: each["count"] for each in told["groups"]} == {
        "Alerts": 3, "Policy": 1, "Units joined": 1, "Units left": 1
    }  # fmt: skip
    assert told["groups"][0]["href"].startswith("/dashboard/events/?stream=vsm-alerts&from=")
    assert [(each["what"], each["about"], each["by"]) for each in told["newest"][:2]] == [
        ("Policy changed", "viability", "ada"), ("Alert firing", "Queue grows old", ""),
    ]  # fmt: skip


def test_the_overview_costs_the_same_however_much_there_is(
    operator: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """It is the page that is open on every wall."""
    root, now = root_system(), timezone.now()
    fleet = Fleet.objects.create(system=root, name="shop")
    for number in range(20):
        TaskRollUp.objects.create(fleet=fleet, at=int(now.timestamp()) // 300 * 300, name=f"t{number}", succeeded=9)
        append(Stream.CONTROL, "audit.completed", {"number": number}, system_id=root.pk, at=now)
        make_unit(fleet=fleet, kind="celery_worker")
    seal()

    with django_assert_num_queries(26):
        answer = operator.get("/dashboard/overview/facts/")

    assert answer.json()["tasks"]["succeeded"] == 180
    assert len(answer.json()["scores"]) > 20


def test_work_is_told_by_its_rate_and_failures_of_the_fleets_of_others() -> None:
    """The platform's own tasks would hide what an application does."""
    root, at = root_system(), 1_700_000_100
    own, shop = Fleet.objects.create(system=root, name="own", own=True), Fleet.objects.create(system=root, name="shop")
    TaskRollUp.objects.create(fleet=own, at=at, name="t", succeeded=900)
    TaskRollUp.objects.create(fleet=shop, at=at, name="a", succeeded=270, failed=30)
    TaskRollUp.objects.create(fleet=shop, at=at, name="b", others=300)

    told = overview_queries.performance(root, 3600, now=at + 400)["tasks"]

    assert (told["at"], told["rate"], told["failing"]) == ([at], [2.0], [0.1])


@pytest.mark.parametrize(("passed", "rate"), [(5, None), (60, 3.0), (300, 0.6)])
def test_a_step_that_goes_on_is_told_by_the_time_that_passed(
    passed: float, rate: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over its whole length it would look as if work stopped whenever a step begins."""
    root, at = root_system(), 1_700_000_100
    monkeypatch.setattr(overview_queries.time, "time", lambda: float(at + passed))
    shop = Fleet.objects.create(system=root, name="shop")
    TaskRollUp.objects.create(fleet=shop, at=at - 300, name="a", succeeded=900)
    TaskRollUp.objects.create(fleet=shop, at=at, name="a", succeeded=180)

    assert overview_queries.performance(root, 3600)["tasks"]["rate"] == [3.0, rate]


def test_a_step_in_which_a_range_begins_or_ends_is_told_by_what_is_read_of_it() -> None:
    """A day is told by steps of twenty minutes; one of its edges may be five."""
    root, at = root_system(), 1_700_000_400  # a step of twenty minutes begins
    shop = Fleet.objects.create(system=root, name="shop")
    for slot in (at - 300, at, at + 86_400):
        TaskRollUp.objects.create(fleet=shop, at=slot, name="a", succeeded=900)

    told = overview_queries.performance(root, 86_400 + 300, now=at + 86_400 - 1)["tasks"]
    later = overview_queries.performance(root, 86_400, now=at + 86_400 + 10)["tasks"]

    assert told["rate"] == [3.0, 900 / 1200]
    assert later["rate"] == [3.0]


def test_a_day_of_pain_is_told_and_what_is_older_is_not() -> None:
    """Older pains would crowd the picture of the day."""
    root, now = root_system(), timezone.now()
    for hours in (1, 30):
        Signal.objects.create(
            system=root, type="pain", severity="high", intensity=0.8, source="billing", origin="s1", fingerprint="f",
            raised_at=now - timedelta(hours=hours), expires_at=now,
        )  # fmt: skip

    told = overview_queries.felt(root, now=now)

    assert [(each["type"], each["severity"], each["source"]) for each in told] == [("pain", "high", "billing")]


def test_a_newcomer_is_led_to_a_fleet_and_a_rule(operator: Client) -> None:
    """It ends with something real; closed it stays away until somebody asks."""
    assert GUIDE in operator.get("/dashboard/").content
    refused = operator.post("/dashboard/guide/connect/", {"url": "nonsense"}, follow=True)
    assert refused.status_code == 200
    assert not Fleet.objects.filter(own=False).exists()

    connected = operator.post("/dashboard/guide/connect/", {"url": "memory://shop"}, follow=True)
    fleet = Fleet.objects.create(system=root_system(), name="shop") if b"is watched" not in connected.content else None
    fleet = fleet or Fleet.objects.get(own=False)
    make_unit(fleet=fleet, kind="celery_worker", state=Unit.State.ACTIVE)
    operator.post("/dashboard/guide/rule/", {"minutes": "x"})
    assert AlertRule.objects.count() == 0
    done = operator.post("/dashboard/guide/rule/", {"minutes": "5"}, follow=True)

    rule = AlertRule.objects.get()
    assert (rule.metric, rule.threshold, rule.unit_kind) == ("oldest_age_seconds", 300.0, "celery_queue")
    assert b"You are set up" in done.content
    Fleet.objects.all().delete()
    operator.post("/dashboard/guide/close/")
    assert GUIDE not in operator.get("/dashboard/").content
    assert GUIDE in operator.get("/dashboard/?guide=1").content


def test_who_only_looks_is_not_led_to_forms_that_refuse_him(client: Client) -> None:
    """The guide is made of acts."""
    client.force_login(make_user(role="viewer"))

    page = client.get("/dashboard/?guide=1")

    assert GUIDE not in page.content
    assert client.post("/dashboard/guide/rule/", {"minutes": "5"}).status_code == 403
