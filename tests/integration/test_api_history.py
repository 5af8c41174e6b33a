"""The history of tasks as programs read it."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from subsystems.fleets import queries, services, store
from subsystems.fleets.models import BlindSpell, HistoryRules, Listening, Task
from subsystems.fleets.states import State
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from tests.integration.test_fleets_history import TRACEBACK, batch_of
from tests.support.factories import bearer, make_system, make_token, make_user
from tests.unit.test_fleets_folding import event

pytestmark = pytest.mark.django_db
BASE = "/api/v1/task-history/"


@pytest.fixture
def headers() -> dict[str, str]:
    return bearer(make_token(["read", "operate"], user=make_user("olga", role="operator"))[1])


@pytest.fixture
def get(client: Client, headers: dict[str, str]) -> Any:
    def ask(address: str = BASE, **parameters: Any) -> Any:
        return client.get(address, parameters, headers=headers)

    return ask


def make_fleet(name: str = "shop", system: System | None = None) -> Fleet:
    return Fleet.objects.create(system=system or root_system(), name=name)


def ran(fleet: Fleet, uuid: str, at: float, *, name: str = "shop.pay", runtime: float = 1.0, **fields: Any) -> None:
    """Let a task run in the history, from sending to success."""
    common = {"uuid": uuid, "timestamp": at, "name": name}
    store.write(
        fleet.pk,
        batch_of(
            event("task-sent", queue="money", **common, **fields),
            event("task-received", **common, **fields),
            event("task-started", **common),
            event("task-succeeded", **{**common, "timestamp": at + runtime}, runtime=runtime, result="'ok'"),
        ),
    )


def failed(fleet: Fleet, uuid: str, at: float, *, name: str = "shop.pay", exception: str = "Late('x')") -> None:
    common = {"uuid": uuid, "timestamp": at, "name": name}
    ends = event("task-failed", exception=exception, traceback=TRACEBACK, **common)
    store.write(fleet.pk, batch_of(event("task-received", **common), ends))


def uuids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [task["uuid"] for task in answer.json()["results"]]


@pytest.fixture
def past() -> float:
    """Two fleets with a little history."""
    at = time.time() - 1000
    shop, mail = make_fleet("shop"), make_fleet("mail")
    ran(shop, "a", at, runtime=0.5, args="('ann',)")
    ran(mail, "b", at + 1, name="mail.send", runtime=9.0)
    failed(shop, "c", at + 2)
    store.write(shop.pk, batch_of(event("task-started", uuid="d", timestamp=at + 3, hostname="w2@host")))
    return at


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param({}, ["d", "c", "b", "a"], id="all, newest first"),
        pytest.param({"fleet": "shop"}, ["d", "c", "a"], id="fleet"),
        pytest.param({"state": "failure"}, ["c"], id="state"),
        pytest.param({"state": "open, failure"}, ["d", "c"], id="states"),
        pytest.param({"name": "mail.send"}, ["b"], id="name"),
        pytest.param({"worker": "w2@host"}, ["d"], id="worker"),
        pytest.param({"queue": "money"}, ["b", "a"], id="queue"),
        pytest.param({"uuid": "c"}, ["c"], id="id"),
        pytest.param({"search": "ANN"}, ["a"], id="argument"),
        pytest.param({"search": "Late"}, ["c"], id="exception"),
        pytest.param({"min_runtime": 1}, ["b"], id="slow ones"),
        pytest.param({"max_runtime": 1}, ["a"], id="quick ones"),
        pytest.param({"min_wait": 0}, ["b", "a"], id="waited"),
        pytest.param({"min_wait": 1}, [], id="waited long"),
        pytest.param({"order": "slowest"}, ["b", "a"], id="slowest first"),
        pytest.param({"search": "nobody"}, [], id="none"),
    ],
)
def test_what_is_asked_for_is_found(get: Any, past: float, wanted: dict[str, Any], found: list[str]) -> None:
    """Each filter of the page, over two fleets at once."""
    assert uuids(get(**wanted)) == found


def test_a_range_of_time_is_found(get: Any, past: float) -> None:
    """What happened during an incident, and nothing else."""
    assert uuids(get(**{"from": past + 0.5, "to": past + 2.5})) == ["c", "b"]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"state": "exploded"}, "state"),
        ({"from": "yesterday"}, "from"),
        ({"cursor": "nan_1"}, "cursor"),
        ({"cursor": "1.0"}, "cursor"),
        ({"limit": "0"}, "limit"),
        ({"min_runtime": "nan"}, "min_runtime"),
        ({"fleet": "another's"}, "fleet"),
        ({"order": "random"}, "order"),
        ({"fingerprint": "9" * 30}, "fingerprint"),
        ({"search": "a\0b"}, "search"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(get: Any, past: float, parameters: Any, field: str) -> None:
    """A filter that is silently ignored shows the wrong tasks."""
    answer = get(**parameters)

    assert answer.status_code == 400, answer.content
    assert (
        answer.json()["errors"][0]["field"] == field if "errors" in answer.json() else answer.json()["field"] == field
    )


@pytest.mark.parametrize("order", ["newest", "slowest"])
def test_pages_follow_each_other_without_a_gap(get: Any, order: str) -> None:
    """Also where many tasks have the same moment, and while new ones come."""
    at = time.time() - 100
    shop, mail = make_fleet("shop"), make_fleet("mail")
    for number in range(12):
        ran((shop, mail)[number % 2], f"n{number:02}", at + number // 5, runtime=1.0 + number // 4)
    seen: list[str] = []
    answer = get(limit=5, order=order)
    while True:
        seen += uuids(answer)
        ran(shop, f"new{len(seen)}", at + 90, runtime=50)
        if not answer.json()["next"]:
            break
        answer = get(answer.json()["next"])

    assert sorted(seen) == [f"n{number:02}" for number in range(12)]


def test_a_search_for_a_text_says_how_far_it_looked(get: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a million rows for one word would stop everybody else: it goes on page by page."""
    monkeypatch.setattr(queries, "SCANNED", 4)
    at = time.time() - 100
    shop, mail = make_fleet("shop"), make_fleet("mail")
    for number in range(10):
        ran((shop, mail)[number % 2], f"n{number}", at + number, args="('old',)" if number == 1 else "()")

    found, looks, answer = [], 0, get(search="old")
    while True:
        found += uuids(answer)
        looks += 1
        if not answer.json()["next"]:
            break
        assert answer.json()["searched_until"]
        answer = get(answer.json()["next"])

    assert found == ["n1"]
    assert looks > 2


def test_another_tenants_tasks_do_not_exist(get: Any, client: Client, past: float) -> None:
    """Not in the list, not by number, not in exports, groups, latencies or hearing."""
    theirs = make_fleet("theirs", make_system("other"))
    failed(theirs, "secret", past)
    pk = Task.objects.get(uuid="secret").pk
    stranger = bearer(
        make_token(["read", "operate"], user=make_user("mallory", role="operator", system=make_system("third")))[1]
    )

    for address in (
        f"{BASE}{pk}/",
        f"/api/v1/fleets/{theirs.pk}/hearing/",
        f"/api/v1/fleets/{theirs.pk}/history-rules/",
    ):
        assert client.get(address, headers=stranger).status_code == 404
    for address in (BASE, f"{BASE}export/", "/api/v1/task-exceptions/", "/api/v1/task-latencies/"):
        answer = client.get(address, headers=stranger)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        assert answer.status_code == 200
        assert b"secret" not in body
        assert b"shop" not in body
        assert client.get(address).status_code == 401


def test_one_task_is_shown_whole(get: Any, past: float) -> None:
    """Its times, its tries, its family and where it broke, in a number of queries that does not grow."""
    shop = Fleet.objects.get(name="shop")
    at = past + 10
    for number in range(5):
        ran(shop, f"child{number}", at + number, parent_id="c", root_id="c")
    events = [event("task-retried", uuid="c", timestamp=at - 9 + n, exception="Late('y')") for n in range(2)]
    store.write(shop.pk, batch_of(*events))
    pk = Task.objects.get(uuid="c").pk

    with CaptureQueriesContext(connection) as ran_queries:
        body = get(f"{BASE}{pk}/").json()

    assert (body["state"], body["exception"], body["fleet"]) == ("failure", "Late('x')", "shop")
    assert [child["uuid"] for child in body["children"]] == [f"child{n}" for n in range(5)]
    assert len(body["tries"]) == 2
    assert "in pay" in body["traceback"]
    child = get(f"{BASE}{body['children'][0]['id']}/").json()
    assert (child["parent"]["uuid"], child["root_id"]) == ("c", "c")
    assert len(ran_queries) < 14


def test_a_page_costs_the_same_however_long_it_is(get: Any, past: float) -> None:
    """No query in a loop."""
    shop = Fleet.objects.get(name="shop")
    counts = []
    get()  # the first request of a token notes its use
    for size in (1, 60):
        for number in range(size):
            ran(shop, f"{size}-{number}", past + number)
        with CaptureQueriesContext(connection) as ran_queries:
            get(limit=1000)
        counts.append(len(ran_queries))

    assert counts[0] == counts[1]


def test_the_history_is_exported(get: Any, past: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into a spreadsheet that runs no formula, and into lines for programs."""
    shop = Fleet.objects.get(name="shop")
    ran(shop, "e", past + 4, name="=cmd|calc")
    lines = [
        json.loads(line) for line in b"".join(get(f"{BASE}export/", **{"as": "jsonl"}).streaming_content).splitlines()
    ]
    text = b"".join(get(f"{BASE}export/", fleet="shop").streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(text)))

    assert [line["uuid"] for line in lines] == ["e", "d", "c", "b", "a"]
    assert [(row["uuid"], row["state"]) for row in rows][-1] == ("a", "success")
    assert rows[0]["name"] == "'=cmd|calc"


def test_failures_are_listed_by_kind(get: Any, past: float) -> None:
    """Ten thousand failures are seldom ten thousand mistakes."""
    shop = Fleet.objects.get(name="shop")
    failed(shop, "f", past + 5)
    groups = get("/api/v1/task-exceptions/").json()["results"]

    assert [(group["type"], group["count"], group["last_uuid"]) for group in groups] == [("Late", 2, "f")]
    assert uuids(get(fingerprint=groups[0]["fingerprint"])) == ["f", "c"]


def test_latencies_are_told_by_name_and_queue(get: Any, past: float) -> None:
    """From roll-ups: how long tasks ran, and how long they waited."""
    by_name = {row["name"]: row for row in get("/api/v1/task-latencies/").json()}
    by_queue = {row["queue"]: row for row in get("/api/v1/task-latencies/", by="queue").json()}

    assert (by_name["shop.pay"]["succeeded"], by_name["shop.pay"]["failed"]) == (1, 1)
    assert by_name["mail.send"]["runtime"]["p95"] == pytest.approx(9.0, rel=0.01)
    assert by_queue["money"]["wait"]["p50"] == pytest.approx(0.0, abs=0.01)


def test_blindness_is_told_with_what_it_touches(get: Any, past: float) -> None:
    """A list that may have holes says so itself."""
    shop = Fleet.objects.get(name="shop")
    began = queries.datetime.fromtimestamp(past, queries.UTC)
    BlindSpell.objects.create(fleet=shop, reason="stalled", began_at=began, ended_at=began)
    workers = {"w1@host": {"tells_tasks": False, "skew_seconds": 7.0, "missed": 3}}
    Listening.objects.create(fleet=shop, workers=workers, missed=3, hears_sending=False)

    page = get().json()
    hearing = get(f"/api/v1/fleets/{shop.pk}/hearing/").json()

    assert [spell["reason"] for spell in page["blind"]] == ["stalled"]
    words = " ".join(hearing["advice"])
    assert all(word in words for word in ("cannot be reached", "-E", "task_send_sent_event", "NTP", "3 tasks"))


def test_rules_are_changed_by_who_may(client: Client, get: Any, headers: dict[str, str], past: float) -> None:
    """What is hidden and how long it is kept is an operator's decision, and a wrong one is refused by name."""
    shop = Fleet.objects.get(name="shop")
    address = f"/api/v1/fleets/{shop.pk}/history-rules/"

    def change(body: Any, who: dict[str, str]) -> Any:
        return client.patch(address, body, content_type="application/json", headers=who)

    reader = bearer(make_token(["read"], user=make_user("rita", role="viewer"))[1])
    assert get(address).json()["keep_days"] == 14
    assert change({"keep_days": 3, "masked_names": ["iban"]}, headers).json()["keep_days"] == 3
    assert change({"keep_days": 0}, headers).status_code == 400
    assert change({"keep_days": 5}, reader).status_code == 403
    assert services.masking_of(shop.history_rules).masked("{'iban': 'x'}") != "{'iban': 'x'}"
    assert set(State.__members__) >= {"SUCCESS"}


def test_the_address_of_results_is_kept_sealed_and_never_shown(
    client: Client, headers: dict[str, str], past: float
) -> None:
    """It carries a password as a broker's does; one that cannot be read is refused by the field's name."""
    shop = Fleet.objects.get(name="shop")
    address = f"/api/v1/fleets/{shop.pk}/history-rules/"

    def change(url: str) -> Any:
        return client.patch(address, {"result_backend": url}, content_type="application/json", headers=headers)

    taken = change("redis://:hunter2@results.example:6379/3")
    refused = change("db+postgresql://user:hunter2@results.example/results")
    stored = HistoryRules.objects.get(fleet=shop)

    assert taken.json()["result_backend"] == "redis://results.example:6379/3"
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "result_backend"
    assert "hunter2" not in taken.content.decode() + refused.content.decode() + stored.result_backend_sealed
    assert change("").json()["result_backend"] == ""
    assert HistoryRules.objects.get(fleet=shop).result_backend_sealed == ""
