"""Exporting: real receivers get what `/metrics` shows, and a target that fails costs itself alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from subsystems.health.models import Assessment
from subsystems.kernel.errors import Invalid
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services as operations
from subsystems.telemetry import queries
from subsystems.telemetry.families import single
from subsystems.telemetry.models import ExportTarget
from tests.support.factories import make_system, make_token, make_user
from tests.support.serving import serving
from tests.support.waiting import wait_for
from vsm_site.doors import DOORS
from vsm_site.exporters import services
from vsm_site.exposition.collecting import families
from vsm_site.ingest_asgi import IngestDoors
from vsm_site.statsd_server import StatsdServer

pytestmark = pytest.mark.django_db(transaction=True)
SLOT = datetime.fromtimestamp(1_795_165_200, UTC)  # a multiple of every period


@pytest.fixture(autouse=True)
def _inside_is_allowed(settings: Any) -> None:
    settings.HTTP_ALLOW = ["127.0.0.1"]


@pytest.fixture(autouse=True)
def _assessed() -> None:
    operations._agents.clear()
    now = timezone.now()
    Assessment.objects.create(
        system=root_system(), slot=int(now.timestamp()), assessed_at=now, score=0.75, status="normal", subsystems={}
    )


class Receiver:
    """An HTTP server that counts what comes, answers with the statuses it is told, and passes the rest to our doors."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.requests = 0
        self._doors = IngestDoors(self._nothing, DOORS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests += 1
        if self.statuses:
            await send({"type": "http.response.start", "status": self.statuses.pop(0), "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._doors(scope, receive, send)

    async def _nothing(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def url(receiver: Receiver) -> Iterator[str]:
    with serving(receiver) as address:
        yield address


def target(kind: str, address: str, headers: str = "", **fields: Any) -> ExportTarget:
    made = ExportTarget(name=kind, kind=kind, address=address, **{"prefixes": "vsm_viability", **fields})
    services.check_target(made, headers)
    made.save()
    return made


def kept(source: str) -> dict[str, float]:
    return {name: value for name, (_, value) in queries.latest(root_system().pk).get(source, {}).items()}


@pytest.mark.parametrize(
    ("kind", "source"), [("otlp", "vsm"), ("remote_write", "prometheus")], ids=["OTLP", "remote write"]
)
def test_what_metrics_shows_arrives_over_http(url: str, kind: str, source: str) -> None:
    """Read back through the very door that others use; the token went along, encrypted where it is stored."""
    secret = make_token(["ingest"])[1]
    made = target(kind, url, f"Authorization: Bearer {secret}")

    services.export_due(now=timezone.now())

    made.refresh_from_db()
    assert kept(source) == {'vsm_viability_score{system="main"}': 0.75}
    assert (made.sent_samples, made.dropped_samples, made.failures, made.last_error) == (1, 0, 0, "")
    assert secret not in made.headers_sealed
    assert made.header_names == "Authorization: ••••"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("statsd", "vsm_viability_score.main"), ("dogstatsd", 'vsm_viability_score{system="main"}')],
)
def test_what_metrics_shows_arrives_as_packets(kind: str, name: str) -> None:
    """A real StatsD server on a real socket reads it."""
    server = StatsdServer("127.0.0.1", 0, flush_seconds=0.05)
    server.start()
    try:
        target(kind, f"127.0.0.1:{server.port}")
        services.export_due(now=timezone.now())
        wait_for(lambda: kept("statsd").get(name) == 0.75)
    finally:
        server.stop()


def test_everything_that_is_shown_can_be_sent(url: str) -> None:
    """Every family, the platform's own health included."""
    secret = make_token(["ingest"])[1]
    for kind in ("otlp", "remote_write"):
        target(kind, url, f"Authorization: Bearer {secret}", prefixes="")

    services.export_due(now=timezone.now())

    sent = dict(ExportTarget.objects.values_list("name", "sent_samples"))
    assert sent["otlp"] == sent["remote_write"] > 30
    assert not ExportTarget.objects.exclude(last_error="").exists()
    assert kept("vsm").keys() == kept("prometheus").keys()


def test_a_slot_is_exported_once(url: str, receiver: Receiver) -> None:
    """Two beats, or a task that comes twice, send once; each target in its own period."""
    target("otlp", url, period_seconds=20)
    receiver.statuses = [200] * 9

    due = [services.export_due(now=SLOT + timedelta(seconds=second)) for second in (0, 1, 10, 20)]

    assert due == [1, 0, 0, 1]
    assert receiver.requests == 2


def test_a_busy_receiver_is_asked_once_more(url: str, receiver: Receiver) -> None:
    """A moment's weakness loses nothing."""
    made = target("otlp", url)
    receiver.statuses = [503, 200]

    services.export_due(now=timezone.now())

    made.refresh_from_db()
    assert (made.sent_samples, made.dropped_samples, made.failures) == (1, 0, 0)


def test_what_will_never_be_taken_is_dropped_and_counted(url: str, receiver: Receiver) -> None:
    """A wrong token is not tried twice, and what it loses is known on `/metrics`."""
    made = target("otlp", url)

    services.export_due(now=timezone.now())

    made.refresh_from_db()
    assert receiver.requests == 1
    assert (made.sent_samples, made.dropped_samples, made.last_error) == (0, 1, "answered with status 401")
    shown = {
        (family.name, *values): number
        for family in families([root_system()], now=timezone.now().timestamp())
        for values, number in family.rows
    }
    assert shown["vsm_self_export_samples", "otlp", "dropped"] == 1
    assert shown["vsm_self_export_failures", "otlp"] == 1


def test_a_target_that_keeps_failing_rests_and_the_others_go_on(url: str, receiver: Receiver) -> None:
    """Nobody hammers on what is down; it is tried again by itself, later each time."""
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        down = target("remote_write", f"http://127.0.0.1:{nobody.getsockname()[1]}")
    up = target("otlp", url)
    receiver.statuses = [200] * 99
    moments = [SLOT + timedelta(seconds=10 * slot) for slot in range(8)]

    tried = [services.export_due(now=moment) for moment in moments]

    down.refresh_from_db()
    up.refresh_from_db()
    assert tried == [2, 2, 2, 1, 1, 2, 1, 1]  # 30 s of rest after the third failure, then a minute
    assert (down.failures, up.failures, up.sent_samples) == (4, 0, 8)
    assert down.retry_at == moments[5] + timedelta(seconds=60)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/", "http://[::1]:9/", "http://10.0.0.1/", "http://[::ffff:127.0.0.1]/"]
)
def test_inside_addresses_need_the_administrators_word(settings: Any, address: str) -> None:
    """A form in the admin must not become a way to our own network."""
    settings.HTTP_ALLOW = []

    with pytest.raises(Invalid) as refused:
        target("otlp", address)

    assert refused.value.field == "address"


def test_a_name_that_leads_inside_is_refused_when_it_is_used(settings: Any, url: str, receiver: Receiver) -> None:
    """What a name means can change after it was entered."""
    settings.HTTP_ALLOW = []
    made = target("otlp", url.replace("127.0.0.1", "localhost"))

    services.export_due(now=timezone.now())

    made.refresh_from_db()
    assert receiver.requests == 0
    assert "localhost is an internal address" in made.last_error


@pytest.mark.parametrize(
    ("fields", "headers", "field"),
    [
        pytest.param({"kind": "otlp", "address": "ftp://example.org/"}, "", "address", id="another scheme"),
        pytest.param({"kind": "otlp", "address": "https://u:p@example.org/"}, "", "address", id="a password"),
        pytest.param({"kind": "otlp", "address": "https://example.org:99999/"}, "", "address", id="no port"),
        pytest.param({"kind": "otlp", "address": "https://example.org/a b"}, "", "address", id="a blank"),
        pytest.param({"kind": "statsd", "address": "https://example.org/"}, "", "address", id="HTTP for StatsD"),
        pytest.param({"kind": "otlp", "address": "https://example.org/"}, "no header", "headers", id="no header"),
        pytest.param({"kind": "otlp", "address": "https://example.org/"}, "Host: x", "headers", id="ours"),
        pytest.param({"kind": "otlp", "address": "https://example.org/"}, "A: b\x00", "headers", id="a control"),
    ],
)
def test_a_target_that_cannot_work_is_refused_by_its_field(fields: dict[str, str], headers: str, field: str) -> None:
    """At the door, not in a log ten seconds later; and no header can smuggle another request in."""
    with pytest.raises(Invalid) as refused:
        services.check_target(ExportTarget(name="x", **fields), headers)

    assert refused.value.field == field
    assert headers == "" or "b\x00" not in refused.value.detail


def test_a_system_of_its_own_sends_its_own(url: str) -> None:
    """What is exported for one system says nothing of another, nor of the platform."""
    acme = make_system("acme")
    Assessment.objects.create(
        system=acme, slot=1, assessed_at=timezone.now(), score=0.5, status="normal", subsystems={}
    )
    target("remote_write", url, f"Authorization: Bearer {make_token(['ingest'])[1]}", system=acme, prefixes="vsm_")

    services.export_due(now=timezone.now())

    assert {name for name in kept("prometheus") if "main" in name or "vsm_self_outbox" in name} == set()
    assert kept("prometheus")['vsm_viability_score{system="acme"}'] == 0.5


def test_what_is_too_much_for_one_export_is_cut_and_counted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A target is bounded in what it costs."""
    monkeypatch.setattr("subsystems.telemetry.exporters.payloads.MAX_SAMPLES", 2)
    monkeypatch.setattr(services, "families", lambda *_, **__: [single(name, "Some.", 1.0) for name in ("a", "b", "c")])
    made = target("otlp", url, f"Authorization: Bearer {make_token(['ingest'])[1]}", prefixes="")

    services.export_due(now=timezone.now())

    made.refresh_from_db()
    assert (made.sent_samples, made.dropped_samples) == (2, 1)


def test_a_person_enters_a_target_and_never_sees_its_secret_again(client: Client) -> None:
    """Given, changed elsewhere without being lost, and forgotten; the page shows names alone."""
    client.force_login(make_user(superuser=True), backend="vsm_site.dashboard.people.PeopleBackend")
    form = {
        "name": "collector",
        "kind": "otlp",
        "address": "https://example.org",
        "period_seconds": 30,
        "enabled": "on",
    }

    first = client.post("/admin/telemetry/exporttarget/add/", {**form, "headers": "Api-Key: hush-hush"})
    made = ExportTarget.objects.get()
    sealed = made.headers_sealed
    page = client.get(f"/admin/telemetry/exporttarget/{made.pk}/change/").content.decode()
    client.post(f"/admin/telemetry/exporttarget/{made.pk}/change/", {**form, "period_seconds": 10})
    made.refresh_from_db()

    assert first.status_code == 302
    assert "hush-hush" not in page
    assert "hush-hush" not in sealed
    assert "Api-Key: ••••" in page
    assert (made.headers_sealed, made.period_seconds) == (sealed, 10)
    client.post(f"/admin/telemetry/exporttarget/{made.pk}/change/", {**form, "no_headers": "on"})
    made.refresh_from_db()
    assert (made.headers_sealed, made.header_names) == ("", "")


def test_the_form_names_the_field_at_fault(client: Client) -> None:
    """An address that cannot work comes back with its reason."""
    client.force_login(make_user(superuser=True), backend="vsm_site.dashboard.people.PeopleBackend")
    form = {"name": "collector", "kind": "otlp", "address": "https://", "period_seconds": 30}

    answer = client.post("/admin/telemetry/exporttarget/add/", form)

    assert b"looks like https://host:port/v1/metrics" in answer.content
    assert not ExportTarget.objects.exists()
