"""What the diagram of the model is told by the server; how it is drawn is tested in `tests/browser`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from subsystems.fleets.models import WorkerState
from subsystems.health.models import Assessment
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.models import Recommendation
from subsystems.variety.measuring import packed
from subsystems.variety.models import Reading, UnitVariety
from tests.support.factories import make_message, make_system, make_user
from vsm_site.dashboard.model_queries import model_body
from vsm_site.dashboard.places import Place, find_place

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
PANEL: dict[str, Any] = {
    "environment": {"bits": 2.0}, "operation": {"bits": 1.0}, "management": {"bits": None},
    "operational": {"balance": {"band": "critical"}}, "managerial": {"balance": {"band": "insufficient_data"}},
}  # fmt: skip


def place_of(user: User, slug: str = "") -> Place:
    place = find_place(user, slug)
    assert place is not None
    return place


def assess(system: System, score: float, slot: int) -> None:
    Assessment.objects.create(
        system=system, slot=slot, score=score, status="warning", parts=[], structural={}, subsystems={}, details={},
        assessed_at=NOW,
    )  # fmt: skip


def advise(system: System, number: int) -> None:
    Recommendation.objects.create(
        system=system, kind="scale", source="s3", subject=f"queue {number}", title="More workers", expires_at=NOW
    )


def test_the_facts_say_what_is_inside_what_waits_and_what_was_said() -> None:
    """Each is what a node or a line of the diagram shows; what was not measured is null."""
    root, child = root_system(), make_system("till", parent=root_system())
    assess(child, 0.4, 1)
    assess(child, 0.6, 2)
    advise(root, 1)
    for channel, sender, recipient in [
        ("coordination", "s2", "s1"),
        ("coordination", "s2", "s1"),
        ("audit", "s3_star", "s1"),
    ]:
        make_message(system=root, channel=channel, sender=sender, recipient=recipient, created_at=NOW)
    make_message(system=child, created_at=NOW)
    make_message(system=root, channel="platform", sender="platform", recipient="platform", created_at=NOW)
    fleet = Fleet.objects.create(system=root, name="shop")
    for name, queues in [("web-1", ["orders"]), ("web-2", ["orders", "mail"])]:
        WorkerState.objects.create(fleet=fleet, name=name, role="web-*", queues=queues, observed_at=0, progress_at=0)
    Reading.objects.create(system=root, slot=1, at=NOW.timestamp(), figures={"environment": 2.5, "band": "adequate"})
    UnitVariety.objects.create(system=root, unit="shop/web-1", state=b"", body=packed(PANEL), at=NOW.timestamp())

    told = model_body(place_of(make_user(superuser=True)), now=NOW)

    assert told["inside"] == [{"slug": "till", "name": "Till", "score": 0.6, "status": "warning"}]
    assert told["waiting"] == {"s1": 0, "s2": 0, "s3": 1, "s3_star": 0, "s4": 0, "s5": 0}
    assert told["flows"] == [
        {"channel": "audit", "from": "s3_star", "to": "s1", "count": 1},
        {"channel": "coordination", "from": "s2", "to": "s1", "count": 2},
    ]
    assert told["readers"] == [{"fleet": "shop", "role": "web-*", "queues": ["mail", "orders"]}]
    assert (told["varieties"]["environment"], told["varieties"]["operation"]) == (2.5, None)
    assert told["varieties"]["operational_band"] == "adequate"
    assert told["varieties"]["s3_s4"]["balance"] is None
    assert told["varieties"]["units"]["shop/web-1"] == {
        "environment": 2.0, "operation": 1.0, "management": None, "operational_band": "critical",
        "managerial_band": "insufficient_data",
    }  # fmt: skip


def test_one_climbs_to_what_one_may_see_and_descends_no_further() -> None:
    """A member of a branch must not read the names of its neighbours, nor of those above."""
    root = root_system()
    shop = make_system("shop", parent=root)
    make_system("till", parent=shop)
    make_system("strangers", parent=root)
    member = make_user(role="viewer", system=shop)

    told = model_body(place_of(member, "shop"), now=NOW)
    deeper = model_body(place_of(member, "till"), now=NOW)

    assert [each["slug"] for each in told["inside"]] == ["till"]
    assert [each["slug"] for each in told["line"]] == ["shop"]
    assert [each["slug"] for each in deeper["line"]] == ["shop", "till"]


def test_the_diagram_costs_the_same_however_much_there_is(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Every open dashboard asks for it twice a minute."""
    client.force_login(make_user(superuser=True))
    root = root_system()
    fleet = Fleet.objects.create(system=root, name="shop")
    for number in range(30):
        assess(make_system(parent=root), 0.9, number)
        advise(root, number)
        make_message(system=root, created_at=NOW)
        WorkerState.objects.create(fleet=fleet, name=str(number), role=str(number), observed_at=0, progress_at=0)
        UnitVariety.objects.create(system=root, unit=str(number), state=b"", body=packed(PANEL), at=2e9)

    with django_assert_num_queries(15):
        answer = client.get("/dashboard/model/facts/")

    assert len(answer.json()["inside"]) == 30
