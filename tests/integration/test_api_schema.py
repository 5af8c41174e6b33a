"""The OpenAPI document: complete, valid, and true."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from django.core.management import call_command
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from alerts.models import Alert, AlertRule
from subsystems.health.models import Assessment
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.models import TaskRun
from tests.integration.test_api_lists import NOON
from tests.support.factories import bearer, make_token, make_unit, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


def test_the_document_is_generated_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """A warning is a place where the document guesses."""
    GENERATOR_STATS.reset()

    call_command("spectacular", validate=True, fail_on_warn=True)

    assert "Warning" not in capsys.readouterr().err


def test_the_document_is_valid_openapi(schema: dict[str, Any]) -> None:
    """Generators of clients stop at the first mistake."""
    validate_schema(schema)


def test_every_resource_is_in_it(schema: dict[str, Any]) -> None:
    """Also the one that is a plain view."""
    expected = [
        "systems", "units", "fleets", "series", "query", "ingest", "assessments", "viability", "alert-rules", "alerts",
        "forecasts", "forecasts/accuracy", "anomalies", "threats", "capacity", "environment-sources",
        "operations", "variety", "variety/now", "variety/units", "ingest/operations",
        "events", "tasks", "tokens", "members", "me",
    ]  # fmt: skip

    assert {f"/api/v1/{name}/" for name in expected} <= set(schema["paths"])


def test_every_operation_tells_how_it_fails(schema: dict[str, Any]) -> None:
    """A client that does not know the shape of errors shows none of them."""
    operations = [operation for path in schema["paths"].values() for operation in path.values()]

    assert all("application/problem+json" in each["responses"]["default"]["content"] for each in operations)


@pytest.mark.parametrize(
    ("address", "component"),
    [
        ("systems", "System"),
        ("units", "Unit"),
        ("fleets", "Fleet"),
        ("assessments", "Assessment"),
        ("alert-rules", "AlertRule"),
        ("alerts", "Alert"),
        ("tasks/runs", "Run"),
        ("members", "Member"),
    ],
)
def test_what_is_answered_is_what_is_documented(
    client: Client, schema: dict[str, Any], address: str, component: str
) -> None:
    """The bodies are made elsewhere than the document, so they could part without anybody noticing."""
    user = make_user(role="operator")
    unit = make_unit()
    rule = AlertRule.objects.create(system=root_system(), name="r", metric="m", threshold=1)
    Fleet.objects.create(system=root_system(), name="f")
    Assessment.objects.create(system=root_system(), slot=30, assessed_at=NOON, status="unknown")
    TaskRun.objects.create(name="diagnostics.echo", requested_by=user)
    Alert.objects.create(
        system=root_system(), rule=rule, unit=unit, type="rule", title="t", subject="s", fingerprint="f",
        severity="critical", state="firing",
    )  # fmt: skip
    headers = bearer(make_token(["read", "admin"])[1])

    row = client.get(f"/api/v1/{address}/", headers=headers).json()["results"][0]

    documented = schema["components"]["schemas"][component]["properties"]
    assert set(row) == set(documented)
    jsonschema.validate(row, as_json_schema(component, schema))


def as_json_schema(component: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI 3.0 component as JSON Schema: `nullable` is its own word for null."""

    def translated(node: Any) -> Any:
        if isinstance(node, list):
            return [translated(each) for each in node]
        if not isinstance(node, dict):
            return node
        node = {name: translated(each) for name, each in node.items()}
        return {"anyOf": [{"type": "null"}, node]} if node.pop("nullable", False) is True else node

    return {"$ref": f"#/components/schemas/{component}", "components": translated(schema["components"])}


def test_the_documentation_page_loads_nothing_from_elsewhere(client: Client) -> None:
    """It must work where there is no internet, and no stranger's script may run in it."""
    client.force_login(make_user(role="viewer"))

    answer = client.get("/api/docs/")
    page = answer.content.decode()

    assert "swagger-ui" in page
    assert "script-src 'self';" in answer["Content-Security-Policy"] + ";"
    assert "<script>" not in page
    assert "//cdn" not in page
    assert "jsdelivr" not in page
