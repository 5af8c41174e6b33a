"""Scanning sources outside: claimed once, guarded, told, and for one's own systems alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from subsystems.event_log.models import PendingEvent
from subsystems.health.queries import measure
from subsystems.kernel.errors import Invalid
from subsystems.kernel.words import Subsystem
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s4_intelligence import projecting, queries, scanning
from subsystems.s4_intelligence.models import Source, Threat
from subsystems.telemetry.queries import latest
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.support.factories import bearer, make_system, make_token, make_user
from tests.support.serving import serving

pytestmark = pytest.mark.django_db
SLOT = 1_790_000_400
NOW = datetime.fromtimestamp(SLOT, UTC)


@pytest.fixture(autouse=True)
def _empty_tier() -> None:
    hot_tier().clear()


@pytest.fixture
def page(settings: Settings) -> Iterator[str]:
    """A page on this machine, which the administrator allows: a number at /json, else not found."""
    settings.HTTP_ALLOW = ["127.0.0.1"]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status = 200 if scope["path"] == "/json" else 404
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b'{"a": 42}'})

    with serving(app) as address:
        yield address


def source(system: System | None = None, **fields: Any) -> Source:
    given = {"name": "supplier", "every_seconds": 60, **fields}
    return scanning.save_source(Source(system=system or root_system()), make_user(), now=NOW, **given)


def test_pages_are_asked_once_and_kept_as_samples(page: str) -> None:
    """A second worker finds nothing due; what fails is told, and is a threat when it fails again."""
    good = source(kind="http", address=f"{page}/json", pointer="/a")
    bad = source(name="gone", kind="http", address=f"{page}/none")

    assert (scanning.scan(now=NOW), scanning.scan(now=NOW)) == (2, 0)

    good.refresh_from_db()
    bad.refresh_from_db()
    assert (good.last_ok, good.last_value, good.last_scanned_at, good.next_due_at) == (True, 42.0, SLOT, SLOT + 60)
    assert (bad.last_ok, bad.last_error, bad.failures) == (False, "answered with status 404", 1)
    told = PendingEvent.objects.filter(type__startswith="EnvironmentS")
    assert [json.loads(event.data)["source"] for event in told] == ["gone"]
    kept = latest(good.system_id)[good.system.slug]
    assert kept['environment_value{source="supplier"}'] == (SLOT, 42.0)
    assert kept['environment_ok{source="gone"}'] == (SLOT, 0.0)

    assert scanning.scan(now=NOW + timedelta(seconds=60)) == 2
    projecting.project(good.system, SLOT + 60)
    threat = Threat.objects.get(kind="source")
    assert (threat.subject, threat.evidence["failures"]) == ("gone", 2)
    assert PendingEvent.objects.filter(type="EnvironmentSourceFailed").count() == 1


def test_an_internal_address_is_refused_twice(settings: Settings) -> None:
    """When it is typed in, and when a name that was typed in leads inside."""
    settings.HTTP_ALLOW = []
    with pytest.raises(Invalid, match="internal address") as refused:
        source(kind="http", address="http://169.254.169.254/latest")
    assert refused.value.field == "address"

    made = source(kind="http", address="http://localhost:1/")
    scanning.scan(now=NOW)

    made.refresh_from_db()
    assert "localhost is an internal address" in made.last_error


def test_what_is_known_already_is_not_asked_again() -> None:
    """A metric by its newest value, a broker by what the collection heard, the platform by itself."""
    root = root_system()
    Fleet.objects.create(system=root, name="shop", connected_at=NOW - timedelta(seconds=4))
    record({"web-1": [Sample("cpu_ratio", SLOT - 10, 0.5, {"core": "1"})]}, system_id=root.pk, now=SLOT)
    wanted = {
        "cpu": {"kind": "metric", "metric": "cpu_ratio"},
        "missing": {"kind": "metric", "metric": "cpu_ratio", "metric_source": "web-2"},
        "broker": {"kind": "broker", "address": "shop"},
        "database": {"kind": "dependency", "address": "database"},
        "layer": {"kind": "dependency", "address": "channel_layer"},
    }
    for name, fields in wanted.items():
        source(name=name, **fields)

    assert scanning.scan_slot(now=NOW) == 5
    assert scanning.scan_slot(now=NOW) == 0

    seen = {row.name: (row.last_ok, row.last_value) for row in Source.objects.all()}
    assert seen == {
        "cpu": (True, 0.5), "missing": (False, None), "broker": (True, 4.0), "database": (True, None),
        "layer": (True, None),
    }  # fmt: skip


def test_awareness_reaches_the_score_of_s4() -> None:
    """Scanned in time is heard; a source that waits for its first scan is not; a paused one does not count."""
    system = make_system("mine")
    assert measure(system, now=NOW).vitals[Subsystem.S4].score is None
    source(system, name="a", kind="metric", metric="cpu_ratio")
    source(system, name="off", kind="metric", metric="cpu_ratio", enabled=False)
    scanning.scan(now=NOW)
    source(system, name="b", kind="metric", metric="cpu_ratio")

    vital = measure(system, now=NOW).vitals[Subsystem.S4]

    assert (vital.score, vital.measures["sources"], vital.measures["heard"]) == (0.5, 2, 1)
    assert queries.awareness(system, now=NOW + timedelta(seconds=121)).scanned == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "http", "address": "ftp://example.com"}, "address"),
        ({"kind": "http", "address": "https://me:secret@example.com"}, "address"),
        ({"kind": "http", "address": "https://example.com", "pointer": "a"}, "pointer"),
        ({"kind": "metric"}, "metric"),
        ({"kind": "broker", "address": "nobody"}, "address"),
        ({"kind": "dependency", "address": "database"}, "kind"),
        ({"kind": "odd"}, "kind"),
        ({"kind": "metric", "metric": "m", "every_seconds": 29}, "every_seconds"),
        ({"kind": "metric", "metric": "m", "timeout_seconds": 11}, "timeout_seconds"),
        ({"kind": "metric", "metric": "m", "name": " "}, "name"),
    ],
)
def test_what_cannot_be_scanned_is_refused_by_field(fields: dict[str, Any], field: str) -> None:
    """Also what the platform stands on, which is not a tenant's business."""
    with pytest.raises(Invalid) as refused:
        source(make_system("mine"), **fields)

    assert refused.value.field == field
    assert not Source.objects.exists()


class TestDoors:
    """The API and the page, each for one's own systems alone."""

    def test_sources_come_and_go_over_the_api(self, client: Client) -> None:
        """By whoever may operate the system; a reader may look."""
        mine = make_system("mine")
        _, secret = make_token(system=mine, scopes=["read", "operate"])
        _, reading = make_token(system=mine, scopes=["read"])
        body = {"name": "cpu", "kind": "metric", "metric": "cpu_ratio"}
        said: dict[str, Any] = {"content_type": "application/json"}

        assert client.post("/api/v1/environment-sources/", body, headers=bearer(reading), **said).status_code == 403
        made = client.post("/api/v1/environment-sources/", body, headers=bearer(secret), **said)
        assert (made.status_code, made.json()["last_ok"], made.json()["system"]) == (201, None, "mine")
        again = client.post("/api/v1/environment-sources/", body, headers=bearer(secret), **said)
        assert (again.status_code, "name" in again.content.decode()) == (400, True)
        path = f"/api/v1/environment-sources/{made.json()['id']}/"
        assert client.patch(path, {"every_seconds": 5}, headers=bearer(secret), **said).status_code == 400
        changed = client.patch(path, {"every_seconds": 90}, headers=bearer(secret), **said)
        assert changed.json()["every_seconds"] == 90
        assert client.get(path, headers=bearer(reading)).status_code == 200
        assert client.delete(path, headers=bearer(secret)).status_code == 204

    def test_a_neighbour_sees_and_changes_nothing(self, client: Client) -> None:
        """Neither by the API nor on the page."""
        theirs = source(make_system("other"), name="neighbour", kind="metric", metric="cpu_ratio")
        mine = make_system("mine")
        _, secret = make_token(system=mine, scopes=["read", "operate"])
        path = f"/api/v1/environment-sources/{theirs.pk}/"

        assert client.get("/api/v1/environment-sources/", headers=bearer(secret)).json()["results"] == []
        assert client.get(path, headers=bearer(secret)).status_code == 404
        assert client.delete(path, headers=bearer(secret)).status_code == 404
        client.force_login(make_user(role="operator", system=mine))
        assert client.post(f"/dashboard/intelligence/sources/{theirs.pk}/delete/").status_code == 404
        assert b"neighbour" not in client.get("/dashboard/intelligence/").content
        assert Source.objects.count() == 1

    def test_the_page_adds_shows_and_deletes(self, client: Client) -> None:
        """A mistake is shown at its field; a reader has no form."""
        mine = make_system("mine")
        client.force_login(make_user(role="operator", system=mine))
        given = {"name": "cpu", "kind": "metric", "every_seconds": "1m", "timeout_seconds": "5"}

        wrong = client.post("/dashboard/intelligence/", given)
        assert (wrong.status_code, b"Say which metric." in wrong.content) == (400, True)
        assert client.post("/dashboard/intelligence/", {**given, "metric": "cpu_ratio"}).status_code == 302
        assert b"not scanned yet" in client.get("/dashboard/intelligence/").content

        client.force_login(make_user("reader", role="viewer", system=mine))
        assert client.post("/dashboard/intelligence/", {**given, "metric": "cpu_ratio"}).status_code == 403
        assert b"Add a source" not in client.get("/dashboard/intelligence/").content

        client.force_login(make_user("second", role="operator", system=mine))
        made = Source.objects.get()
        assert client.post(f"/dashboard/intelligence/sources/{made.pk}/delete/").status_code == 302
        assert not Source.objects.exists()
