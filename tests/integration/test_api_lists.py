"""Lists: their filters, their order, their pages, and that a long one costs no more queries than a short one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from alerts.models import Alert, AlertRule
from subsystems.health.models import Assessment
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control.models import TaskRun
from subsystems.telemetry.models import Series
from tests.support.factories import bearer, make_system, make_token, make_unit, make_user

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def headers() -> dict[str, str]:
    root_system()
    return bearer(make_token(["read", "admin"])[1])


def fill(name: str, number: int) -> None:
    """Add one more row to the list *name*, with everything that it shows."""
    system = make_system(f"{name.replace('/', '-')}-{number}", parent=root_system())
    fleet = Fleet.objects.create(system=system, name="f")
    unit = make_unit("u", system=system, kind="celery_worker", fleet=fleet)
    user = make_user(role="viewer", system=system)
    rule = AlertRule.objects.create(system=system, name="r", metric="m", threshold=1, unit=unit, created_by=user)
    Series.objects.create(system=system, source="u", metric="m", key=str(number))
    Assessment.objects.create(system=system, slot=number, assessed_at=NOON, status="normal")
    TaskRun.objects.create(name="diagnostics.echo", requested_by=user)
    Alert.objects.create(
        system=system, rule=rule, unit=unit, type="rule", title="t", subject="s", fingerprint=str(number),
        severity="critical", state="firing", acknowledged_by=user, resolved_by=user,
    )  # fmt: skip


LISTS = ["systems", "units", "fleets", "series", "assessments", "alert-rules", "alerts", "members", "tasks/runs"]


@pytest.mark.parametrize("name", LISTS)
def test_a_long_list_costs_no_more_queries(client: Client, headers: dict[str, str], name: str) -> None:
    """One query per row is how a list of a thousand units takes the database down."""

    def queries() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as captured:
            rows = client.get(f"/api/v1/{name}/", headers=headers).json()["results"]
        return len(rows), len(captured)

    fill(name, 1)
    queries()  # the first request of a minute notes that the token was used
    few = queries()
    for number in range(2, 8):
        fill(name, number)
    many = queries()

    assert many[0] >= few[0] + 6
    assert many[1] == few[1] <= 6


def units_where(client: Client, headers: dict[str, str], query: str) -> list[str]:
    return sorted(row["name"] for row in client.get(f"/api/v1/units/?{query}", headers=headers).json()["results"])


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("kind=http", ["shop"]),
        ("state=silent", ["quiet"]),
        ("health=healthy", ["shop"]),
        ("health=degraded", ["edge"]),
        ("health=unhealthy", ["quiet"]),
        ("health=unknown", ["f/w"]),
        ("fleet=f", ["f/w"]),
        ("search=UI", ["quiet"]),
        ("system=main&search=e", ["edge", "quiet"]),
        ("kind=agent&health=healthy", []),
    ],
)
def test_units_are_filtered(client: Client, headers: dict[str, str], query: str, names: list[str]) -> None:
    """The bands are those of the health model: 0.8 itself is degraded, 0.5 unhealthy."""
    fleet = Fleet.objects.create(system=root_system(), name="f")
    make_unit("shop", kind="http", score=0.81)
    make_unit("edge", score=0.8)
    make_unit("quiet", score=0.5, state=Unit.State.SILENT)
    make_unit("f/w", kind="celery_worker", fleet=fleet)

    assert units_where(client, headers, query) == names


def test_pages_follow_each_other_without_gap_or_repetition(client: Client, headers: dict[str, str]) -> None:
    """A program that walks a list must meet every row once, also where the order has ties."""
    for number in range(7):
        make_unit(f"u{number}", kind="agent" if number % 2 else "http")

    names: list[str] = []
    address: str | None = "/api/v1/units/?limit=2&ordering=kind"
    while address:
        page = client.get(address, headers=headers).json()
        names += [row["name"] for row in page["results"]]
        address = page["next"]

    assert sorted(names) == [f"u{number}" for number in range(7)]


def test_a_limit_is_capped(client: Client, headers: dict[str, str]) -> None:
    """Who asks for a million rows gets a thousand and a cursor."""
    Unit.objects.bulk_create(Unit(system=root_system(), kind="agent", name=f"u{n}") for n in range(1001))

    page = client.get("/api/v1/units/?limit=1000000", headers=headers).json()

    assert len(page["results"]) == 1000
    assert page["next"]


def assessment(system: System, minute: int) -> Assessment:
    moment = NOON + timedelta(minutes=minute)
    return Assessment.objects.create(
        system=system, slot=int(moment.timestamp()), assessed_at=moment, status="normal", score=0.9
    )


def test_assessments_are_cut_by_time_newest_first(client: Client, headers: dict[str, str]) -> None:
    """A chart of the last hour must not load a week."""
    rows = [assessment(root_system(), minute) for minute in range(5)]

    answer = client.get(
        "/api/v1/assessments/", {"from": "2026-11-20T12:01:00Z", "to": "2026-11-20T12:03:00Z"}, headers=headers
    )

    assert [row["id"] for row in answer.json()["results"]] == [rows[3].pk, rows[2].pk, rows[1].pk]


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("state=firing", ["b", "c"]),
        ("open=true", ["b", "c"]),
        ("open=false", ["a"]),
        ("severity=critical", ["b"]),
        ("severity=critical&severity=info", ["a", "b"]),
        ("acknowledged=true", ["c"]),
        ("acknowledged=false", ["a", "b"]),
        ("type=viability", ["c"]),
    ],
)
def test_alerts_are_filtered(client: Client, headers: dict[str, str], query: str, titles: list[str]) -> None:
    """Somebody at night wants the open critical ones that nobody has."""
    common: dict[str, Any] = {"system": root_system(), "subject": "s", "type": "rule"}
    Alert.objects.create(**common, title="a", severity="info", state="resolved", fingerprint="a")
    Alert.objects.create(**common, title="b", severity="critical", state="firing", fingerprint="b")
    Alert.objects.create(
        **{**common, "type": "viability"}, title="c", severity="warning", state="firing", fingerprint="c",
        acknowledged_at=NOON,
    )  # fmt: skip

    rows = client.get(f"/api/v1/alerts/?{query}", headers=headers).json()["results"]

    assert sorted(row["title"] for row in rows) == titles
