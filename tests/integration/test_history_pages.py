"""The pages of the history of tasks as the server gives them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subsystems.fleets import store
from subsystems.fleets.models import BlindSpell, HistoryRules, Listening, Task
from subsystems.s1_operations.models import Fleet
from tests.integration.test_api_history import failed, make_fleet, ran
from tests.integration.test_fleets_history import batch_of
from tests.support.factories import make_system, make_user
from tests.unit.test_fleets_folding import event

pytestmark = pytest.mark.django_db
BASE = "/dashboard/tasks/"


@pytest.fixture
def reader(client: Client) -> Client:
    """A browser in which a viewer of the root system is logged in."""
    client.force_login(make_user("vera", role="viewer"))
    return client


@pytest.fixture
def shop() -> Fleet:
    fleet = make_fleet("shop")
    at = time.time() - 100
    ran(fleet, "a", at, args="('ann',)")
    failed(fleet, "b", at + 1, exception="Late('<b>')")
    return fleet


def text(answer: Any) -> str:
    return answer.content.decode()


def test_the_list_shows_what_is_looked_for(reader: Client, shop: Fleet) -> None:
    """With the filter in the address, so that a colleague sees the same."""
    everything = text(reader.get(BASE))
    failures = text(reader.get(f"{BASE}?state=failure&name=shop.pay"))

    assert 'data-task="a"' in everything
    assert 'data-task="b"' in failures
    assert 'data-task="a"' not in failures
    assert "Late(&#x27;&lt;b&gt;&#x27;)" in failures
    assert "name=shop.pay&amp;as=csv" in failures.replace("state=failure&amp;", "")


def test_the_rows_alone_are_given_to_a_page_that_follows(reader: Client, shop: Fleet) -> None:
    """An open page asks several times a second on a busy fleet."""
    rows = text(reader.get(BASE, headers={"X-Part": "rows"}))

    assert "data-task" in rows
    assert "<html" not in rows


@pytest.mark.parametrize(
    "query", ["state=exploded", "cursor=x", "from=yesterday", "range=2h", "fleet=theirs", "min_runtime=x"]
)
def test_what_cannot_be_looked_for_is_told(reader: Client, shop: Fleet, query: str) -> None:
    """Never a page that ignores half of what was asked."""
    answer = reader.get(f"{BASE}?{query}")

    assert answer.status_code == 400
    assert 'role="alert"' in text(answer)


def test_an_empty_history_says_what_to_do(reader: Client) -> None:
    """A newcomer's first page."""
    assert "Watch a Celery application" in text(reader.get(BASE))
    make_fleet("shop")
    assert "see how the fleets are heard" in text(reader.get(BASE))
    assert "No task matches" in text(reader.get(f"{BASE}?name=nobody"))


def test_one_task_is_drawn_with_its_family(reader: Client, shop: Fleet) -> None:
    """Where its time went is seen and not computed in the head."""
    at = time.time() - 50
    retried = event("task-retried", uuid="c", timestamp=at + 2, exception="Busy('x')")
    store.write(shop.pk, batch_of(event("task-started", uuid="c", timestamp=at + 1), retried))
    ran(shop, "c", at, parent_id="b", root_id="b", runtime=9.0)
    store.write(shop.pk, batch_of(event("task-started", uuid="c", timestamp=at + 5)))
    child, parent = Task.objects.get(uuid="c"), Task.objects.get(uuid="b")

    page, above = text(reader.get(f"{BASE}{child.pk}/")), text(reader.get(f"{BASE}{parent.pk}/"))

    assert 'class="life-running"' in page
    assert "Waited for another try" in page
    assert f'href="{BASE}{parent.pk}/"' in page
    assert f'href="{BASE}{child.pk}/"' in above
    assert "in pay" in above
    assert "style=" not in page


def test_nobody_waits_less_than_no_time(reader: Client, shop: Fleet) -> None:
    """The clocks of who sends and of who works differ by milliseconds."""
    Task.objects.filter(uuid="a").update(sent_at=1_000.004, started_at=1_000.0)
    task = Task.objects.get(uuid="a")

    pages = text(reader.get(BASE)), text(reader.get(f"{BASE}{task.pk}/"))

    assert task.wait_seconds < 0
    assert all("0.000 s" in page and "-0.004" not in page for page in pages)


def test_what_the_list_may_not_show_is_told_above_it(reader: Client, shop: Fleet) -> None:
    """A list with holes that looks whole is worse than none."""
    now = make_moment()
    BlindSpell.objects.create(fleet=shop, reason="disconnected", began_at=now, ended_at=now)
    Listening.objects.create(fleet=shop, hears_sending=False)

    for address in (BASE, "/dashboard/fleets/"):
        page = text(reader.get(address))
        assert "task_send_sent_event" in page
        assert "The broker was out of reach" in page


def make_moment() -> Any:
    return timezone.now()


def test_failures_and_latencies_have_a_page_each(reader: Client, shop: Fleet) -> None:
    """What breaks, and what is slow."""
    exceptions, latencies = text(reader.get(f"{BASE}exceptions/")), text(reader.get(f"{BASE}latencies/?by=queue"))

    assert "Late" in exceptions
    assert "money" in latencies


def test_another_tenants_history_is_not_there(client: Client, shop: Fleet) -> None:
    """Not by number, not by name."""
    client.force_login(make_user("mallory", role="operator", system=make_system("other")))
    pk = Task.objects.get(uuid="a").pk

    assert client.get(f"{BASE}{pk}/").status_code == 404
    assert client.get(f"{BASE}?fleet=shop").status_code == 400
    for address in (BASE, f"{BASE}exceptions/", f"{BASE}latencies/"):
        assert "shop" not in text(client.get(address))


def test_pages_cost_the_same_however_long_they_are(reader: Client, shop: Fleet) -> None:
    """No query in a loop."""
    counts = []
    for size in (1, 30):
        for number in range(size):
            failed(shop, f"{size}-{number}", time.time() - 50, exception=f"E{number}('x')", name=f"t{number}")
        with CaptureQueriesContext(connection) as ran_queries:
            for address in (BASE, f"{BASE}exceptions/", f"{BASE}latencies/", "/dashboard/fleets/"):
                reader.get(address)
        counts.append(len(ran_queries))

    assert counts[0] == counts[1]


def test_the_rules_of_a_history_are_changed_on_a_page(client: Client, shop: Fleet) -> None:
    """An address that is not typed again stays; what is wrong is shown where it is."""
    client.force_login(make_user("olga", role="operator"))
    page = f"/dashboard/fleets/{shop.pk}/history-rules/"
    given = {"keep_days": "7", "max_tasks": "5000", "masked_names": "iban\ncvc\n", "ask_events": "on"}

    saved = client.post(page, {**given, "result_backend": "redis://:hunter2@results.example/3"})
    again = client.post(page, given)
    rules = HistoryRules.objects.get(fleet=shop)
    refused = client.post(page, {**given, "keep_days": "0", "result_backend": "memory://"})
    shown = client.get(page).content.decode()

    assert (saved.status_code, again.status_code, refused.status_code) == (302, 302, 400)
    assert (rules.keep_days, rules.masked_names) == (7, ["iban", "cvc"])
    assert rules.result_backend == "redis://results.example/3"
    assert "Now redis://results.example/3" in shown
    assert "hunter2" not in shown
    client.post(page, {**given, "forget_result_backend": "on"})
    assert not HistoryRules.objects.get(fleet=shop).result_backend


def test_the_rules_of_a_history_are_for_operators_of_its_system(reader: Client, shop: Fleet) -> None:
    """A viewer neither sees nor changes them."""
    page = f"/dashboard/fleets/{shop.pk}/history-rules/"

    assert reader.get(page).status_code == 403
    assert reader.post(page, {"keep_days": "1"}).status_code == 403
