"""Who is let in, what they may do, and that nobody sees another tenant: the same questions to every resource."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from alerts.models import Alert, AlertRule
from subsystems.health.models import Assessment
from subsystems.recursion.models import Membership, System
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.models import TaskRun
from subsystems.telemetry.models import Series
from tests.support.factories import bearer, make_system, make_token, make_unit, make_user

pytestmark = pytest.mark.django_db
RULE = {"name": "hot", "metric": "cpu_ratio", "threshold": 0.9}


@dataclass
class Tenant:
    """A system with one object of every kind, and the people in it."""

    system: System
    objects: dict[str, Any]

    def address(self, template: str) -> str:
        return template.format(**{name: getattr(each, "slug", each.pk) for name, each in self.objects.items()})

    def token(self, role: str, scopes: list[str]) -> dict[str, str]:
        user = make_user(role=role, system=self.system)
        return bearer(make_token(scopes, user=user)[1])


def make_tenant(slug: str) -> Tenant:
    system = make_system(slug)
    unit = make_unit(f"{slug}-agent", system=system)
    rule = AlertRule.objects.create(system=system, name="rule", metric="cpu_ratio", threshold=1)
    member = make_user(role="viewer", system=system)
    objects = {
        "system": system,
        "unit": unit,
        "fleet": Fleet.objects.create(system=system, name="fleet"),
        "series": Series.objects.create(system=system, source=unit.name, metric="cpu_ratio", key=slug),
        "assessment": Assessment.objects.create(system=system, slot=30, assessed_at=timezone.now(), status="unknown"),
        "rule": rule,
        "alert": Alert.objects.create(
            system=system, rule=rule, unit=unit, type="rule", title="t", subject="s", fingerprint=slug,
            severity="warning", state="firing",
        ),
        "run": TaskRun.objects.create(name="diagnostics.echo", requested_by=member),
        "member": Membership.objects.get(user=member),
    }  # fmt: skip
    return Tenant(system, objects)


@pytest.fixture
def ours() -> Tenant:
    return make_tenant("ours")


@pytest.fixture
def theirs() -> Tenant:
    return make_tenant("theirs")


# method, address, body, the scope it needs
READS = [
    ("get", "/api/v1/systems/"),
    ("get", "/api/v1/systems/{system}/"),
    ("get", "/api/v1/units/"),
    ("get", "/api/v1/units/{unit}/"),
    ("get", "/api/v1/units/{unit}/samples/?metric=cpu_ratio"),
    ("get", "/api/v1/fleets/"),
    ("get", "/api/v1/fleets/{fleet}/"),
    ("get", "/api/v1/series/"),
    ("get", "/api/v1/series/{series}/"),
    ("get", "/api/v1/query/?metric=cpu_ratio"),
    ("get", "/api/v1/assessments/"),
    ("get", "/api/v1/assessments/{assessment}/"),
    ("get", "/api/v1/viability/"),
    ("get", "/api/v1/alert-rules/"),
    ("get", "/api/v1/alert-rules/{rule}/"),
    ("get", "/api/v1/alert-rules/{rule}/preview/"),
    ("get", "/api/v1/alert-rules/preview/?metric=cpu_ratio"),
    ("get", "/api/v1/alerts/"),
    ("get", "/api/v1/alerts/{alert}/"),
    ("get", "/api/v1/tasks/"),
    ("get", "/api/v1/tasks/runs/"),
    ("get", "/api/schema/"),
]
WRITES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("post", "/api/v1/units/", {"kind": "agent", "name": "new"}),
    ("post", "/api/v1/units/{unit}/pause/", None),
    ("post", "/api/v1/units/{unit}/resume/", None),
    ("delete", "/api/v1/units/{unit}/", None),
    ("post", "/api/v1/fleets/", {"url": "redis://127.0.0.1:1/0"}),
    ("delete", "/api/v1/fleets/{fleet}/", None),
    ("post", "/api/v1/alert-rules/", RULE),
    ("put", "/api/v1/alert-rules/{rule}/", RULE),
    ("patch", "/api/v1/alert-rules/{rule}/", {"threshold": 2}),
    ("delete", "/api/v1/alert-rules/{rule}/", None),
    ("post", "/api/v1/alerts/{alert}/acknowledge/", {"comment": "mine"}),
    ("post", "/api/v1/alerts/{alert}/resolve/", None),
    ("post", "/api/v1/tasks/diagnostics.echo/trigger/", {"arguments": {"text": "hi"}}),
]
ADMIN = [("get", "/api/v1/members/"), ("get", "/api/v1/members/{member}/")]
OTHERS = [("get", "/api/v1/"), ("get", "/api/v1/me/"), ("get", "/api/v1/tokens/"), ("post", "/api/v1/tokens/")]
INGEST = ("post", "/api/v1/ingest/", {"source": "new-agent", "samples": []})
ALL = [
    *((method, address, None) for method, address in READS),
    *WRITES,
    *((method, address, None) for method, address in [*ADMIN, *OTHERS]),
    INGEST,
]
WITH_OBJECT = [each for each in ALL if "{" in each[1]]


def ask(client: Client, method: str, address: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    data = {} if body is None else {"data": body}
    content_type = {} if method == "get" else {"content_type": "application/json"}
    return getattr(client, method)(address, **data, **content_type, headers=headers or {})


def named(cases: list[tuple[Any, ...]]) -> list[Any]:
    return [pytest.param(*case, id=f"{case[0]} {case[1]}") for case in cases]


def is_problem(answer: Any, code: str) -> bool:
    body = answer.json()
    expected = {"type", "title", "status", "detail", "code"}
    return (
        answer["Content-Type"] == "application/problem+json"
        and expected <= set(body)
        and body["status"] == answer.status_code
        and body["code"] == code
    )


@pytest.mark.parametrize(("method", "address", "body"), named(ALL))
def test_nobody_is_let_in_without_a_token(
    client: Client, ours: Tenant, method: str, address: str, body: dict[str, Any] | None
) -> None:
    """A forgotten permission on one address would open the whole platform."""
    answer = ask(client, method, ours.address(address), body)

    assert answer.status_code == 401
    assert is_problem(answer, "not_authenticated")
    assert answer["WWW-Authenticate"].startswith("Basic" if "tokens" in address else "Bearer")


@pytest.mark.parametrize(("method", "address", "body"), named(ALL))
def test_a_token_that_is_not_ours_is_told_so(
    client: Client, ours: Tenant, method: str, address: str, body: dict[str, Any] | None
) -> None:
    """A sender with a revoked token must learn it, not be taken for a stranger."""
    answer = ask(client, method, ours.address(address), body, bearer("vsm_nonsense"))

    assert answer.status_code == 401
    assert is_problem(answer, "authentication_failed")


@pytest.mark.parametrize(("method", "address"), named(READS))
def test_a_read_token_reads(client: Client, ours: Tenant, method: str, address: str) -> None:
    """The least that a dashboard of somebody else needs."""
    answer = ask(client, method, ours.address(address), headers=ours.token("viewer", ["read"]))

    assert answer.status_code == 200, answer.content


@pytest.mark.parametrize(("method", "address", "body"), named([*WRITES, INGEST, *((*each, None) for each in ADMIN)]))
def test_a_read_token_only_reads(
    client: Client, ours: Tenant, method: str, address: str, body: dict[str, Any] | None
) -> None:
    """Even an administrator's token does no more than its scopes say."""
    answer = ask(client, method, ours.address(address), body, ours.token("admin", ["read"]))

    assert answer.status_code == 403
    assert is_problem(answer, "permission_denied")


@pytest.mark.parametrize(("method", "address"), named([*READS, *ADMIN]))
def test_an_ingest_token_reads_nothing(client: Client, ours: Tenant, method: str, address: str) -> None:
    """These tokens lie in the configuration of every agent."""
    answer = ask(client, method, ours.address(address), headers=ours.token("admin", ["ingest"]))

    assert answer.status_code == 403


@pytest.mark.parametrize(("method", "address", "body"), named(WRITES))
def test_an_operate_token_operates(
    client: Client, ours: Tenant, method: str, address: str, body: dict[str, Any] | None
) -> None:
    """Every write works for the one who may, without any other scope."""
    answer = ask(client, method, ours.address(address), body, ours.token("operator", ["operate"]))

    refused = {"/api/v1/units/{unit}/resume/"}  # it is not paused
    assert answer.status_code == 409 if address in refused else answer.status_code < 300, answer.content


@pytest.mark.parametrize(("method", "address", "body"), named(WITH_OBJECT))
def test_what_belongs_to_another_tenant_does_not_exist(
    client: Client, ours: Tenant, theirs: Tenant, method: str, address: str, body: dict[str, Any] | None
) -> None:
    """403 would tell that the id is taken; 404 tells nothing."""
    headers = ours.token("admin", ["read", "operate", "admin"])

    answer = ask(client, method, theirs.address(address), body, headers)

    assert answer.status_code == 404
    assert is_problem(answer, "not_found")


LISTS = [
    "systems", "units", "fleets", "series", "assessments", "alert-rules", "alerts", "members", "tasks/runs",
]  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_list_has_nothing_of_another_tenant(client: Client, ours: Tenant, theirs: Tenant, name: str) -> None:
    """The most likely leak: a list whose filter was forgotten."""
    headers = ours.token("admin", ["read", "admin"])

    rows = client.get(f"/api/v1/{name}/", headers=headers).json()["results"]

    assert all(row.get("system", row.get("slug")) == "ours" for row in rows)
    assert len(rows) >= (0 if name == "tasks/runs" else 1)


@pytest.mark.parametrize("name", ["query/?metric=cpu_ratio&", "viability/?", "alert-rules/preview/?metric=m&"])
def test_another_tenant_cannot_be_named(client: Client, ours: Tenant, theirs: Tenant, name: str) -> None:
    """The parameter `system` is a filter, not a key."""
    answer = client.get(f"/api/v1/{name}system=theirs", headers=ours.token("admin", ["read"]))

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "system"


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("/api/v1/units/", {"kind": "agent", "name": "x", "system": "theirs"}),
        ("/api/v1/fleets/", {"url": "redis://127.0.0.1:1/0", "system": "theirs"}),
        ("/api/v1/alert-rules/", {**RULE, "system": "theirs"}),
        ("/api/v1/ingest/", {"source": "x", "samples": [], "system": "theirs"}),
    ],
)
def test_nothing_is_made_in_another_tenant(
    client: Client, ours: Tenant, theirs: Tenant, address: str, body: dict[str, Any]
) -> None:
    """Writing into somebody's system is worse than reading it."""
    headers = ours.token("admin", ["read", "operate", "ingest"])

    answer = ask(client, "post", address, body, headers)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "system"


def test_a_rule_cannot_watch_another_tenants_unit(client: Client, ours: Tenant, theirs: Tenant) -> None:
    """Its alerts would tell the values of somebody else."""
    body = {**RULE, "unit": theirs.objects["unit"].pk}

    answer = ask(client, "post", "/api/v1/alert-rules/", body, ours.token("operator", ["operate"]))

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "unit"


def test_who_may_only_see_an_object_is_told_403_when_changing_it(client: Client, ours: Tenant, theirs: Tenant) -> None:
    """They see it in their list; that it does not exist would be a lie."""
    user = make_user(role="operator", system=ours.system)
    Membership.objects.create(user=user, system=theirs.system, role="viewer")
    headers = bearer(make_token(["read", "operate"], user=user)[1])

    answer = ask(client, "post", theirs.address("/api/v1/alerts/{alert}/resolve/"), headers=headers)

    assert answer.status_code == 403


def test_a_bound_token_sees_its_system_only(client: Client, ours: Tenant, theirs: Tenant) -> None:
    """A superuser's token for one customer's agents must not see the others."""
    headers = bearer(make_token(["read"], system=ours.system)[1])

    rows = client.get("/api/v1/units/", headers=headers).json()["results"]

    assert [row["name"] for row in rows] == ["ours-agent"]


def test_members_of_a_parent_see_what_is_below(client: Client, ours: Tenant) -> None:
    """Recursion: a system is responsible for the systems inside it."""
    child = make_system("child", parent=ours.system)
    make_unit("deep", system=child)

    rows = client.get("/api/v1/units/?system=child", headers=ours.token("viewer", ["read"])).json()["results"]

    assert [row["name"] for row in rows] == ["deep"]


def test_an_expired_token_is_refused(client: Client, ours: Tenant) -> None:
    """An expiry that is not checked is decoration."""
    token, secret = make_token(["read"])
    token.expires_at = timezone.now() - timedelta(seconds=1)
    token.save()

    assert client.get("/api/v1/units/", headers=bearer(secret)).status_code == 401


def test_a_person_who_left_takes_the_tokens_along(client: Client, ours: Tenant) -> None:
    """Deactivating somebody must not leave their scripts running."""
    token, secret = make_token(["read"])
    token.user.is_active = False
    token.user.save()

    assert client.get("/api/v1/units/", headers=bearer(secret)).status_code == 401


def test_a_session_reads_but_writes_only_with_the_csrf_token(ours: Tenant) -> None:
    """A page of another site can make a browser send the cookie, but not the token."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user(superuser=True))

    assert client.get("/api/v1/units/").status_code == 200
    assert ask(client, "post", "/api/v1/units/", {"kind": "agent", "name": "x"}).status_code == 403


def test_a_session_ingests_nothing(client: Client) -> None:
    """The view has no CSRF check, so a cookie must not open it."""
    client.force_login(make_user(superuser=True))

    assert ask(client, "post", "/api/v1/ingest/", {"source": "a", "samples": []}).status_code == 401


def test_a_person_without_any_role_is_refused(client: Client) -> None:
    """Being able to log in is not yet being a member."""
    client.force_login(make_user())

    assert client.get("/api/v1/units/").status_code == 403


def test_me_tells_what_a_token_may_do_whatever_its_scopes(client: Client, ours: Tenant) -> None:
    """The first thing to ask when something answers 403."""
    body = client.get("/api/v1/me/", headers=ours.token("operator", ["ingest"])).json()

    assert body["systems"] == [{"slug": "ours", "name": "Ours", "scopes": ["ingest"]}]
    assert body["token"] == {"name": "test", "scopes": ["ingest"], "system": None}
