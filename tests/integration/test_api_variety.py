"""Operations and variety over the API: pushed, listed, filtered, changed, and each tenant's alone."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from pytest_django import DjangoAssertNumQueries

from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services as s1
from subsystems.s1_operations.models import Unit
from subsystems.variety import gathering, services
from subsystems.variety.models import Operation, Reading, UnitVariety
from tests.integration.test_api_schema import as_json_schema
from tests.support.factories import bearer, make_system, make_token, make_unit, make_user

pytestmark = pytest.mark.django_db
DOOR = "/api/v1/ingest/operations/"


@pytest.fixture
def system() -> System:
    s1._agents.clear()
    return root_system()


@pytest.fixture
def headers(system: System) -> dict[str, str]:
    return bearer(make_token(["ingest", "read", "operate"])[1])


def batch(**changes: Any) -> dict[str, Any]:
    now = time.time()
    operation = {
        "operation": "charge", "total": 5, "total_ok": 4, "ends": [[int(now), "ok", 4], [int(now), "ValueError", 1]],
        "durations_ms": [[10.0, 4], [40.0, 1]], "total_ms": 80.0, "errors": [[now, "ValueError: no"]],
    }  # fmt: skip
    told = {"source": "shop", "replica": "abcdefgh", "since": now - 60, "number": 1, "operations": [operation]}
    return {**told, **changes}


def push(client: Client, headers: dict[str, str], body: dict[str, Any]) -> Any:
    return client.post(DOOR, json.dumps(body), content_type="application/json", headers=headers)


def measured(seconds: float = 15.0) -> None:
    gathering.flush()
    services.read_now(now=datetime.fromtimestamp(time.time() + seconds, UTC))


def test_pushed_operations_appear_with_their_unit(client: Client, headers: dict[str, str]) -> None:
    """What an application tells is on its unit's page within seconds."""
    answer = push(client, headers, batch())
    measured()

    (row,) = client.get("/api/v1/operations/", {"unit_name": "shop"}, headers=headers).json()["results"]
    unit = Unit.objects.get(name="shop")
    assert (answer.status_code, answer.json()) == (202, {"accepted": 5})
    assert (unit.kind, unit.state) == ("agent", "active")
    assert (row["unit_id"], row["count"], row["failures"], row["success_rate"]) == (unit.pk, 5, 1, 0.8)
    assert row["errors"][0]["error"] == "ValueError: no"


def test_a_batch_that_is_sent_again_counts_once(client: Client, headers: dict[str, str]) -> None:
    """The answer to the first may have been lost."""
    body = batch()
    for _ in range(2):
        assert push(client, headers, body).status_code == 202
    measured()
    push(client, headers, body)
    measured(16)

    assert Operation.objects.get(unit="shop").count == 5


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"source": ""}, "source", id="no source"),
        pytest.param({"since": 0}, "since", id="a replica of long ago"),
        pytest.param({"operations": [{"operation": "a"}]}, "operations[0]", id="an operation without its columns"),
        pytest.param({"system": "elsewhere"}, "system", id="a system of others"),
    ],
)
def test_a_bad_batch_is_refused_by_name(
    client: Client, headers: dict[str, str], changes: dict[str, Any], field: str
) -> None:
    """And nothing of it is kept."""
    answer = push(client, headers, batch(**changes))

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"].startswith(field.split("[")[0])
    measured()
    assert not Operation.objects.filter(unit="shop").exists()


def test_pushing_needs_a_token_for_it(client: Client, system: System) -> None:
    """A session is no way in, and reading is not writing."""
    reader = bearer(make_token(["read"])[1])

    assert push(client, {}, batch()).status_code == 401
    assert push(client, reader, batch()).status_code == 403


def test_a_unit_that_the_platform_measures_itself_is_not_pushed_for(client: Client, headers: dict[str, str]) -> None:
    """Nobody speaks for a host."""
    make_unit("shop", kind="host")

    answer = push(client, headers, batch())

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "source"


def test_a_tenant_sees_its_own_and_nothing_else(client: Client, system: System) -> None:
    """Lists, single rows, panels and figures."""
    theirs = make_system("theirs")
    make_unit("shop", system=theirs)
    for where in (system, theirs):
        for n in range(3):
            gathering.operation_ended("shop", "charge", duration_ms=n, system_id=where.pk)
    measured()
    client.force_login(make_user(role="viewer", system=theirs))
    foreign = Operation.objects.get(system=system)

    lists = {
        path: client.get(f"/api/v1/{path}/").json()["results"] for path in ("operations", "variety", "variety/units")
    }

    assert {path: [row["system"] for row in rows] for path, rows in lists.items()} == {
        "operations": ["theirs"], "variety": ["theirs"], "variety/units": ["theirs"],
    }  # fmt: skip
    assert client.get(f"/api/v1/operations/{foreign.pk}/").status_code == 404
    assert client.get("/api/v1/variety/now/").json()["system"] == "theirs"
    assert client.get("/api/v1/variety/now/", {"system": "main"}).status_code == 400


def test_operations_are_filtered_ordered_and_paged(client: Client, headers: dict[str, str]) -> None:
    """A fleet has thousands."""
    unit = make_unit("shop")
    for n in range(3):
        for _ in range(n + 1):
            gathering.operation_ended("shop", f"task-{n}", duration_ms=1, outcome="E" if n == 2 else "ok")
    gathering.operation_ended("other", "task-0", duration_ms=1)
    measured()

    def names(**asked: object) -> list[str]:
        answer = client.get("/api/v1/operations/", asked, headers=headers)
        assert answer.status_code == 200, answer.content
        return [row["name"] for row in answer.json()["results"]]

    assert names(unit=unit.pk, ordering="-count") == ["task-2", "task-1", "task-0"]
    assert names(unit_name="other") == ["task-0"]
    assert names(search="-1") == ["task-1"]
    assert names(failing="true") == ["task-2"]
    assert len(names(limit=2)) == 2
    assert client.get("/api/v1/operations/", {"unit": "x"}, headers=headers).status_code == 400


def test_an_expectation_is_declared_by_who_may_operate(client: Client, headers: dict[str, str]) -> None:
    """It is policy: viewers see it, operators set it."""
    push(client, headers, batch())
    measured()
    path = f"/api/v1/operations/{Operation.objects.get(unit='shop').pk}/"
    reader = bearer(make_token(["read"])[1])

    def change(value: object, who: dict[str, str]) -> Any:
        return client.patch(path, json.dumps({"expected_ms": value}), content_type="application/json", headers=who)

    set_to = change(12.5, headers)
    assert (set_to.json()["expected_duration"], set_to.json()["expected_from"]) == (12.5, "declared")
    assert change(5, reader).status_code == 403
    assert [change(value, headers).status_code for value in (-1, 0, "nan", "x")] == [400] * 4
    assert change(None, headers).json()["expected_from"] == "unknown"


def test_a_units_performance_and_achievement(client: Client, headers: dict[str, str]) -> None:
    """The documented summary, and the three indices once people have said what ought to be."""
    push(client, headers, batch())
    measured()
    unit, panel = Unit.objects.get(name="shop"), UnitVariety.objects.get(unit="shop")

    planned = client.patch(
        f"/api/v1/variety/units/{panel.pk}/", json.dumps({"potentiality": 4}), content_type="application/json",
        headers=headers,
    )  # fmt: skip
    body = client.get(f"/api/v1/units/{unit.pk}/performance/", headers=headers).json()

    assert planned.json()["potentiality"] == 4
    assert body["operations"]["charge"]["recent_errors"] == ["ValueError: no"]
    assert body["status"] == "measured"
    assert body["achievement"]["performance"] == pytest.approx(4 / 300 / 4)


def test_a_unit_of_which_nothing_is_known_has_no_health(client: Client, headers: dict[str, str]) -> None:
    """Silence is not health."""
    body = client.get(f"/api/v1/units/{make_unit('quiet').pk}/performance/", headers=headers).json()

    assert (body["status"], body["health"], body["achievement"]["productivity"]) == ("no_data", None, None)


@pytest.mark.parametrize(
    ("path", "component"),
    [("operations", "Operation"), ("variety", "Figures"), ("variety/units", "UnitVariety")],
)
def test_what_is_answered_is_what_is_documented(
    client: Client, headers: dict[str, str], path: str, component: str
) -> None:
    """The bodies are made elsewhere than the document."""
    push(client, headers, batch())
    measured()
    schema = SchemaGenerator().get_schema(request=None, public=True)

    row = client.get(f"/api/v1/{path}/", headers=headers).json()["results"][0]

    assert set(row) == set(schema["components"]["schemas"][component]["properties"])
    jsonschema.validate(row, as_json_schema(component, schema))


def test_a_list_costs_the_same_queries_however_long_it_is(
    client: Client, headers: dict[str, str], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """Units are looked up with the rows."""
    for n in range(30):
        make_unit(f"unit-{n}")
        gathering.operation_ended(f"unit-{n}", "work", duration_ms=1)
    measured()

    for path in ("operations", "variety/units", "variety"):
        with django_assert_max_num_queries(6):
            assert client.get(f"/api/v1/{path}/", headers=headers).status_code == 200


def test_figures_are_read_over_a_range(client: Client, headers: dict[str, str], system: System) -> None:
    """For a chart, or a report."""
    now = time.time()
    gathering.operation_ended("shop", "charge", duration_ms=1)
    measured()
    kept = Reading.objects.get()
    Reading.objects.create(system=system, slot=1, at=now - 7200, figures=kept.figures)

    recent = client.get("/api/v1/variety/", {"from": now - 3600}, headers=headers).json()["results"]

    assert [row["slot"] for row in recent] == [kept.slot]
    assert len(client.get("/api/v1/variety/", headers=headers).json()["results"]) == 2


def test_metrics_show_what_was_measured_lately(client: Client, headers: dict[str, str], system: System) -> None:
    """And nothing where nothing was observed."""
    before = client.get("/metrics", headers=headers).content.decode()
    for name in "ab":
        for _ in range(5):
            gathering.operation_ended("shop", name, duration_ms=1)
    measured()
    page = client.get("/metrics", headers=headers).content.decode()

    assert "vsm_variety_ratio{" not in before
    assert 'vsm_variety_ratio{system="main",side="operation"} 1' in page
    assert 'vsm_variety_entropy{system="main",subject="environment"} 1' in page
    assert 'subject="management"' not in page
