"""Policy, goals, identity and decisions over the API and on pages: who may, what is refused, whose they are."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from subsystems.recursion.queries import root_system
from subsystems.s5_policy import amending, deciding
from subsystems.s5_policy.models import Decision, Policy, PolicyVersion
from tests.support.factories import bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db
AMEND = {"kind": "viability", "fields": {"weight_s1": 0.4}, "reason": "Work matters more"}
FORM = {
    "viability_threshold": "0.7", "critical_threshold": "0.5", "weight_s1": "0.4", "weight_s2": "0.1",
    "weight_s3": "0.2", "weight_s4": "0.2", "weight_s5": "0.2", "reason": "Work matters more", "expected": "0",
}  # fmt: skip


@pytest.fixture
def administrator(client: Client) -> Client:
    client.force_login(make_user("anna", role="admin"))
    return client


def post(client: Client, path: str, body: dict[str, Any], scopes: list[str]) -> Any:
    root_system()
    headers = bearer(make_token(scopes)[1])
    return client.post(f"/api/v1/{path}", body, content_type="application/json", headers=headers)


def test_policy_is_changed_read_and_taken_back_over_the_api(client: Client) -> None:
    """With `admin`, and every version stays."""
    made = post(client, "policies/", AMEND, ["read", "admin"])
    pk = made.json()["id"]
    back = post(client, f"policies/{pk}/revert/", {"version": 1}, ["read", "admin"])
    versions = client.get(f"/api/v1/policies/{pk}/versions/", headers=bearer(make_token(["read"])[1])).json()

    assert (made.status_code, made.json()["fields"]["weight_s1"], back.status_code) == (201, 0.4, 200)
    assert [each["version"] for each in versions] == [1]
    assert versions[0]["changed"] == {"weight_s1": [0.3, 0.4]}


@pytest.mark.parametrize(
    ("body", "scopes", "status", "field"),
    [
        pytest.param(AMEND, ["read", "operate"], 403, None, id="an operator"),
        pytest.param({**AMEND, "reason": ""}, ["admin", "read"], 400, "reason", id="no reason"),
        pytest.param({**AMEND, "fields": {"weight_s1": 7}}, ["admin", "read"], 400, "weight_s1", id="a bad number"),
        pytest.param({**AMEND, "fields": {"x": 7}}, ["admin", "read"], 400, "x", id="an unknown field"),
        pytest.param({**AMEND, "expected_version": 3}, ["admin", "read"], 409, None, id="not what was seen"),
        pytest.param({**AMEND, "system": "nowhere"}, ["admin", "read"], 400, "system", id="another system"),
    ],
)
def test_what_may_not_be_changes_nothing(
    client: Client, body: dict[str, Any], scopes: list[str], status: int, field: str | None
) -> None:
    """A refusal names the field."""
    answer = post(client, "policies/", body, scopes)

    assert answer.status_code == status
    assert field is None or answer.json()["errors"][0]["field"] == field
    assert not PolicyVersion.objects.exists()


def test_a_goal_is_made_and_its_value_entered(client: Client) -> None:
    """Over the API alone."""
    goal = {"title": "Trained people", "source": "person", "target": 10}
    made = post(client, "policies/", {"kind": "goal", "fields": goal, "reason": "y"}, ["read", "admin"]).json()

    entered = post(client, f"goals/{made['id']}/values/", {"value": 4}, ["operate"])
    body = client.get("/api/v1/goals/", headers=bearer(make_token(["read"])[1])).json()

    assert (entered.status_code, body["progress"], body["goals"][0]["value"]) == (201, 0.4, 4.0)


def test_a_decision_goes_its_way_over_the_api(client: Client) -> None:
    """Put down, decided, reviewed."""
    soon = (timezone.now() + timedelta(days=1)).isoformat()
    made = post(client, "decisions/", {"title": "More workers?", "due_at": soon}, ["read", "operate"]).json()
    post(client, f"decisions/{made['id']}/decide/", {"answer": "Yes", "criterion": "p95"}, ["read", "operate"])
    answer = post(client, f"decisions/{made['id']}/review/", {"outcome": "met"}, ["read", "operate"])

    assert (answer.status_code, answer.json()["outcome"], answer.json()["criterion"]) == (200, "met", "p95")


def test_another_tenants_policy_does_not_exist(client: Client) -> None:
    """Ids are small numbers."""
    theirs = make_system("theirs")
    policy = amending.add(theirs, "value", {"title": "Care"}, by=None, reason="y")
    asked = deciding.put_down(theirs, by=make_user(), title="t", due_at=timezone.now() + timedelta(days=1))
    user = make_user(role="admin")
    secret = make_token(["read", "operate", "admin"], user=user)[1]
    client.force_login(user)

    answers = [
        client.get(f"/api/v1/policies/{policy.pk}/", headers=bearer(secret)),
        client.get(f"/api/v1/decisions/{asked.pk}/", headers=bearer(secret)),
        client.get(f"/dashboard/policy/{policy.pk}/"),
        client.get(f"/dashboard/decisions/{asked.pk}/"),
        client.post(f"/dashboard/policy/{policy.pk}/revert/", {"version": 1}),
    ]

    assert [answer.status_code for answer in answers] == [404] * 5
    assert client.get("/api/v1/policies/", headers=bearer(secret)).json()["results"] == []


def test_the_editor_writes_a_version_and_goes_back(administrator: Client) -> None:
    """What changed is shown beside what it was."""
    saved = administrator.post("/dashboard/policy/viability/", FORM)
    administrator.post("/dashboard/policy/viability/", {**FORM, "weight_s1": "0.5", "expected": "1"})
    page = administrator.get("/dashboard/policy/viability/").content.decode()
    policy = Policy.objects.get()
    administrator.post(f"/dashboard/policy/{policy.pk}/revert/", {"version": "1"})

    assert saved.status_code == 302
    assert "<del>0.4</del>" in page
    assert "<ins>0.5</ins>" in page
    assert [each.fields["weight_s1"] for each in policy.versions.all()] == [0.4, 0.5, 0.4]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"weight_s1": "9"}, "weight_s1"), ({"reason": ""}, "reason"), ({"weight_s1": "nan"}, "weight_s1"),
     ({"critical_threshold": "0.9"}, "critical_threshold")],
)  # fmt: skip
def test_the_editor_names_the_field_at_fault(administrator: Client, change: dict[str, str], field: str) -> None:
    """And keeps what was typed."""
    answer = administrator.post("/dashboard/policy/viability/", FORM | change)

    assert (answer.status_code, list(answer.context["form"].errors)) == (400, [field])
    assert not PolicyVersion.objects.exists()


def test_an_editor_that_is_late_is_told(administrator: Client) -> None:
    """Somebody else's change is not overwritten."""
    administrator.post("/dashboard/policy/viability/", FORM)

    answer = administrator.post("/dashboard/policy/viability/", FORM | {"weight_s1": "0.6"})

    assert answer.status_code == 400
    assert "changed it meanwhile" in answer.content.decode()


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_who_administers_changes_policy(client: Client, role: str) -> None:
    """An operator lives by limits that others set."""
    client.force_login(make_user(role=role))

    answer = client.post("/dashboard/policy/viability/", FORM)

    assert answer.status_code == 403
    assert "Save as" not in client.get("/dashboard/policy/viability/").content.decode()


def test_the_page_says_what_holds_in_words(administrator: Client) -> None:
    """Not as the program writes it."""
    text = administrator.get("/dashboard/policy/").content.decode()

    said = re.findall(r"<dd>(.*?)</dd>", text)
    assert {"yes", "none", "60", "advise"} <= set(said)
    assert not {"True", "False", "None", "[]", "60.0"} & set(said)


def test_goals_values_and_decisions_have_their_pages(administrator: Client) -> None:
    """From an empty page to a reviewed decision, by hand."""
    value = {"title": "Care", "statement": "For who waits", "weight": "2", "active": "on", "reason": "y"}
    administrator.post("/dashboard/policy/value/add/", value)
    goal = {"title": "Trained", "source": "person", "aggregation": "avg", "window_seconds": "3600", "baseline": "0",
            "target": "10", "weight": "1", "active": "on", "reason": "y", "values": "care"}  # fmt: skip
    administrator.post("/dashboard/policy/goal/add/", goal)
    administrator.post(f"/dashboard/policy/goals/{Policy.objects.get(kind='goal').pk}/value/", {"value": "4"})
    due = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    administrator.post("/dashboard/decisions/", {"title": "More?", "due_at": due, "values": "care"})
    address = f"/dashboard/decisions/{Decision.objects.get().pk}/"
    administrator.post(address, {"answer": "Yes", "criterion": "fewer wait"})
    administrator.post(address, {"outcome": "met", "judgement": "serves"})

    pages = [administrator.get(f"/dashboard/{path}/").content.decode()
             for path in ("policy", "policy/goals", "policy/identity", "decisions")]  # fmt: skip
    assert "0.40 of 1" in pages[1]
    assert "1.00 of 1" in pages[2]
    assert "Quality 100 %" in pages[3]
    assert 'badge healthy">met' in administrator.get("/dashboard/decisions/").content.decode()


def test_a_page_of_many_costs_no_more_queries(
    administrator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """Twenty goals are read like one."""
    for number in range(20):
        goal = {"title": f"g{number}", "source": "person", "target": 10}
        amending.add(root_system(), "goal", goal, by=None, reason="y")

    with django_assert_max_num_queries(16):
        administrator.get("/dashboard/policy/goals/")
    with django_assert_max_num_queries(16):
        administrator.get("/dashboard/policy/")
