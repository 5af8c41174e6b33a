"""Steering over HTTP as far as no broker is needed: who may, what is refused, what stays on record."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from subsystems.event_log.models import PendingEvent
from subsystems.fleets.models import Task
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.sealing import seal
from subsystems.s3_control import captures, carrying
from subsystems.s3_control.models import Action, CapturedTask, StandingOrder, SteeringRule
from tests.support.factories import bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db
BODY = json.dumps([["a"], {"b": 1}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])


def make_fleet(system: System | None = None, name: str = "shop", **fields: Any) -> Fleet:
    """Return a fleet whose broker nobody reaches."""
    url = seal("amqp://guest:guest@127.0.0.1:1//", settings.SECRET_KEY)
    return Fleet.objects.create(system=system or root_system(), name=name, broker_url_sealed=url, **fields)


def make_tasks(fleet: Fleet, count: int, state: int = Task.State.FAILURE, **fields: Any) -> list[str]:
    at = timezone.now()
    rows = [
        Task(fleet=fleet, uuid=f"{state}-{number}", name="shop.pay", state=state, changed_at=at, seen_at=at, **fields)
        for number in range(count)
    ]
    return [row.uuid for row in Task.objects.bulk_create(rows)]


def make_captured(task_id: str) -> dict[str, Any]:
    return {
        "id": task_id,
        "name": "shop.pay",
        "queue": "pay",
        "body": BODY,
        "headers": {"task": "shop.pay"},
        "at": 1.8e9,
    }


def post(client: Client, path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    return client.post(f"/api/v1/{path}", body, content_type="application/json", headers=headers)


@pytest.fixture
def operate() -> dict[str, str]:
    root_system()
    user = make_user("ann", role="operator")
    return bearer(make_token(["read", "operate", "ingest"], user=user, name="laptop")[1])


def retry(client: Client, headers: dict[str, str], **fields: Any) -> Any:
    return post(client, "tasks/retry/", {"fleet": "shop", "parameters": {"state": "failure"}, **fields}, headers)


# --- What is asked for -----------------------------------------------------------------------------------------------
def test_a_dry_run_counts_and_does_nothing(client: Client, operate: dict[str, str]) -> None:
    """Before thousands of tasks are sent again somebody wants to know how many, and whether it can be done at all."""
    fleet = make_fleet()
    ids = make_tasks(fleet, 5)
    make_tasks(fleet, 3, Task.State.SUCCESS)
    captures.keep(fleet, [make_captured(each) for each in ids[:2]])

    answer = retry(client, operate, dry_run=True)

    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["total"]) == ("rehearsed", 2)
    assert answer.json()["detail"] == "5 tasks; of 2 the true arguments are known."
    assert not carrying.carry_on(now=timezone.now())
    assert not Action.objects.get().items.exists()


def test_an_act_is_on_record_before_it_is_done(client: Client, operate: dict[str, str]) -> None:
    """Who, with which token, what, why: written in the transaction that sends it off, and an event of the log."""
    fleet = make_fleet()
    captures.keep(fleet, [make_captured(each) for each in make_tasks(fleet, 2)])

    answer = retry(client, operate, reason="  the card service is back  ")

    body = client.get(answer["Location"], headers=operate).json()
    assert answer.status_code == 202
    assert [body[name] for name in ("actor", "via", "kind", "reason", "state")] == [
        "ann", "laptop", "task.retry", "the card service is back", "proposed",
    ]  # fmt: skip
    event = PendingEvent.objects.get(type="ActionProposed")
    assert (event.actor, event.correlation_id) == ("ann", body["id"])


def test_what_cannot_be_done_is_refused_and_leaves_no_row(client: Client, operate: dict[str, str]) -> None:
    """An operator who is told afterwards has already waited for it."""
    make_tasks(make_fleet(), 2)

    answer = retry(client, operate)

    assert (answer.status_code, answer.json()["code"]) == (409, "cannot")
    assert "true arguments are unknown" in answer.json()["detail"]
    assert not Action.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"kind": "worker.explode"}, "kind", id="no such act"),
        pytest.param({"kind": "queue.purge", "fleet": "none"}, "fleet", id="no such fleet"),
        pytest.param({"kind": "queue.purge"}, "fleet", id="no fleet"),
        pytest.param({"kind": "queue.purge", "fleet": "shop"}, "target", id="no target"),
        pytest.param({"kind": "queue.purge", "fleet": "shop", "target": "a\tb"}, "target", id="no text"),
        pytest.param({"kind": "queue.pause", "fleet": "shop", "target": "q", "parameters": {"minutes": 0}},
                     "parameters.minutes", id="a time that is none"),
        pytest.param({"kind": "task.retry", "fleet": "shop", "parameters": {"state": "sad", "name": "x"}},
                     "parameters.state", id="no such state"),
        pytest.param({"kind": "task.retry", "fleet": "shop"}, "parameters", id="nothing chosen"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(client: Client, operate: dict[str, str], body: dict[str, Any], field: str) -> None:
    """And nothing is half-written."""
    make_fleet()

    answer = post(client, "actions/", body, operate)

    assert answer.status_code == 400, answer.json()
    assert field in {each["field"] for each in answer.json()["errors"]}
    assert not Action.objects.exists()


def test_a_broker_that_is_away_is_no_mistake_of_the_caller(client: Client, operate: dict[str, str]) -> None:
    """It is told at once, and nothing is recorded that might be done much later to a fleet that has changed."""
    make_fleet()

    answer = post(client, "actions/", {"kind": "queue.purge", "fleet": "shop", "target": "q"}, operate)

    assert answer.status_code == 503
    assert not Action.objects.exists()


def test_the_platform_does_not_steer_itself(client: Client, operate: dict[str, str]) -> None:
    """Pausing its own queues would leave nobody to resume them."""
    make_fleet(own=True)

    answer = post(client, "actions/", {"kind": "queue.pause", "fleet": "shop", "target": "vsm.default.v1"}, operate)

    assert (answer.status_code, answer.json()["code"]) == (409, "own_fleet")


# --- Who may ---------------------------------------------------------------------------------------------------------
def test_readers_steer_nothing_and_strangers_see_nothing(client: Client, operate: dict[str, str]) -> None:
    """A token that reads must not act, and another tenant's fleet does not exist."""
    fleet = make_fleet()
    captures.keep(fleet, [make_captured(each) for each in make_tasks(fleet, 1)])
    done = retry(client, operate).json()["id"]
    reader = bearer(make_token(["read"], user=make_user(role="viewer"))[1])
    stranger = bearer(make_token(["read", "operate"], user=make_user(role="operator", system=make_system()))[1])

    assert retry(client, reader).status_code == 403
    assert retry(client, stranger).status_code == 400
    assert client.get(f"/api/v1/actions/{done}/", headers=stranger).status_code == 404
    assert client.get("/api/v1/actions/", headers=stranger).json()["results"] == []
    assert client.get("/api/v1/actions/export/", headers=stranger).getvalue().count(b"\n") == 1
    assert client.get(f"/api/v1/actions/{done}/", headers=reader).status_code == 200
    assert client.get("/api/v1/actions/").status_code == 401


def test_a_rule_leaves_acts_to_a_group(client: Client, operate: dict[str, str]) -> None:
    """Whoever may restart a worker need not be allowed to send payments again."""
    fleet = make_fleet()
    captures.keep(fleet, [make_captured(each) for each in make_tasks(fleet, 1)])
    group = Group.objects.create(name="payments")
    SteeringRule.objects.create(system=fleet.system, kind="task.*", group=group)

    refused = retry(client, operate)
    member = make_user("bob", role="operator")
    member.groups.add(group)
    allowed = retry(client, bearer(make_token(["operate"], user=member)[1]))

    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert "payments" in refused.json()["detail"]
    assert allowed.status_code == 202


# --- What stays ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("DELETE FROM s3_control_action", id="deleted"),
        pytest.param("UPDATE s3_control_action SET actor = 'eve'", id="blamed on another"),
        pytest.param("UPDATE s3_control_action SET reason = 'as told'", id="explained anew"),
        pytest.param("UPDATE s3_control_action SET state = 'verified'", id="ended otherwise"),
        pytest.param("UPDATE s3_control_action SET after = '{}'", id="without its evidence"),
    ],
)
def test_the_audit_trail_cannot_be_changed(client: Client, operate: dict[str, str], statement: str) -> None:
    """Not by its writers either: the database itself refuses."""
    make_tasks(make_fleet(), 1)
    retry(client, operate, dry_run=True)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert Action.objects.get().state == "rehearsed"


def test_the_trail_outlives_fleet_and_person(client: Client, operate: dict[str, str]) -> None:
    """Forgetting a fleet must not forget what was done to it."""
    fleet = make_fleet()
    make_tasks(fleet, 1)
    retry(client, operate, dry_run=True)

    Fleet.objects.filter(pk=fleet.pk).delete()
    Action.objects.get().requested_by.delete()

    action = Action.objects.get()
    assert (action.fleet_name, action.actor, action.fleet_id, action.requested_by) == ("shop", "ann", None, None)


def test_the_trail_is_filtered_and_exported(client: Client, operate: dict[str, str]) -> None:
    """For whoever has to show it to somebody else; a cell that a spreadsheet would run is quoted."""
    make_tasks(make_fleet(), 1)
    retry(client, operate, dry_run=True, reason="=1+1")
    post(client, "tasks/revoke/", {"fleet": "shop", "parameters": {"ids": ["x"]}, "dry_run": True}, operate)

    listed = client.get("/api/v1/actions/?kind=task.revoke&actor=ann", headers=operate).json()["results"]
    text = client.get("/api/v1/actions/export/?kind=task.retry", headers=operate).getvalue().decode()
    lines = client.get("/api/v1/actions/export/?as=jsonl", headers=operate).getvalue().decode().splitlines()

    assert [each["kind"] for each in listed] == ["task.revoke"]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["kind"], row["reason"], row["state"]) for row in rows] == [("task.retry", "'=1+1", "rehearsed")]
    assert [json.loads(line)["kind"] for line in lines] == ["task.retry", "task.revoke"]


def test_lists_cost_the_same_however_long(
    client: Client, operate: dict[str, str], django_assert_max_num_queries: Any
) -> None:
    """No query per row."""
    make_tasks(make_fleet(), 1)
    for _ in range(8):
        retry(client, operate, dry_run=True)

    with django_assert_max_num_queries(12):
        found = client.get("/api/v1/actions/", headers=operate).json()["results"]

    assert len(found) == 8


# --- Carrying on -----------------------------------------------------------------------------------------------------
def test_an_act_waits_for_its_broker_and_gives_up_in_the_end(client: Client, operate: dict[str, str]) -> None:
    """A restart or an outage in between must neither lose it nor do it when nobody expects it any more."""
    fleet = make_fleet()
    captures.keep(fleet, [make_captured(each) for each in make_tasks(fleet, 1)])
    action = Action.objects.create(
        system=fleet.system, fleet=fleet, fleet_name="shop", kind="queue.purge", target="q", actor="ann"
    )
    now = action.requested_at

    begun = carrying.carry_out(str(action.pk), now=now)
    again = carrying.carry_out(str(action.pk), now=now)
    action.refresh_from_db()
    waiting = action.state, action.detail
    early = carrying.carry_on(now=now)
    late = carrying.carry_on(now=now + carrying.GIVE_UP * 2)
    action.refresh_from_db()

    assert (begun, again, early, late) == (True, False, 0, 1)
    assert waiting[0] == "applying"
    assert waiting[1].startswith("Waits for the broker")
    assert action.state == "failed"
    assert "guest" not in action.detail


def test_what_may_have_been_done_is_not_done_again(client: Client, operate: dict[str, str]) -> None:
    """Whoever dies between doing and saying so leaves a mark; the next one tells the doubt."""
    fleet = make_fleet()
    action = Action.objects.create(
        system=fleet.system, fleet=fleet, fleet_name="shop", kind="queue.purge", target="q", actor="ann",
        state="applying", leased_until=timezone.now(), memory={"begun": True},
    )  # fmt: skip

    carrying.carry_on(now=timezone.now())
    action.refresh_from_db()

    assert (action.state, action.detail) == ("failed", carrying.UNCERTAIN)


# --- Captured messages -----------------------------------------------------------------------------------------------
def test_messages_are_kept_once_and_sealed(client: Client, operate: dict[str, str]) -> None:
    """Arguments may be anything, names of customers too: a stolen copy of the database must not show them."""
    make_fleet()
    body = {"fleet": "shop", "tasks": [make_captured("one"), make_captured("two")]}

    counts = [post(client, "captures/", body, operate).json()["accepted"] for _ in range(2)]

    row = CapturedTask.objects.get(task_id="one")
    assert counts == [2, 0]
    assert b"shop.pay" not in bytes(row.message)
    assert json.loads(captures.again(row, uuid4()).body)[:2] == [["a"], {"b": 1}]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"body": "{}"}, "tasks.1.body"),
        ({"body": "["}, "tasks.1.body"),
        ({"at": -1}, "tasks.1.at"),
        ({"id": ""}, "tasks.1.id"),
        ({"more": 1}, "tasks.1.more"),
    ],
)
def test_a_message_that_is_none_is_named(
    client: Client, operate: dict[str, str], change: dict[str, Any], field: str
) -> None:
    """And none of its neighbours is kept, so that a corrected batch can be sent again."""
    make_fleet()
    body = {"fleet": "shop", "tasks": [make_captured("one"), {**make_captured("two"), **change}]}

    answer = post(client, "captures/", body, operate)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    assert not CapturedTask.objects.exists()


def test_revokes_beyond_what_workers_remember_are_refused(client: Client, operate: dict[str, str]) -> None:
    """A worker forgets its oldest revokes beyond 50,000, and would run them."""
    fleet = make_fleet()
    action = Action.objects.create(system=fleet.system, fleet=fleet, fleet_name="shop", kind="task.revoke", actor="a")
    StandingOrder.objects.bulk_create(
        StandingOrder(fleet=fleet, kind="revoke", key=str(number), action=action) for number in range(400)
    )

    answer = post(client, "tasks/revoke/", {"fleet": "shop", "parameters": {"ids": ["x"]}}, operate)

    assert (answer.status_code, answer.json()["code"]) == (409, "cannot")
    assert "park" in answer.json()["detail"]
