"""The bargain over HTTP and on its pages: who may, what is shown, and that each verb has its effect once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from subsystems.messaging.models import Message
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.models import Bargain, PoolUnit, ResourcePool
from tests.integration.test_bargaining import fleet, held, make_pool, no_samples, now, seen  # noqa: F401
from tests.integration.test_inbox_pages import logged_in
from tests.support.factories import bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db


def headers(*scopes: str, **fields: Any) -> dict[str, str]:
    return bearer(make_token(list(scopes), user=make_user(role="operator", **fields))[1])


def test_a_resource_is_shared_asked_for_and_given_back_by_programs(
    client: Client,
    fleet: Fleet,  # noqa: F811
    now: datetime,  # noqa: F811
) -> None:
    """Pools, units, requests and answers by the API; every word is a message on the channel, too."""
    seen(fleet, now, mail=4, bulk=4)
    told = headers("read", "operate")

    def post(path: str, body: dict[str, Any] | None = None, **more: Any) -> Any:
        return client.post(
            f"/api/v1/{path}", body or {}, content_type="application/json", headers=more.get("headers", told)
        )

    wrong = post("resource-pools/", {"name": "cpu", "kind": "task_rate", "fleet": "shop"})
    made = post("resource-pools/", {"name": "cpu", "fleet": "shop", "limit": 12, "strategy": "priority_weighted"})
    twice = post("resource-pools/", {"name": "cpu", "fleet": "shop"})
    path = f"resource-pools/{made.json()['id']}/"
    for name, terms in (("mail", {"guarantee": 2}), ("bulk", {"ceiling": 6, "accept_from": None})):
        assert post(f"{path}units/", {"name": name, **terms}).status_code == 200
    greedy = post(f"{path}units/", {"name": "bulk", "guarantee": 11, "ceiling": 11})
    asked = post("bargains/", {"resource": "cpu", "unit": "bulk", "amount": 8, "priority": 7})
    nobody = post("bargains/", {"resource": "cpu", "unit": "post", "amount": 8})
    row = asked.json()
    late = post(f"bargains/{row['id']}/accept/", {"number": 9})
    taken = [post(f"bargains/{row['id']}/accept/", {"number": 1}).json()["state"] for _ in range(2)]
    pool = client.get(f"/api/v1/{path}", headers=told).json()
    listed = client.get("/api/v1/bargains/?resource=cpu&state=allocated", headers=told).json()["results"]
    metrics = client.get("/metrics", headers=told).content.decode()
    given = post(f"bargains/{row['id']}/release/")
    over = post(f"bargains/{row['id']}/refuse/")

    answers = (wrong, made, twice, greedy, asked, nobody, late, given, over)
    assert [each.status_code for each in answers] == [400, 201, 400, 400, 201, 400, 409, 200, 409]
    assert (row["state"], row["offer"]["amount"], row["strategy"]) == ("offered", 6, "priority_weighted")
    assert taken == ["allocated"] * 2
    assert {unit["name"]: unit["held"] for unit in pool["units"]} == {"mail": 0, "bulk": 6}
    assert [each["allocations"][0]["amount"] for each in listed] == [6]
    for line in (
        'vsm_system3_resource_allocated{system="main",resource="cpu",kind="slots"} 6',
        'vsm_system3_resource_used{system="main",resource="cpu",kind="slots"} 8',
        'vsm_system3_bargains{system="main",state="allocated"} 1',
    ):
        assert line in metrics
    words = Message.objects.filter(channel="resource_bargain").order_by("number").values_list("type", flat=True)
    assert list(words) == ["request", "offer", "accept", "accept", "release"]


def test_strangers_and_readers_bargain_about_nothing(client: Client, fleet: Fleet, now: datetime) -> None:  # noqa: F811
    """Another tenant's pools and bargains are not there; a token to read asks for nothing."""
    pool = make_pool(fleet, "mail", limit=8)
    seen(fleet, now, mail=2)
    page = logged_in()
    page.post("/dashboard/bargains/ask/", {"unit": pool.units.get().pk, "amount": 2, "priority": 5, "minutes": 5})
    row = Bargain.objects.get()
    reader, stranger = headers("read"), headers("read", "operate", system=make_system())
    ask = {"resource": "cpu", "unit": "mail", "amount": 2}

    def post(path: str, told: dict[str, str]) -> int:
        return client.post(f"/api/v1/{path}", ask, content_type="application/json", headers=told).status_code

    assert [post("bargains/", reader), post(f"bargains/{row.pk}/release/", reader)] == [403, 403]
    assert [post("bargains/", stranger), post(f"bargains/{row.pk}/release/", stranger)] == [404, 404]
    assert client.get(f"/api/v1/resource-pools/{pool.pk}/", headers=stranger).status_code == 404
    assert client.get("/api/v1/bargains/", headers=stranger).json()["results"] == []
    viewer, other = logged_in("viewer"), logged_in(system=make_system())
    assert [viewer.get("/dashboard/bargains/").status_code, viewer.post("/dashboard/bargains/").status_code] == [
        200,
        403,
    ]
    assert other.get(f"/dashboard/bargains/pools/{pool.pk}/").status_code == 404
    assert other.post(f"/dashboard/bargains/{row.pk}/accept/").status_code == 404
    assert "mail" not in other.get("/dashboard/bargains/").content.decode()


def test_everything_can_be_done_from_the_pages(fleet: Fleet, now: datetime) -> None:  # noqa: F811
    """Sharing, terms, asking, answering; mistakes are shown where they were made."""
    seen(fleet, now, mail=4, bulk=4)
    page = logged_in()
    empty = page.get("/dashboard/bargains/").content.decode()
    wrong = page.post("/dashboard/bargains/", {"name": "cpu", "kind": "slots"})
    made = page.post("/dashboard/bargains/", {"name": "cpu", "kind": "slots", "fleet": fleet.pk, "limit": "8"})
    pool = ResourcePool.objects.get()
    unit = {"name": "mail", "weight": "1", "guarantee": "2", "ceiling": "6"}
    crossed = page.post(f"{made['Location']}units/", {**unit, "ceiling": "1"})
    page.post(f"{made['Location']}units/", unit)
    ask = {"unit": pool.units.get().pk, "amount": "7", "priority": "5", "minutes": "10"}
    half = page.post("/dashboard/bargains/ask/", {**ask, "amount": "1.5"})
    page.post("/dashboard/bargains/ask/", ask)
    row = Bargain.objects.get()
    shown = page.get("/dashboard/bargains/").content.decode()
    page.post(f"/dashboard/bargains/{row.pk}/accept/", {"number": "1"})
    before = held(pool)
    page.post(f"/dashboard/bargains/{row.pk}/release/")
    changed = page.post(
        made["Location"], {"strategy": "adaptive", "mode": "auto", "by": "queue", "offer_seconds": "30"}
    )

    assert ("Nothing is shared yet" in empty, wrong.status_code, "Name the fleet" in wrong.content.decode()) == (
        True, 400, True,
    )  # fmt: skip
    assert (crossed.status_code, "at least the guarantee" in crossed.content.decode()) == (400, True)
    assert (half.status_code, "Slots are whole" in half.content.decode()) == (400, True)
    for words in ("Accept", "Refuse", "Withdraw", "share-guarantee", "0 slots held, 4 used, 2 guaranteed"):
        assert words in shown, words
    assert (before, held(pool), changed.status_code) == ({"mail": 6}, {}, 302)
    pool.refresh_from_db()
    assert (pool.strategy, pool.limit, pool.enabled) == ("adaptive", None, False)
    page.post(f"{made['Location']}drop/", {"unit": "mail"})
    page.post(f"{made['Location']}drop/")
    assert not ResourcePool.objects.exists()


def test_the_page_and_the_lists_ask_as_often_for_many_as_for_few(
    client: Client,
    fleet: Fleet,  # noqa: F811
    now: datetime,  # noqa: F811
) -> None:
    """No query for each pool, unit or bargain."""
    page, told = logged_in(), headers("read")

    def queries() -> list[int]:
        found = []
        for ask in (
            lambda: page.get("/dashboard/bargains/"),
            lambda: client.get("/api/v1/resource-pools/", headers=told),
            lambda: client.get("/api/v1/bargains/", headers=told),
        ):
            ask()
            with CaptureQueriesContext(connection) as taken:
                assert ask().status_code == 200
            found.append(len(taken))
        return found

    def more(name: str) -> None:
        pool = make_pool(fleet, *(f"{name}{number}" for number in range(4)), name=name)
        for unit in PoolUnit.objects.filter(pool=pool):
            Bargain.objects.create(
                pool=pool, unit=unit, system=pool.system, message_id=unit.name, origin="message", wanted=2, deadline=now
            )

    more("few")
    few = queries()
    for name in ("many", "more", "most"):
        more(name)
    assert queries() == few
