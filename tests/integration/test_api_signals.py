"""Signals over HTTP: raised, listed, answered, and where one would go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from subsystems.algedonic import canary
from subsystems.algedonic.models import Signal
from subsystems.algedonic.services import raise_signal
from subsystems.messaging import fast_lane
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from tests.support.factories import bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db
URL = "/api/v1/signals/"


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_lane.Lane, "offer", lambda *_: None)


@pytest.fixture
def system() -> System:
    return root_system()


@pytest.fixture
def headers(system: System) -> dict[str, str]:
    """What an operator of the root system sends."""
    user = make_user("ada", role="operator")
    return bearer(make_token(["read", "operate"], user=user)[1])


def post(client: Client, address: str, headers: dict[str, str], **body: Any) -> Any:
    return client.post(f"{URL}{address}", body, content_type="application/json", headers=headers)


def pain(severity: str = "critical", **fields: Any) -> Signal:
    signal = raise_signal(type="pain", source=fields.pop("source", "pump"), severity=severity, **fields)
    assert signal is not None
    return signal


def test_an_operator_raises_a_signal(client: Client, headers: dict[str, str]) -> None:
    """As the party that people are, unless they speak for another."""
    answer = post(client, "", headers, type="pain", severity="emergency", source="hall 3", data={"smoke": True})

    body = answer.json()
    assert answer.status_code == 201
    assert (body["severity"], body["origin"], body["state"], body["data"]) == (
        "critical", "operator", "received", {"smoke": True},
    )  # fmt: skip
    assert [route["party"] for route in body["route"]] == ["s5"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "joy"}, "type"),
        ({"severity": "loud"}, "severity"),
        ({"intensity": 1.5}, "intensity"),
        ({"intensity": "nan"}, "intensity"),
        ({"source": ""}, "source"),
        ({"source": "x" * 201}, "source"),
        ({"source": "a\nb"}, "source"),
        ({"data": "x"}, "data"),
        ({"origin": "s5"}, "origin"),
        ({"origin": "platform"}, "origin"),
        ({"system": "nowhere"}, "system"),
        ({"description": "x" * 2001}, "description"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_input_is_refused_at_its_field(
    client: Client, headers: dict[str, str], body: dict[str, Any], field: str
) -> None:
    """Never a 500."""
    answer = post(client, "", headers, **{"type": "pain", "source": "pump", **body})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


def test_what_is_too_faint_is_said_so(client: Client, headers: dict[str, str]) -> None:
    """Silence would look like success."""
    answer = post(client, "", headers, type="pain", source="pump", intensity=0.3)

    assert (answer.status_code, answer.json()["code"]) == (409, "too_faint")


def test_a_limit_answers_when_to_come_back(client: Client, headers: dict[str, str]) -> None:
    """Critical meets none."""
    for _ in range(5):
        post(client, "", headers, type="pain", source="pump", severity="medium")

    refused = post(client, "", headers, type="pain", source="pump", severity="medium")
    critical = post(client, "", headers, type="pain", source="pump", severity="critical")

    assert (refused.status_code, refused.json()["layer"]) == (429, "severity")
    assert "Retry-After" in refused.headers
    assert critical.status_code == 201


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("severity=critical", ["a"]),
        ("severity=critical&severity=low", ["a", "b"]),
        ("source=b", ["b"]),
        ("type=pleasure", []),
        ("state=received&limit=1", ["a"]),
        ("open=false", []),
        ("system=main", ["a", "b"]),
    ],
)
def test_lists_are_cut_down(client: Client, headers: dict[str, str], query: str, expected: list[str]) -> None:
    """The newest first."""
    now = timezone.now()
    pain("low", source="b", at=now - timedelta(minutes=9))
    pain("critical", source="a", at=now)

    rows = client.get(f"{URL}?{query}", headers=headers).json()["results"]

    assert [row["source"] for row in rows] == expected


def test_since_leaves_older_ones_out(client: Client, headers: dict[str, str]) -> None:
    """And a time that is none is a 400."""
    pain(at=timezone.now() - timedelta(hours=2))
    since = (timezone.now() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    assert client.get(URL, {"since": since}, headers=headers).json()["results"] == []
    assert client.get(URL, {"since": "yesterday"}, headers=headers).status_code == 400


def test_a_signal_lives_through_its_states(client: Client, headers: dict[str, str]) -> None:
    """And what is over stays over."""
    key = pain().pk

    states = [post(client, f"{key}/{verb}/", headers).json()["state"] for verb in ("acknowledge", "respond", "resolve")]
    again = post(client, f"{key}/false-alarm/", headers)
    notes = client.get(f"{URL}{key}/", headers=headers).json()["notes"]

    assert states == ["investigating", "responding", "resolved"]
    assert (again.status_code, again.json()["code"]) == (409, "not_open")
    assert [note["by"] for note in notes] == ["ada"] * 3


@pytest.mark.parametrize("key", ["0" * 32, "nonsense", "%00", "a" * 400])
def test_a_signal_that_does_not_exist_is_a_404(client: Client, headers: dict[str, str], key: str) -> None:
    """Whatever the address holds."""
    assert client.get(f"{URL}{key}/", headers=headers).status_code == 404


def test_signals_of_another_tenant_do_not_exist(client: Client) -> None:
    """Neither in the list, nor by id, nor to act on, nor to raise there."""
    other, mine = make_system("other"), make_system("mine")
    signal = pain(system_id=other.pk)
    headers = bearer(make_token(["read", "operate"], user=make_user(role="operator", system=mine))[1])

    assert client.get(URL, headers=headers).json()["results"] == []
    assert client.get(f"{URL}{signal.pk}/", headers=headers).status_code == 404
    assert post(client, f"{signal.pk}/resolve/", headers).status_code == 404
    assert post(client, "", headers, type="pain", source="x", system="other").status_code == 400
    assert post(client, "dry-run/", headers, type="pain", system="other").status_code == 400


def test_a_viewer_sees_and_does_not_act(client: Client, system: System) -> None:
    """403, for it exists."""
    signal = pain()
    headers = bearer(make_token(["read"], user=make_user(role="viewer"))[1])

    assert client.get(f"{URL}{signal.pk}/", headers=headers).status_code == 200
    assert post(client, f"{signal.pk}/acknowledge/", headers).status_code == 403
    assert post(client, "", headers, type="pain", source="x").status_code == 403


def test_a_dry_run_tells_where_a_signal_would_go(client: Client, headers: dict[str, str]) -> None:
    """Without raising it."""
    body = post(client, "dry-run/", headers, type="pain", severity="high").json()

    assert not Signal.objects.exists()
    assert (body["recipients"], body["queue"], body["priority"]) == (["s4", "s5"], "vsm.algedonic.v1", 8)
    assert (body["answer_within_seconds"], body["escalation_path"]) == (300.0, ["s4", "s5"])
    assert body["limits"][0] == {"layer": "severity", "limit": 10, "period_seconds": 60}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"severity": "critical"}, {"raised": True, "limits": [], "recipients": ["s5"]}),
        ({"severity": "low"}, {"raised": True, "recipients": [], "queue": None}),
        ({"intensity": 0.2}, {"raised": False}),
    ],
    ids=["critical meets no limit", "low is only listed", "too faint"],
)
def test_a_dry_run_tells_what_the_raise_would_do(
    client: Client, headers: dict[str, str], given: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Both ask the same plan."""
    body = post(client, "dry-run/", headers, type="pain", **given).json()

    assert body.items() >= expected.items()


def test_the_lane_tells_how_it_does(client: Client, headers: dict[str, str]) -> None:
    """Unknown before the first canary, never zero."""
    before = client.get(f"{URL}lane/", headers=headers).json()
    run = canary.send(now=timezone.now())
    canary.answer(run.pk, now=run.sent_at + timedelta(milliseconds=8))
    after = client.get(f"{URL}lane/", headers=headers).json()

    assert before["latency_seconds"] == {"p50": None, "p99": None}
    assert after["latency_seconds"] == {"p50": 0.008, "p99": 0.008}
    assert after["failing"] is False


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_signals_and_the_lane_are_metrics(client: Client, headers: dict[str, str], accept: str) -> None:
    """Also under the documented name, where the format allows it (2-21)."""
    pain()
    run = canary.send(now=timezone.now())
    canary.answer(run.pk, now=run.sent_at + timedelta(milliseconds=8))

    text = client.get("/metrics", headers={**headers, "accept": accept}).content.decode()

    shown = {
        name: float(number) for name, number in (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    }
    assert [number for name, number in shown.items() if name.startswith("vsm_algedonic_signals_open{")] == [1]
    assert any('severity="critical"' in name for name in shown if name.startswith("vsm_algedonic_signals_open{"))
    assert shown['vsm_self_lane_latency_seconds{quantile="0.99"}'] == 0.008
    assert shown["vsm_self_lane_lost_total"] == 0
    assert text.count("# TYPE vsm_algedonic_signals gauge") == (accept == "text/plain")
