"""Whatever is sent, the answer is a problem document that names the field, never a 500."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from subsystems.recursion.queries import root_system
from tests.support.factories import bearer, make_token, make_unit

pytestmark = pytest.mark.django_db
BODIES = [
    pytest.param(b'{"name": 1e999, "threshold": 1e999}', id="infinity"),
    pytest.param(b'{"name": "x", "threshold": NaN}', id="NaN"),
    pytest.param(b"[" * 100_000 + b"]" * 100_000, id="deep"),
    pytest.param(b'{"name": "\\ud800", "source": "\\ud800"}', id="half a pair"),
    pytest.param(b'{"name": "\\u0000"}', id="NUL"),
    pytest.param(b'{"name": "a", "name": "b"}', id="a key twice"),
    pytest.param(b"\xff\xfe", id="no UTF-8"),
    pytest.param(b"", id="empty"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b'"text"', id="a text"),
    pytest.param(b"17", id="a number"),
    pytest.param(b"{}", id="nothing in it"),
    pytest.param(b'{"name": {}, "kind": [], "url": {}, "config": "x", "arguments": 7, "scopes": {}}', id="wrong types"),
    pytest.param(b'{"name": true, "kind": true, "url": true, "threshold": true, "metric": true}', id="truths"),
    pytest.param(b'{"name": "x", "metric": "m", "threshold": "nan"}', id="NaN as a text"),
    pytest.param(b'{"name": "x", "metric": "m", "threshold": "1e999"}', id="infinity as a text"),
    pytest.param(b'{"name": "x", "metric": "m", "threshold": 1, "unit": 9223372036854775807}', id="a large id"),
    pytest.param(b'{"name": "x", "metric": "m", "threshold": 1, "for_seconds": 9223372036854775807}', id="a long time"),
    pytest.param(b'{"kind": "http", "name": "x", "config": {"url": "file:///etc/passwd"}}', id="a file for a URL"),
    pytest.param(b'{"kind": "http", "name": "x", "config": {"url": 1e308}}', id="a number for a URL"),
    pytest.param(b'{"url": "amqp://[::1"}', id="a broken URL"),
    pytest.param(b'{"url": "memory://x"}', id="a transport that is none of ours"),
    pytest.param(b'{"source": "a", "samples": [[[[[]]]]]}', id="lists for samples"),
    pytest.param(b'{"source": "a", "samples": [], "system": {"$ne": 1}}', id="an object for a system"),
    pytest.param(b'{"arguments": {"__type__": "nope", "__value__": 1}}', id="a value that kills a worker"),
    pytest.param(b'{"detail": {"__type__": "nope", "__value__": 1}}', id="the same elsewhere"),
]
ADDRESSES = [
    "/api/v1/units/", "/api/v1/fleets/", "/api/v1/alert-rules/", "/api/v1/tasks/diagnostics.echo/trigger/",
    "/api/v1/ingest/", "/api/v1/tokens/",
]  # fmt: skip


@pytest.fixture
def headers() -> dict[str, str]:
    root_system()
    return bearer(make_token(["read", "operate", "ingest", "admin"])[1])


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("body", BODIES)
def test_no_body_makes_the_server_stumble(client: Client, headers: dict[str, str], address: str, body: bytes) -> None:
    """Each of these was a 500 somewhere; an attacker needs one to fill the log and hide in it."""
    answer = client.post(address, body, content_type="application/json", headers=headers)

    assert answer.status_code in {202, 400, 403}, answer.content
    if answer.status_code != 202:
        assert answer["Content-Type"] == "application/problem+json"


QUERIES = [
    "units/?limit=0", "units/?limit=-1", "units/?limit=x", "units/?limit=%00", "units/?limit=99999999999999999999",
    "units/?cursor=zzz", "units/?cursor=cD14eHh4", "units/?cursor=cD0lMDA%3D",
    "units/?cursor=bz05OTk5OTk5OTk5OTk5OQ==", "units/?ordering=password",
    "units/?ordering=system__api_tokens__digest", "units/?health=fine", "units/?state=x", "units/?search=%00",
    "units/?fleet=%00", "units/?system=%00", "units/99999999999999999999999/", "units/x/", "units/1%00/",
    "units/" + "9" * 5000 + "/", "systems/%00/", "alerts/?unit=x", "alerts/?unit=99999999999999999999",
    "alerts/?unit=1e400", "alerts/?unit=nan", "alerts/?open=maybe", "alerts/?severity=loud", "assessments/?from=x",
    "assessments/?to=99999-01-01T00:00:00Z", "assessments/?cursor=cD14", "alerts/?cursor=cD14", "tasks/runs/x/",
    "tasks/runs/?state=x", "tasks/runs/?cursor=cD14", "query/", "query/?metric=", "query/?metric=%00",
    "query/?metric=m&step=nan", "query/?metric=m&step=1e-300", "query/?metric=m&step=0", "query/?metric=m&from=x",
    "query/?metric=m&from=1e999", "query/?metric=m&from=nan", "query/?metric=m&to=2026-01-01T00:00:00",
    "query/?metric=m&from=2&to=1", "query/?metric=m&from=0001-01-01T00:00:00Z",
    "query/?metric=m&to=9999-12-31T23:59:59-23:59", "query/?metric=m&agg=median", "query/?metric=m&labels=x",
    "query/?metric=m&labels=[]", "query/?metric=m&labels={%22a%22:1}", "query/?metric=m&labels=" + "[" * 1000,
    "query/?metric=m&system=nope", "viability/?system=%00", "viability/?system=", "alert-rules/preview/",
    "alert-rules/preview/?metric=m&threshold=nan", "alert-rules/preview/?metric=m&unit=x",
    "alert-rules/preview/?metric=m&unit=99999999999999999999999", "alert-rules/preview/?metric=%7B%00", "nothing/",
    "alert-rules/preview/?metric=m&comparison=like", "tasks/nope/trigger/", "series/?metric=%00",
    "members/?role=king", "units/?cursor=cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ==",
    "assessments/?cursor=cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ==",
    "assessments/?from=9999-12-31T23:59:59-23:59", "assessments/?to=0001-01-01T00:00:00%2B23:59",
    "assessments/?from=1e300", "assessments/?from=2026-01-01T00:00:00", "assessments/?from=%00",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:60])
def test_no_address_makes_the_server_stumble(client: Client, headers: dict[str, str], query: str) -> None:
    """Parameters reach cursors, filters and the database; each of them has its own way to break."""
    answer = client.get(f"/api/v1/{query}", headers=headers)

    assert answer.status_code < 500, answer.content
    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["code"]


@pytest.mark.parametrize(
    ("address", "body", "field"),
    [
        ("/api/v1/units/", {"name": "x"}, "kind"),
        ("/api/v1/units/", {"kind": "host", "name": "x"}, "kind"),
        ("/api/v1/units/", {"kind": "http", "name": "x", "config": {}}, "config.url"),
        ("/api/v1/fleets/", {}, "url"),
        ("/api/v1/fleets/", {"url": "ftp://x"}, "url"),
        ("/api/v1/alert-rules/", {"name": "x", "metric": "m"}, "threshold"),
        ("/api/v1/alert-rules/", {"name": "x", "metric": "m", "threshold": 1, "severity": "loud"}, "severity"),
        ("/api/v1/alert-rules/", {"name": "x", "metric": "m", "threshold": 1, "for_seconds": -1}, "for_seconds"),
        ("/api/v1/tasks/diagnostics.echo/trigger/", {"arguments": {"text": 7}}, "arguments.text"),
        ("/api/v1/tasks/diagnostics.echo/trigger/", {"arguments": {"more": "x"}}, "arguments.more"),
        ("/api/v1/ingest/", {"samples": []}, "source"),
    ],
)
def test_a_mistake_names_the_field(
    client: Client, headers: dict[str, str], address: str, body: dict[str, Any], field: str
) -> None:
    """Who gets a 400 without a name has to guess."""
    answer = client.post(address, body, content_type="application/json", headers=headers)

    assert answer.status_code == 400
    assert field in [each["field"] for each in answer.json()["errors"]]


@pytest.mark.parametrize("address", ADDRESSES[:-1])
def test_a_large_body_is_refused(client: Client, headers: dict[str, str], address: str) -> None:
    """The limit holds before the body is in memory twice."""
    body = b'{"name": "' + b"x" * settings.INGEST_MAX_BYTES + b'"}'

    answer = client.post(address, body, content_type="application/json", headers=headers)

    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_only_json_is_read(client: Client, headers: dict[str, str], content_type: str) -> None:
    """A form would come with other rules about types and size."""
    answer = client.post("/api/v1/units/", b"name=x", content_type=content_type, headers=headers)

    assert answer.status_code == 415
    assert answer.json()["code"] == "unsupported_media_type"


def test_a_method_that_is_not_offered_is_a_problem_too(client: Client, headers: dict[str, str]) -> None:
    """Programs need one shape of error."""
    answer = client.put(f"/api/v1/units/{make_unit().pk}/", {}, content_type="application/json", headers=headers)

    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"


def test_too_many_requests_are_told_when_to_come_back(
    client: Client, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that is not told when hammers on."""
    monkeypatch.setattr("rest_framework.throttling.UserRateThrottle.THROTTLE_RATES", {"user": "1/min", "anon": "1/min"})
    client.get("/api/v1/me/", headers=headers)

    answer = client.get("/api/v1/me/", headers=headers)

    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert answer.json()["code"] == "throttled"


def test_a_mistake_of_ours_is_a_problem_without_details(
    client: Client, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback would tell an attacker what runs here."""
    monkeypatch.setattr("subsystems.health.queries.viability_body", lambda _: 1 / 0)
    client.raise_request_exception = False

    answer = client.get("/api/v1/viability/", headers=headers)

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert b"ZeroDivision" not in answer.content


def test_a_page_for_people_stays_a_page(client: Client) -> None:
    """Only programs want problem documents."""
    answer = client.get("/nowhere/")

    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")
