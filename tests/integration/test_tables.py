"""Lists whose headers sort and whose columns are chosen: correct on every page of them, and cheap."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from alerts.models import Alert
from subsystems.algedonic.models import Signal
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Unit
from subsystems.s3_control.models import Action
from tests.support.factories import make_system, make_unit, make_user
from vsm_site.dashboard.lists import TABLES
from vsm_site.dashboard.models import ChosenColumns
from vsm_site.dashboard.tables import address

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
UNITS = "/dashboard/units/"
PATHS = {
    "units": UNITS, "tasks": "/dashboard/tasks/", "alerts": "/dashboard/alerts/", "rules": "/dashboard/alerts/rules/",
    "events": "/dashboard/events/", "signals": "/dashboard/signals/", "checks": "/dashboard/checks/",
    "silences": "/dashboard/silences/", "live-units": "/dashboard/?view=performance",
    "actions": "/dashboard/actions/",
}  # fmt: skip


@pytest.fixture
def reader() -> User:
    return make_user(role="viewer")


@pytest.fixture
def browser(client: Client, reader: User) -> Client:
    client.force_login(reader)
    return client


def units(count: int) -> None:
    """Make units whose names, scores and moments go different ways, some without score and moment."""
    Unit.objects.bulk_create(
        Unit(
            system=root_system(), kind="http", name=f"unit-{n:03}", state="active",
            score=None if n % 5 == 0 else n % 7 / 7,
            last_seen_at=None if n % 4 == 0 else NOON - timedelta(seconds=n * 37 % 101),
        )
        for n in range(count)
    )  # fmt: skip


def names(answer: Any) -> list[str]:
    return re.findall(r"<strong>(unit-\d+)</strong>", answer.content.decode())


def test_every_table_is_on_a_page() -> None:
    """A list that is described and shown nowhere would be a lie about what there is."""
    assert set(PATHS) == set(TABLES)


@pytest.mark.parametrize(
    "sort", ["name", "-name", "health", "-health", "seen", "-seen", "fleet", "-kind", "-since", "state"]
)
def test_pages_under_any_order_hold_every_row_once(browser: Client, sort: str) -> None:
    """Rows that are equal must not change places from page to page; what is unknown comes last, whichever way."""
    units(120)

    pages = [browser.get(UNITS, {"sort": sort, "page": number}) for number in (1, 2, 3)]

    found = [name for page in pages for name in names(page)]
    assert len(found) == len(set(found)) == 120
    unknown = {"health": 24, "seen": 30}.get(sort.removeprefix("-"), 0)
    ends = Unit.objects.filter(name__in=found[120 - unknown :])
    if unknown:
        field = "score" if "health" in sort else "last_seen_at"
        assert ends.filter(**{f"{field}__isnull": True}).count() == unknown


@pytest.mark.parametrize("name", sorted(TABLES))
def test_each_order_of_each_table_opens(browser: Client, name: str) -> None:
    """By its header, without a script: a link, and what it is sorted by is told to who does not see the arrow."""
    make_unit("unit-1")
    table = TABLES[name]
    for column in table.columns:
        for sort in (column.name, f"-{column.name}"):
            answer = browser.get(PATHS[name], {**_given(name), "sort": sort})
            may = bool(column.order) and (sort.startswith("-") or column.ways == "both")
            assert answer.status_code == (200 if may else 400), (name, sort)
            if not may:
                assert f"there is no order {sort}" in answer.content.decode()


def _given(name: str) -> dict[str, str]:
    return {"view": "performance"} if name == "live-units" else {}


def test_the_header_says_how_it_is_sorted_and_turns_it(browser: Client) -> None:
    """aria-sort on one header alone; its link turns the order, and begins at the first page with all filters kept."""
    units(60)

    text = browser.get(UNITS, {"sort": "-seen", "page": "2", "q": "unit", "columns": "kind,seen"}).content.decode()

    assert text.count("aria-sort=") == 1
    assert 'aria-sort="descending"><a class="sorts" href="?q=unit&amp;columns=kind,seen&amp;sort=seen">' in text
    assert 'sort=name">' in text
    assert 'name="sort" value="-seen"' in text
    assert 'page=1">' in text
    assert "q=unit&amp;columns=kind%2Cseen&amp;page=1" in text or "sort=-seen" in text


def test_columns_are_chosen_by_the_address(browser: Client) -> None:
    """So that a saved view or a link shows the same to whoever opens it; what may not be left out stays."""
    make_unit("unit-1", last_error="It is dark")

    plain, chosen = browser.get(UNITS), browser.get(UNITS, {"columns": "error"})
    refused = browser.get(UNITS, {"columns": "error,wisdom"})

    assert "It is dark" not in plain.content.decode()
    text = chosen.content.decode()
    assert "It is dark" in text
    assert "unit-1" in text
    assert "Last seen" not in text.split("<thead>")[1].split("</thead>")[0]
    assert refused.status_code == 400
    assert "columns: there is no wisdom" in refused.content.decode()
    assert not ChosenColumns.objects.exists()


def test_chosen_columns_are_kept_for_their_person_alone(browser: Client, reader: User) -> None:
    """On the server: another browser of the same person shows the same. The address says it too, for saved views."""
    make_unit("unit-1", last_error="It is dark")

    kept = browser.post("/dashboard/columns/units/", {"of": f"{UNITS}?q=unit&page=3", "column": ["error", "nonsense"]})
    again, other = browser.get(UNITS), Client()
    other.force_login(make_user(role="viewer"))

    assert kept.status_code == 302
    assert kept.headers["Location"] == f"{UNITS}?q=unit&columns=name,error"
    assert ChosenColumns.objects.get().person == reader
    assert "It is dark" in again.content.decode()
    assert "It is dark" not in other.get(UNITS).content.decode()

    usual = browser.post("/dashboard/columns/units/", {"of": f"{UNITS}?columns=name,error", "usual": "1"})
    assert usual.headers["Location"] == f"{UNITS}?"
    assert not ChosenColumns.objects.exists()


def test_the_usual_columns_need_no_row(browser: Client) -> None:
    """Who ticks what is ticked already gets new columns of later versions like everybody else."""
    usual = [column.name for column in TABLES["units"].columns if column.usual]

    browser.post("/dashboard/columns/units/", {"of": UNITS, "column": usual})

    assert not ChosenColumns.objects.exists()


@pytest.mark.parametrize(
    "of", ["https://elsewhere.example/", "//elsewhere.example/", "/admin/", "", "http://[", "/nowhere/"]
)
def test_the_way_back_is_a_page_of_the_dashboard(browser: Client, of: str) -> None:
    """A form must not lead its reader to somebody else."""
    answer = browser.post("/dashboard/columns/units/", {"of": of, "column": ["kind"]})

    assert answer.status_code == 404
    assert browser.post("/dashboard/columns/wishes/", {"of": UNITS}).status_code == 404
    assert not ChosenColumns.objects.exists()


@pytest.mark.parametrize("name", sorted(set(TABLES) - {"live-units"}))
def test_a_list_costs_one_query_more_for_the_kept_columns(
    browser: Client, reader: User, name: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """Whatever there is, and however it is sorted."""
    units(130)
    ChosenColumns.objects.create(person=reader, table=name, names=["gone-since-an-older-version"])
    order = next((f"-{each.name}" for each in TABLES[name].columns if each.order), "")

    with django_assert_max_num_queries(22):
        answer = browser.get(PATHS[name], {"sort": order} if order else {})

    assert answer.status_code == 200


def test_units_of_another_system_are_not_listed(browser: Client) -> None:
    """Ten thousand names are no less secret than one."""
    make_unit("unit-1")
    make_unit("unit-2", system=make_system("theirs"))

    assert names(browser.get(UNITS)) == ["unit-1"]
    assert names(browser.get(UNITS, {"of": "theirs"})) == ["unit-1"]


def test_the_columns_of_the_actions_are_chosen(browser: Client) -> None:
    """Rows that several pages share show what was chosen for the list, header by header."""
    Action.objects.create(system=root_system(), kind="worker.grow", target="w1", actor="ada", finished_at=NOON)

    usual = browser.get("/dashboard/actions/").content.decode()
    chosen = browser.get("/dashboard/actions/", {"columns": "finished"}).content.decode()

    assert ("ada" in usual, "2026-11-20" in usual) == (True, False)
    assert ("ada" in chosen.split("<table")[1], "2026-11-20" in chosen) == (False, True)
    for text in (usual, chosen):
        table = text.split("<table")[1].split("</table>")[0]
        assert table.count("<th ") == table.count("<td ")


def _plan(rows: Any) -> str:
    return str(rows.explain())


def test_growing_lists_are_sorted_along_an_index() -> None:
    """Of a million rows a page must cost what it costs of a thousand: no sorting of all of them."""
    if connection.vendor == "postgresql":  # which plans by what is in a table, and there is nothing in it
        with connection.cursor() as cursor:
            cursor.execute(
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off"
            )
    ids = [root_system().pk]

    alerts = _plan(Alert.objects.filter(system_id__in=ids).order_by("-pending_at", "-pk")[:50])
    signals = _plan(Signal.objects.filter(system_id__in=ids).order_by("-raised_at", "-pk")[:50])

    actions = _plan(Action.objects.filter(system_id__in=ids).order_by("-requested_at", "-pk")[:50])

    assert "alert_of_system" in alerts
    assert "signal_of_system" in signals
    assert "action_of_system" in actions
    for plan in (alerts, signals, actions):
        assert "USE TEMP B-TREE FOR ORDER BY" not in plan  # "for the last term" is about equal moments alone


def test_an_address_is_changed_without_losing_the_rest(rf: Any) -> None:
    """Filters stay, the page is the first again."""
    given = rf.get("/", {"q": ["a", "b"], "page": "4", "cursor": "1_2", "before": "9", "sort": "x"}).GET

    assert address(given, sort="") == "?q=a&q=b"
    assert address(given, sort="-y") == "?q=a&q=b&sort=-y"
