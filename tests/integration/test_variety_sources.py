"""Where states come from: requests, tasks, spans, decisions and the client."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from alerts import services as alert_services
from alerts.models import Alert, AlertRule
from subsystems.fleets import services as fleets
from subsystems.fleets.events import Event
from subsystems.fleets.folding import Folder
from subsystems.fleets.listening import Heard
from subsystems.fleets.masking import masking
from subsystems.fleets.tally import Report
from subsystems.kernel.telemetry_events import span
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services as s1
from subsystems.s1_operations.models import Fleet
from subsystems.telemetry.store import hot_tier
from subsystems.variety import batches, gathering
from subsystems.variety.models import Batch
from tests.support.factories import make_unit, make_user

pytestmark = pytest.mark.django_db
HOST = socket.gethostname()


def noted() -> tuple[dict[tuple[str, str], Any], set[tuple[str, str, str]]]:
    """Return what was noted: operations by unit and name, and states."""
    gathering.flush()
    kept = [batches.decode(bytes(row.body)) for row in Batch.objects.all()]
    operations = {(each.unit, each.ended.operation): each.ended for one in kept for each in one.operations}
    return operations, {(unit, side, name) for one in kept for unit, side, _, name, _ in one.states}


def outcomes(ended: Any) -> dict[str, int]:
    return {outcome: n for _, outcome, n in ended.ends}


def test_requests_are_operations_of_this_host_by_their_route(client: Client) -> None:
    """Not by their address: strangers may ask for any."""
    client.force_login(make_user(superuser=True))
    unit = make_unit()
    client.get(f"/api/v1/units/{unit.pk}/")
    client.get("/api/v1/units/999999/")
    client.get("/no/such/address")

    operations, _ = noted()

    assert outcomes(operations[HOST, "GET /api/v1/units/<int:pk>/"]) == {"ok": 2}
    assert outcomes(operations[HOST, "GET (no such address)"]) == {"ok": 1}


def test_a_request_that_the_platform_got_wrong_is_a_failure(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is an answer; this is none."""
    monkeypatch.setattr("vsm_site.probes.connection", None, raising=False)
    monkeypatch.setattr("vsm_site.api.views.variety.queries.variety_body", lambda system: 1 / 0)
    client.force_login(make_user(superuser=True))
    root_system()
    client.raise_request_exception = False

    client.get("/api/v1/variety/now/")

    assert outcomes(noted()[0][HOST, "GET /api/v1/variety/now/"]) == {"status 500": 1}


def test_events_of_a_task_are_asked_answered_and_decided() -> None:
    """Under the name of the worker's unit."""
    system = root_system()
    fleet = Fleet.objects.create(system=system, name="shop")
    folder = Folder(masking((), ("mail.*",)))
    at = time.time()
    common = {"hostname": "w1@host", "timestamp": at}
    for uuid, last in (("1", "task-failed"), ("2", "task-revoked")):
        folder.fold(Event("task-received", uuid=uuid, name="mail.send", **common))
        folder.fold(Event(last, uuid=uuid, exception="ValueError('no')", **common))
    heard = Heard(folder.take(), None, Report())

    for _ in range(2):  # a broker says again what it has no receipt for
        fleets.keep(fleet, heard, now=timezone.now())

    operations, states = noted()

    ended = operations["shop/w1@host", "mail.send"]
    assert outcomes(ended) == {"ValueError": 1, "revoked": 1}
    assert "ValueError(•••)" in [words for _, words in ended.errors]  # its fleet's rules hide what it says
    assert states == {
        ("shop/w1@host", "environment", "mail.send"), ("shop/w1@host", "management", "revoke"),
    }  # fmt: skip


def test_spans_of_projects_are_operations_of_their_unit() -> None:
    """000-5, 000-6: `vsm.s1.operation` is told by whoever does one."""
    with span("vsm.s1.operation", {"unit_id": "billing", "operation": "charge"}):
        pass
    with (
        pytest.raises(ValueError, match="no"),
        span("vsm.s1.operation", {"unit_id": "billing", "operation": "charge"}),
    ):
        raise ValueError("no")

    ended = noted()[0]["billing", "charge"]

    assert outcomes(ended) == {"ok": 1, "ValueError": 1}
    assert [words for _, words in ended.errors] == ["ValueError: no"]


def test_what_people_decide_is_management(django_capture_on_commit_callbacks: Any) -> None:
    """Pausing a unit, acknowledging its alert."""
    user, unit = make_user(role="operator"), make_unit("shop")
    rule = AlertRule.objects.create(system=root_system(), name="r", metric="m", threshold=1)
    alert = Alert.objects.create(
        system=root_system(), rule=rule, unit=unit, type="rule", title="t", subject="s", fingerprint="f",
        severity="critical", state="firing",
    )  # fmt: skip

    with django_capture_on_commit_callbacks(execute=True):
        s1.pause_unit(unit)
        s1.resume_unit(unit)
        alert_services.acknowledge(alert, user)

    assert noted()[1] == {("shop", "management", name) for name in ("pause", "resume", "acknowledge alert")}


def test_notes_that_find_no_room_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away must not fill the memory."""
    monkeypatch.setattr(gathering, "MAX_WAITING", 3)
    for _ in range(5):
        gathering.operation_ended("shop", "charge")

    assert outcomes(noted()[0]["shop", "charge"]) == {"ok": 3}
    assert hot_tier().counters()["dropped_operations"] == 2


def test_names_that_no_table_holds_are_made_fit() -> None:
    """Task names come from other people's applications."""
    gathering.operation_ended("shop", "a\nb" + "x" * 300, outcome="\0", words="y" * 1_000)

    ((_, ended),) = noted()[0].items()

    assert ended.operation.startswith("abxxx")
    assert len(ended.operation) <= 200
    assert json.dumps(outcomes(ended)) == '{"failed": 1}'
