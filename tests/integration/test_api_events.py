"""Events over HTTP: read by those whose they are, proven and replayed by those who run the platform."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from drf_spectacular.generators import SchemaGenerator

from subsystems.event_log import services
from subsystems.event_log.models import Event
from subsystems.event_log.streams import Stream
from subsystems.event_log.tasks import ReplayArguments, VerifyArguments, replay, verify
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s3_control.models import TaskRun
from tests.integration.test_api_schema import as_json_schema
from tests.support.append_only import triggers_off
from tests.support.factories import bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
ADDRESS = "/api/v1/events/"


@pytest.fixture
def ours() -> System:
    root_system()
    return make_system("ours")


@pytest.fixture
def theirs() -> System:
    return make_system("theirs")


@pytest.fixture(autouse=True)
def _events(ours: System, theirs: System) -> None:
    for n, system in enumerate([ours, theirs, None, ours]):
        services.append(
            Stream.POLICY, f"decided-{n}", {"n": n}, system_id=system.pk if system else None, actor="ada",
            correlation_id="c", message_id=f"m{n}", at=NOON + timedelta(hours=n),
        )  # fmt: skip
    services.seal()


def headers(role: str, system: System, scopes: tuple[str, ...] = ("read", "operate", "admin")) -> dict[str, str]:
    return bearer(make_token(scopes, user=make_user(role=role, system=system))[1])


def everywhere(*scopes: str, **about: Any) -> dict[str, str]:
    return bearer(make_token(scopes or ("read",), **about)[1])


def seen(client: Client, who: dict[str, str], query: str = "") -> list[int]:
    return [row["position"] for row in client.get(f"{ADDRESS}{query}", headers=who).json()["results"]]


def test_everybody_sees_the_events_of_their_own_systems(client: Client, ours: System) -> None:
    """Newest first; those of no system are the platform's, and only superusers run it."""
    assert seen(client, headers("viewer", ours, ("read",))) == [4, 1]
    assert seen(client, headers("admin", root_system())) == []
    assert seen(client, everywhere()) == [4, 3, 2, 1]
    assert seen(client, everywhere("read", system=ours)) == [4, 1]


def test_another_tenants_event_does_not_exist(client: Client, ours: System) -> None:
    """Not even by its number."""
    who = headers("viewer", ours, ("read",))

    answers = [client.get(f"{ADDRESS}{position}/", headers=who).status_code for position in (1, 2, 3, 99)]

    assert answers == [200, 404, 404, 404]
    assert seen(client, who, "?system=theirs") == []


@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ("?stream=vsm-system5-policy", [4, 3, 2, 1]),
        ("?stream=audit", []),
        ("?type=decided-2", [3]),
        ("?system=ours", [4, 1]),
        ("?system=nobodys", []),
        ("?correlation_id=c&actor=ada", [4, 3, 2, 1]),
        ("?message_id=m1", [2]),
        ("?search=DECIDED-3", [4]),
        ("?from=2026-11-20T13:00:00Z&to=2026-11-20T14:00:00Z", [3, 2]),
        ("?ordering=position", [1, 2, 3, 4]),
        ("?limit=2", [4, 3]),
    ],
)
def test_the_list_is_searched(client: Client, query: str, positions: list[int]) -> None:
    """The search page asks nothing that the API cannot answer."""
    assert seen(client, everywhere(), query) == positions


def test_a_search_for_text_tells_where_it_looked(client: Client) -> None:
    """It looks at so many events at a time, and a program must be able to go on before them."""
    answers = [client.get(f"{ADDRESS}{query}", headers=everywhere()) for query in ["?search=d&before=4", "?before=4"]]

    assert [answer.headers.get("X-Searched") for answer in answers] == ["1-3", None]
    assert {tuple(row["position"] for row in answer.json()["results"]) for answer in answers} == {(3, 2, 1)}


@pytest.mark.parametrize("query", ["?stream=x", "?before=0", "?from=yesterday", "?limit=0", "?search=%00"])
def test_a_filter_that_cannot_be_used_is_named(client: Client, query: str) -> None:
    """Silently ignoring it would show everything instead."""
    answer = client.get(f"{ADDRESS}{query}", headers=everywhere())

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == query[1:].split("=")[0]


def test_pages_follow_each_other(client: Client) -> None:
    """A cursor of the position: deep pages cost what the first one does."""
    who = everywhere()
    first = client.get(f"{ADDRESS}?limit=3", headers=who).json()

    second = client.get(first["next"], headers=who).json()

    assert [row["position"] for row in [*first["results"], *second["results"]]] == [4, 3, 2, 1]
    assert second["next"] is None


def test_a_list_costs_the_same_whatever_its_length(client: Client) -> None:
    """The slug of each event's system comes with it."""
    who = everywhere()
    seen(client, who)  # the first use of a token is written down
    with CaptureQueriesContext(connection) as few:
        client.get(f"{ADDRESS}?limit=1", headers=who)
    with CaptureQueriesContext(connection) as many:
        client.get(f"{ADDRESS}?limit=4", headers=who)

    assert len(few) == len(many)


def test_an_event_is_what_is_documented(client: Client) -> None:
    """The body is made elsewhere than the document."""
    schema = SchemaGenerator().get_schema(request=None, public=True)

    row = client.get(f"{ADDRESS}1/", headers=everywhere()).json()

    assert set(row) == set(schema["components"]["schemas"]["Event"]["properties"])
    jsonschema.validate(row, as_json_schema("Event", schema))
    assert (row["system"], row["data"], row["at"]) == ("ours", {"n": 0}, "2026-11-20T12:00:00Z")
    assert {f"{ADDRESS}{{position}}/", f"{ADDRESS}verify/", f"{ADDRESS}replay/"} <= set(schema["paths"])


def test_nobody_changes_an_event(client: Client) -> None:
    """There is no such address."""
    who = everywhere("read", "operate", "admin")

    answers = {
        getattr(client, method)(f"{ADDRESS}1/", headers=who).status_code for method in ("put", "patch", "delete")
    }

    assert answers == {405}


def test_the_chain_is_verified_over_http(client: Client) -> None:
    """With the first bad position."""
    who = everywhere("admin")
    before = client.get(f"{ADDRESS}verify/", headers=who).json()
    with triggers_off():
        Event.objects.filter(position=3).update(actor="eve")

    after = client.get(f"{ADDRESS}verify/", headers=who).json()
    part = client.get(f"{ADDRESS}verify/?from=1&to=2", headers=who).json()

    assert (before["ok"], before["checked"], before["next_from"]) == (True, 4, None)
    assert (after["ok"], after["first_bad_position"]) == (False, 3)
    assert (part["ok"], part["checked"], part["next_from"]) == (True, 2, 3)


@pytest.mark.parametrize("query", ["?from=0", "?from=x", "?to=99999999999999999999"])
def test_bounds_that_cannot_be_are_named(client: Client, query: str) -> None:
    """A number that no column holds is bad input, not a mistake of ours."""
    answer = client.get(f"{ADDRESS}verify/{query}", headers=everywhere("admin"))

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == query[1:].split("=")[0]


def replayed(client: Client, who: dict[str, str], name: str = "PolicyHandler") -> Any:
    return client.post(f"{ADDRESS}replay/", {"name": name}, content_type="application/json", headers=who)


def test_a_replay_is_a_run_to_follow(client: Client) -> None:
    """It may take minutes."""
    answer = replayed(client, everywhere("admin"))

    run = TaskRun.objects.get()
    assert (answer.status_code, answer.json()["name"]) == (202, "event_log.replay")
    assert (answer["Location"], run.arguments) == (f"/api/v1/tasks/runs/{run.pk}/", {"name": "PolicyHandler"})


def test_an_unknown_handler_is_told_at_once(client: Client) -> None:
    """Not by a run that fails."""
    answer = replayed(client, everywhere("admin"), "nobody")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "name")
    assert not TaskRun.objects.exists()


def test_only_administrators_of_the_root_prove_and_replay(client: Client, ours: System) -> None:
    """The log is everybody's: a tenant's administrator must not make it work."""
    tenant, root = headers("admin", ours), headers("admin", root_system())
    bound = everywhere("admin", system=ours)
    body = {"arguments": {"name": "PolicyHandler"}}

    def answers(who: dict[str, str]) -> list[int]:
        run = "/api/v1/tasks/event_log.replay/trigger/"
        triggered = client.post(run, body, content_type="application/json", headers=who)
        return [client.get(f"{ADDRESS}verify/", headers=who).status_code, replayed(client, who).status_code,
                triggered.status_code]  # fmt: skip

    assert answers(tenant) == [403, 403, 403]
    assert answers(bound) == [403, 403, 403]
    assert answers(headers("operator", root_system(), ("read", "operate"))) == [403, 403, 403]
    assert answers(root) == [200, 202, 202]


def test_the_triggered_tasks_do_what_they_say() -> None:
    """A worker calls them with checked arguments."""
    services.project()

    assert replay(ReplayArguments(name="PolicyHandler")) == {"name": "PolicyHandler", "events": 4}
    assert verify(VerifyArguments())["checked"] == 4


def test_the_admin_only_shows(client: Client) -> None:
    """Append-only holds for the people at the desk too."""
    client.force_login(make_user(superuser=True))

    shown = [client.get(f"/admin/event_log/event/{rest}").status_code for rest in ("", "1/change/", "?q=decided-1")]
    refused = [client.get(f"/admin/event_log/event/{rest}").status_code for rest in ("add/", "1/delete/")]

    assert (shown, refused) == ([200, 200, 200], [403, 403])
    assert "delete_selected" not in client.get("/admin/event_log/event/").content.decode()
