"""Silences, windows, targets, routing and the log over the API, and `/api/v2/alerts` as Prometheus uses it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from django.test import Client
from django.utils import timezone

from alerts.models import Alert
from alerts.notices import services
from alerts.notices.models import MaintenanceWindow, Notification, Silence, Target
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from tests.support.factories import bearer, make_system, make_token, make_user
from tests.support.waiting import wait_for

PROMETHEUS = shutil.which("prometheus")
pytestmark = pytest.mark.django_db
SCOPES = ["read", "operate", "admin", "ingest"]


@pytest.fixture
def system() -> System:
    return root_system()


@pytest.fixture
def headers(system: System) -> dict[str, str]:
    return bearer(make_token(SCOPES)[1])


def ask(client: Client, method: str, path: str, headers: dict[str, str], body: Any = None) -> Any:
    return getattr(client, method)(f"/api/v1/{path}", body, content_type="application/json", headers=headers)


def post_alerts(client: Client, headers: dict[str, str], body: Any) -> Any:
    return client.post("/api/v2/alerts", body, content_type="application/json", headers=headers)


def test_a_silence_is_previewed_made_listed_and_ended(client: Client, headers: dict[str, str]) -> None:
    """The whole life, with who and why."""
    post_alerts(client, headers, [{"labels": {"alertname": "Full", "disk": "sda"}}])
    seen = ask(client, "get", "silences/preview/?matchers=disk%3D%22sda%22", headers)
    ends = (timezone.now() + timedelta(hours=1)).isoformat()
    body = {"matchers": 'disk="sda"', "ends_at": ends, "comment": "being replaced"}
    made = ask(client, "post", "silences/", headers, body).json()
    listed = ask(client, "get", "silences/", headers).json()["results"]
    ended = [ask(client, "delete", f"silences/{made['id']}/", headers).status_code for _ in range(2)]

    assert (seen.json()["count"], seen.json()["hides_all"]) == (1, False)
    assert (made["state"], made["comment"], made["matchers"][0]["name"]) == ("active", "being replaced", "disk")
    assert [each["id"] for each in listed] == [made["id"]]
    assert ended == [204, 409]
    assert ask(client, "get", f"silences/{made['id']}/", headers).json()["state"] == "expired"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("silences/", {"matchers": "", "ends_at": "2036-01-01T00:00:00Z", "comment": "x"}, "matchers"),
        ("silences/", {"matchers": 'a="b"', "ends_at": "2036-01-01T00:00:00Z", "comment": "x"}, "ends_at"),
        ("silences/", {"matchers": 'a="b"', "ends_at": "1999-01-01T00:00:00Z", "comment": "x"}, "ends_at"),
        ("silences/", {"matchers": 'a="b"', "ends_at": "soon", "comment": "x"}, "ends_at"),
        ("silences/", {"matchers": {"a": 1}, "ends_at": "2036-01-01T00:00:00Z", "comment": "x"}, "matchers"),
        ("maintenance-windows/", {"name": "x", "starts_at": "2036-01-01T00:00:00Z", "duration_seconds": 60,
                                  "recurrence": "FREQ=SECONDLY"}, "recurrence"),
        ("maintenance-windows/", {"name": "x", "starts_at": "2036-01-01T00:00:00Z", "duration_seconds": 60,
                                  "time_zone": "Moon"}, "time_zone"),
        ("notification-targets/", {"name": "x", "kind": "pigeon", "settings": {}}, "kind"),
        ("notification-targets/", {"name": "x", "kind": "webhook", "settings": {"url": 7}}, "url"),
        ("notification-targets/", {"name": "x", "kind": "webhook", "settings": {}}, "url"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_by_its_field(
    client: Client, headers: dict[str, str], path: str, body: Any, field: str
) -> None:
    """A clear error, never a 500."""
    answer = ask(client, "post", path, headers, body)

    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["errors"]] == [field]


def test_a_window_is_planned_changed_and_deleted(client: Client, headers: dict[str, str]) -> None:
    """With when it is open next."""
    body = {"name": "Tuesdays", "starts_at": "2026-10-20T08:00:00Z", "duration_seconds": 7200,
            "recurrence": "FREQ=WEEKLY;BYDAY=TU", "time_zone": "Europe/Berlin"}  # fmt: skip
    made = ask(client, "post", "maintenance-windows/", headers, body).json()
    again = ask(client, "post", "maintenance-windows/", headers, body)
    off = ask(client, "patch", f"maintenance-windows/{made['id']}/", headers, {"enabled": False}).json()
    gone = ask(client, "delete", f"maintenance-windows/{made['id']}/", headers)

    assert made["next"] is not None
    assert (again.status_code, again.json()["errors"][0]["field"]) == (400, "name")
    assert (off["enabled"], off["recurrence"], gone.status_code) == (False, "FREQ=WEEKLY;BYDAY=TU", 204)
    assert not MaintenanceWindow.objects.exists()


def test_a_targets_secrets_go_in_and_never_come_out(client: Client, headers: dict[str, str]) -> None:
    """Not in the answer, not in the list, not in the browsable pages."""
    wanted = {"url": "https://example.org/hook", "secret": "hush-hush"}
    made = ask(client, "post", "notification-targets/", headers, {"name": "a", "kind": "webhook", "settings": wanted})
    path = f"notification-targets/{made.json()['id']}/"
    change = ask(client, "patch", path, headers, {"settings": {"url": "https://example.org/other"}})
    listed = ask(client, "get", "notification-targets/", headers)

    assert made.json()["secrets"] == change.json()["secrets"] == {"secret": "••••"}
    assert all("hush-hush" not in each.content.decode() for each in (made, change, listed))


def test_the_routing_is_written_and_tried(client: Client, headers: dict[str, str], system: System) -> None:
    """What would go where is seen before anything goes there."""
    Target.objects.create(system=system, name="ops", kind="webhook", config={"url": "https://x.org"})
    before = ask(client, "get", "notification-routing/", headers).json()
    document = {"route": {"receiver": "r", "routes": [{"matchers": ["a=~("]}]}, "receivers": []}
    refused = ask(client, "put", "notification-routing/", headers, {"document": document})
    document = {"route": {"receiver": "r", "group_by": ["a"]}, "receivers": [{"name": "r", "targets": ["ops"]}]}
    written = ask(client, "put", "notification-routing/", headers, {"document": document}).json()
    tried = ask(client, "post", "notification-routing/", headers, {"labels": {"a": "1", "b": "2"}}).json()

    assert (before["own"], before["version"]) == (False, 0)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "route.routes[0].matchers")
    assert (written["own"], written["version"]) == (True, 1)
    assert (tried[0]["targets"], tried[0]["group"]) == (["ops"], {"a": "1"})


def test_the_log_says_what_was_told_and_what_was_withheld(
    client: Client, headers: dict[str, str], system: System
) -> None:
    """By alert, by cause, by target."""
    Target.objects.create(system=system, name="ops", kind="webhook", config={"url": "https://x.org"})
    user = make_user(superuser=True)
    services.create_silence(system, user, 'n="b"', timezone.now() + timedelta(hours=1), "x", now=timezone.now())
    for name in "ab":
        post_alerts(client, headers, [{"labels": {"alertname": "x", "n": name, "severity": "critical"}}])
    services.turn(now=timezone.now())
    told, hidden = Alert.objects.get(labels__n="a"), Alert.objects.get(labels__n="b")

    sent = ask(client, "get", f"notifications/?alert={told.pk}&target=ops", headers).json()["results"]
    detail = ask(client, "get", f"notifications/{sent[0]['id']}/", headers).json()
    lines = ask(client, "get", f"notification-log/?alert={hidden.pk}", headers).json()["results"]

    assert (sent[0]["state"], sent[0]["reason"], sent[0]["firing"]) == ("waiting", "first", 1)
    assert detail["body"]["alerts"][0]["labels"]["n"] == "a"
    assert [(each["outcome"], each["cause"], each["detail"]) for each in lines] == [("withheld", "silence", "x")]


PATHS = ["silences", "maintenance-windows", "notification-targets", "notifications", "notification-log"]


@pytest.mark.parametrize("path", PATHS)
def test_a_tenant_sees_nothing_of_another(client: Client, system: System, path: str) -> None:
    """Neither whom they call nor what they hush."""
    theirs, now = make_system("theirs"), timezone.now()
    target = Target.objects.create(system=theirs, name="their-target", kind="webhook", config={"url": "https://x.org"})
    user = make_user(superuser=True)
    silence = services.create_silence(theirs, user, 'n="x"', now + timedelta(hours=1), "their-silence", now=now)
    services.save_window(
        MaintenanceWindow(system=theirs),
        user,
        name="their-window",
        matchers='n="x"',
        starts_at=now,
        duration_seconds=60,
    )
    client.post("/api/v2/alerts", [{"labels": {"alertname": "their-alert", "severity": "critical"}}],
                content_type="application/json", headers=bearer(make_token(["ingest"], system=theirs)[1]))  # fmt: skip
    services.turn(now=timezone.now())
    ours = make_system("ours")
    headers = bearer(make_token(SCOPES, system=ours)[1])

    listed = client.get(f"/api/v1/{path}/", headers=headers)

    assert (listed.status_code, listed.json()["results"]) == (200, [])
    for address in (f"silences/{silence.pk}/", f"notification-targets/{target.pk}/",
                    f"notifications/{Notification.objects.get().pk}/"):  # fmt: skip
        assert client.get(f"/api/v1/{address}", headers=headers).status_code == 404
    assert client.delete(f"/api/v1/silences/{silence.pk}/", headers=headers).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "scopes", "status"),
    [
        ("post", "silences/", ["read"], 403),
        ("post", "notification-targets/", ["read", "operate"], 403),
        ("put", "notification-routing/", ["read", "operate"], 403),
        ("get", "notification-targets/", ["ingest"], 403),
        ("get", "notifications/", ["ingest"], 403),
    ],
)
def test_each_verb_needs_its_scope(
    client: Client, system: System, method: str, path: str, scopes: list[str], status: int
) -> None:
    """Operators hush and plan; whom the platform talks to is for administrators."""
    headers = bearer(make_token(scopes)[1])

    assert ask(client, method, path, headers, {} if method != "get" else None).status_code == status


# --- /api/v2/alerts ---


def test_alerts_are_taken_one_by_one(client: Client, headers: dict[str, str]) -> None:
    """One bad alert of a batch takes no good one with it."""
    answer = post_alerts(client, headers, [{"labels": {"alertname": "x"}}, {"labels": {"a b": "c"}}])
    none = post_alerts(client, headers, [{"labels": {}}])
    listed = client.get("/api/v2/alerts", headers=headers).json()

    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert [(each["index"], each["field"]) for each in answer.json()["rejected"]] == [(1, "labels")]
    assert (none.status_code, none.json()["code"]) == (400, "invalid")
    assert [each["labels"]["alertname"] for each in listed] == ["x"]


@pytest.mark.parametrize(
    ("body", "type_", "status"),
    [
        pytest.param(b"{}", "application/json", 400, id="no list"),
        pytest.param(b"[", "application/json", 400, id="no JSON"),
        pytest.param(b"[]", "text/plain", 415, id="another type"),
        pytest.param(b"[" + b" " * 5_100_000 + b"]", "application/json", 413, id="too large"),
        pytest.param(b'[{"labels": {"a": "\\ud800"}}]', "application/json", 400, id="half a character"),
        pytest.param(b"[]", "application/json", 200, id="none at all"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    client: Client, headers: dict[str, str], body: bytes, type_: str, status: int
) -> None:
    """With a reason, and never a 500."""
    assert client.post("/api/v2/alerts", body, content_type=type_, headers=headers).status_code == status


@pytest.mark.parametrize(("scopes", "status"), [(None, 401), (["read", "operate"], 403)])
def test_only_a_token_that_may_push_posts_alerts(
    client: Client, system: System, scopes: list[str] | None, status: int
) -> None:
    """A session is no way in, either."""
    client.force_login(make_user(superuser=True))
    headers = bearer(make_token(scopes)[1]) if scopes else {}

    assert post_alerts(client, headers, [{"labels": {"a": "b"}}]).status_code == status
    assert not Alert.objects.exists()


CONFIGURATION = """
global: {{evaluation_interval: 1s}}
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - authorization: {{credentials: {secret}}}
      static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
RULES = """
groups:
  - name: g
    rules:
      - alert: AlwaysFiring
        expr: vector(1)
        labels: {severity: critical, team: db}
        annotations: {summary: "It is {{ $value }}"}
"""


@pytest.mark.embedded
@pytest.mark.skipif(PROMETHEUS is None, reason="needs Prometheus (Debian: prometheus)")
@pytest.mark.django_db(transaction=True)
def test_a_real_prometheus_sends_its_alerts_here(tmp_path: Path) -> None:
    """One line of its configuration is all that has to change. It takes seconds: Prometheus has its own clock."""
    from vsm_site.asgi import application

    _, secret = make_token(["ingest"], system=root_system())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listening = probe.getsockname()[1]
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        port = ours.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [ours]})
        thread.start()
        (tmp_path / "rules.yml").write_text(RULES)
        (tmp_path / "prometheus.yml").write_text(CONFIGURATION.format(secret=secret, port=port))
        prometheus = subprocess.Popen(
            [str(PROMETHEUS), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
             f"--web.listen-address=127.0.0.1:{listening}", "--log.level=error",
             "--rules.alert.resend-delay=1s"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(lambda: Alert.objects.filter(type="external").exists(), seconds=30)
        finally:
            prometheus.terminate()
            prometheus.wait(10)
            server.should_exit = True
            thread.join(10)

    alert = Alert.objects.get()
    assert (alert.state, alert.severity, alert.title) == ("firing", "critical", "It is 1")
    assert alert.labels == {"alertname": "AlwaysFiring", "severity": "critical", "team": "db", "system": "main"}
    assert time.time() - alert.fired_at.timestamp() < 60
    assert Silence.objects.count() == 0
