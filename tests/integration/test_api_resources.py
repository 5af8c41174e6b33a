"""Each resource as a program uses it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from alerts.models import Alert, AlertRule
from subsystems.health.models import Assessment
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from tests.support.factories import bearer, make_token, make_unit, make_user

pytestmark = pytest.mark.django_db
RULE = {"name": "hot", "metric": "cpu_ratio", "threshold": 0.5, "comparison": "gt", "severity": "critical"}


@pytest.fixture
def operator() -> User:
    return make_user("olga", role="operator")


class Api:
    """A client with a token, in JSON."""

    def __init__(self, client: Client, headers: dict[str, str]) -> None:
        self._client, self._headers = client, headers

    def __call__(self, method: str, address: str, body: Any = None) -> Any:
        more = {} if method == "get" else {"content_type": "application/json"}
        data = {} if body is None else {"data": body}
        return getattr(self._client, method)(f"/api/v1/{address}", **data, **more, headers=self._headers)


@pytest.fixture
def api(client: Client, operator: User) -> Api:
    return Api(client, bearer(make_token(["read", "operate"], user=operator)[1]))


# --- Units and fleets ---


def test_an_http_service_is_added_and_shown(api: Api) -> None:
    """The second kind of unit that a newcomer adds."""
    made = api("post", "units/", {"kind": "http", "name": "shop", "config": {"url": "https://shop.example/"}})

    assert made.status_code == 201, made.content
    shown = api("get", f"units/{made.json()['id']}/").json()
    assert (shown["name"], shown["kind"], shown["state"], shown["health"]) == ("shop", "http", "new", "unknown")
    assert (shown["score"], shown["score_percent"], shown["system"]) == (None, None, "main")


def test_the_same_unit_twice_is_refused(api: Api) -> None:
    """A script that runs twice must not watch everything twice."""
    body = {"kind": "agent", "name": "billing-1"}
    api("post", "units/", body)

    again = api("post", "units/", body)

    assert again.status_code == 400
    assert again.json()["errors"][0]["field"] == "name"


def test_a_unit_is_paused_and_resumed(api: Api) -> None:
    """For the time of a repair."""
    unit = make_unit(state=Unit.State.ACTIVE)

    paused = api("post", f"units/{unit.pk}/pause/")
    resumed = api("post", f"units/{unit.pk}/resume/")

    assert (paused.json()["state"], resumed.json()["state"]) == ("paused", "new")


def test_resuming_what_runs_is_a_conflict(api: Api) -> None:
    """What breaks a rule is 409, in one place for all."""
    answer = api("post", f"units/{make_unit().pk}/resume/")

    assert (answer.status_code, answer.json()["code"]) == (409, "refused")


def test_a_unit_is_forgotten(api: Api) -> None:
    """What was added by mistake can be removed."""
    unit = make_unit()

    assert api("delete", f"units/{unit.pk}/").status_code == 204
    assert api("get", f"units/{unit.pk}/").status_code == 404


def test_a_fleet_is_added_without_showing_its_password(api: Api) -> None:
    """Its broker need not be up; its password must never come back."""
    made = api("post", "fleets/", {"url": "redis://user:hunter2@127.0.0.1:1/0", "name": "shop"})
    listed = api("get", "fleets/")

    assert made.status_code == 201, made.content
    assert "hunter2" not in made.content.decode() + listed.content.decode()
    assert listed.json()["results"][0]["last_error"]


def test_the_own_fleet_cannot_be_forgotten(api: Api) -> None:
    """The platform that stops watching itself is blind to its own failure."""
    own = Fleet.objects.create(system=root_system(), name="vsm", own=True)

    assert api("delete", f"fleets/{own.pk}/").status_code == 409


# --- Samples ---


def test_samples_of_a_unit_are_read_raw(api: Api) -> None:
    """What exactly was measured, and when."""
    unit = make_unit("billing-1")
    now = time.time()
    samples = [Sample("cpu", now - 2, 0.25), Sample("cpu", now - 1, 0.5), Sample("cpu", now, 1, {"core": "1"})]
    record({"billing-1": samples}, system_id=unit.system_id)

    body = api("get", f"units/{unit.pk}/samples/?metric=cpu").json()

    assert [line["labels"] for line in body["series"]] == ["", 'core="1"']
    assert [value for _, value in body["series"][0]["points"]] == [0.25, 0.5]


def test_a_query_answers_in_the_contracts_shape(api: Api) -> None:
    """Dashboards of others are built on it."""
    now = time.time()
    record({"billing-1": [Sample("cpu", now, 0.5, {"core": "1"})]}, system_id=root_system().pk)

    body = api("get", 'query/?metric=cpu&source=billing-1&step=60&agg=max&labels={"core": "1"}').json()

    assert set(body) == {"series", "tiers", "complete", "exact", "error", "parts"}
    assert [value for _, value in body["series"][0].pop("points")] == [0.5]
    assert body["series"][0] == {"metric": "cpu", "source": "billing-1", "labels": {"core": "1"}}


@pytest.mark.parametrize("moment", ["2026-11-20T09:00:00Z", "2026-11-20T10:00:00+01:00", "1795165200"])
def test_a_time_may_be_written_in_several_ways(api: Api, moment: str) -> None:
    """An unescaped plus arrives as a blank, and everybody forgets to escape it."""
    answer = api("get", f"query/?metric=cpu&from={moment}&to=2026-11-20T12:00:00Z&step=60")

    assert answer.status_code == 200, answer.content


def test_series_are_listed(api: Api) -> None:
    """To find out what can be asked for."""
    record({"billing-1": [Sample("cpu", time.time(), 1, {"core": "1"})]}, system_id=root_system().pk)

    rows = api("get", "series/?search=CP").json()["results"]

    assert [(row["source"], row["metric"], row["labels"]) for row in rows] == [("billing-1", "cpu", {"core": "1"})]


# --- Health ---


def test_viability_is_unknown_before_the_first_assessment(api: Api) -> None:
    """No number is better than a good one that nobody measured."""
    body = api("get", "viability/").json()

    assert (body["system"], body["score"], body["status"]) == ("main", None, "unknown")
    expected = {"parts", "weakest_link", "geometric", "structural", "assessed_at", "subsystems"}
    assert expected <= set(body)


def test_an_assessment_is_shown_with_its_parts(api: Api) -> None:
    """A score that cannot be taken apart convinces nobody."""
    part = {"subsystem": "s1", "score": 1.0, "status": "healthy", "weight": 0.3, "contribution": 0.3}
    row = Assessment.objects.create(
        system=root_system(), slot=30, assessed_at=timezone.now(), status="normal", score=0.8765, parts=[part]
    )

    body = api("get", f"assessments/{row.pk}/").json()

    assert (body["score"], body["score_percent"], body["parts"]) == (0.8765, 87.65, [part])


# --- Alerts ---


def test_a_rule_is_made_changed_and_deleted(api: Api) -> None:
    """The whole life of a rule, kept in a repository and sent by a script."""
    made = api("post", "alert-rules/", RULE)
    address = f"alert-rules/{made.json()['id']}/"
    patched = api("patch", address, {"threshold": 0.7})
    replaced = api("put", address, {**RULE, "name": "hotter", "for_seconds": 60})
    deleted = api("delete", address)

    assert made.status_code == 201, made.content
    assert (made.json()["created_by"], made.json()["system"]) == ("olga", "main")
    assert (patched.json()["threshold"], patched.json()["severity"]) == (0.7, "critical")
    assert (replaced.json()["name"], replaced.json()["for_seconds"]) == ("hotter", 60)
    assert deleted.status_code == 204
    assert not AlertRule.objects.exists()


def test_two_rules_of_one_name_are_refused(api: Api) -> None:
    """The message names the field rather than the constraint."""
    api("post", "alert-rules/", RULE)

    again = api("post", "alert-rules/", RULE)

    assert again.status_code == 400
    assert again.json()["errors"][0]["field"] == "name"


def test_a_rule_stays_in_its_system(api: Api) -> None:
    """Its alerts and its history are of that system."""
    rule = api("post", "alert-rules/", RULE).json()

    kept = api("patch", f"alert-rules/{rule['id']}/", {"system": "main"})

    assert kept.status_code == 200


def test_a_preview_tells_what_a_rule_would_see(api: Api) -> None:
    """A threshold is chosen by looking at the value, not by guessing."""
    unit = make_unit("billing-1", state=Unit.State.ACTIVE)
    record({"billing-1": [Sample("cpu_ratio", time.time(), 0.9)]}, system_id=unit.system_id)
    rule = api("post", "alert-rules/", RULE).json()

    fresh = api("get", "alert-rules/preview/?metric=cpu_ratio&threshold=0.95").json()
    saved = api("get", f"alert-rules/{rule['id']}/preview/").json()

    assert [(line["unit_id"], line["value"], line["matches"]) for line in fresh] == [(unit.pk, 0.9, False)]
    assert [line["matches"] for line in saved] == [True]


def make_alert(**fields: Any) -> Alert:
    defaults = {"type": "rule", "title": "t", "subject": "s", "fingerprint": "f", "severity": "critical"}
    return Alert.objects.create(system=root_system(), state="firing", **{**defaults, **fields})


def test_an_alert_is_acknowledged_once(api: Api) -> None:
    """Two people who both think that they have it are worse than none."""
    alert = make_alert(fired_at=timezone.now())

    first = api("post", f"alerts/{alert.pk}/acknowledge/", {"comment": "mine"})
    again = api("post", f"alerts/{alert.pk}/acknowledge/", {})
    Alert.objects.update(acknowledged_by=make_user("ben"), assigned_to=None)
    second = api("post", f"alerts/{alert.pk}/acknowledge/", {})

    assert (first.status_code, again.status_code, second.status_code) == (200, 200, 409)
    assert (first.json()["acknowledged_by"], first.json()["comment"]) == ("olga", "mine")


def test_an_alert_is_resolved_by_hand(api: Api) -> None:
    """Where the source of the metric is gone for good."""
    alert = make_alert(fired_at=timezone.now())

    body = api("post", f"alerts/{alert.pk}/resolve/").json()

    assert (body["state"], body["resolved_by"]) == ("resolved", "olga")
    assert body["resolved_at"].endswith("Z")


# --- The rest ---


def test_the_root_lists_every_resource(api: Api) -> None:
    """Where somebody starts who has only the address."""
    body = api("get", "").json()

    assert {"units", "query", "alerts", "tasks"} <= set(body)


def test_the_pages_of_the_api_can_be_browsed(client: Client, operator: User) -> None:
    """A person with a browser sees the same answers as pages."""
    client.force_login(operator)
    make_unit("billing-1")

    answer = client.get("/api/v1/units/", headers={"accept": "text/html"})

    assert answer.status_code == 200
    assert b"billing-1" in answer.content
    assert b"&quot;config&quot;: {}" in answer.content, "the form is prefilled with what a new unit needs"


def test_an_error_is_browsed_as_a_page_too(client: Client) -> None:
    """The problem's media type belongs to the document, not to the page around it."""
    answer = client.get("/api/v1/units/", headers={"accept": "text/html"})

    assert (answer.status_code, answer["Content-Type"]) == (401, "text/html; charset=utf-8")
