"""Tasks over HTTP: listed, triggered, run by a real worker, followed to the result."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from subsystems.messaging.models import Message
from subsystems.recursion.queries import root_system
from subsystems.s3_control.models import TaskRun
from tests.support.factories import bearer, make_system, make_token, make_unit, make_user


def operate() -> dict[str, str]:
    root_system()
    return bearer(make_token(["read", "operate"])[1])


def trigger(client: Client, headers: dict[str, str], name: str = "diagnostics.echo", **arguments: Any) -> Any:
    body = {"arguments": arguments}
    return client.post(f"/api/v1/tasks/{name}/trigger/", body, content_type="application/json", headers=headers)


def eventually(look: Callable[[], Any], within: float = 60.0) -> Any:
    """Ask again until *look* gives something; waits on an event rather than sleeping blindly."""
    pause = threading.Event()
    for _ in range(int(within / 0.05)):
        if found := look():
            return found
        pause.wait(0.05)
    raise AssertionError("it did not happen in time")


@pytest.mark.django_db(transaction=True)
def test_a_triggered_task_runs_on_a_worker_and_its_result_comes_back(client: Client, worker: object) -> None:
    """The whole road: HTTP, row, outbox, broker, worker, row, HTTP."""
    headers = operate()

    answer = trigger(client, headers, text="hello")

    def finished() -> dict[str, Any] | None:
        run: dict[str, Any] = client.get(answer["Location"], headers=headers).json()
        return run if run["state"] in {"succeeded", "failed"} else None

    assert answer.status_code == 202
    run = eventually(finished)
    assert (run["state"], run["result"]["text"]) == ("succeeded", "hello")
    assert run["worker"] == run["result"]["worker"] != ""


@pytest.mark.django_db
def test_what_may_be_triggered_is_listed_with_a_schema(client: Client) -> None:
    """A form, or a script, is made from it."""
    listed = {task["name"]: task for task in client.get("/api/v1/tasks/", headers=operate()).json()}

    assert {"diagnostics.echo", "operations.collect_now", "health.assess_now", "alerts.evaluate_now"} <= set(listed)
    assert listed["diagnostics.echo"]["schema"]["properties"]["text"]["type"] == "string"
    assert all(task["summary"] for task in listed.values())


@pytest.mark.django_db
def test_a_task_that_is_not_listed_does_not_exist(client: Client) -> None:
    """Every Celery task has a name, and most of them are nobody's to call."""
    answer = trigger(client, operate(), "messaging.receive")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_listed")


@pytest.mark.django_db
def test_a_refused_trigger_leaves_nothing_behind(client: Client) -> None:
    """A run that never runs would be waited for."""
    answer = trigger(client, operate(), text=["no", "text"])

    assert answer.status_code == 400
    assert not TaskRun.objects.exists()
    assert not Message.objects.exists()


@pytest.mark.django_db
def test_the_arguments_travel_by_row_not_by_message(client: Client) -> None:
    """A crafted value in a message makes a worker drop it unread."""
    headers = operate()

    run = trigger(client, headers, text='{"__type__": "nope"}').json()

    assert Message.objects.get(type="task.triggered").payload == {"run_id": run["id"]}


@pytest.mark.django_db
def test_people_see_their_own_runs(client: Client) -> None:
    """A result may hold what only its requester may read; administrators of the root see all."""
    mine, other = (make_user(role="operator") for _ in range(2))
    headers = {user: bearer(make_token(["read", "operate"], user=user)[1]) for user in (mine, other)}
    run = trigger(client, headers[mine]).json()
    address = f"/api/v1/tasks/runs/{run['id']}/"

    answers = [client.get(address, headers=each).status_code for each in (headers[mine], headers[other], operate())]

    assert answers == [200, 404, 200]


@pytest.mark.django_db
def test_an_operator_of_another_tenant_triggers_nothing(client: Client) -> None:
    """A task measures any unit and assesses every system: its result would show one tenant to another."""
    root_system()
    theirs = make_system()
    unit = make_unit(system=root_system())
    tenant = make_user(role="operator", system=theirs)
    bound = make_token(["read", "operate"], system=theirs)[1]

    answers = [
        trigger(client, bearer(secret), name="operations.probe_unit", unit_id=unit.pk)
        for secret in (make_token(["read", "operate"], user=tenant)[1], bound)
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert not TaskRun.objects.exists()


@pytest.mark.django_db
def test_a_run_that_nobody_made_does_not_exist(client: Client) -> None:
    """A typo in an id is a 404."""
    assert client.get(f"/api/v1/tasks/runs/{uuid.uuid4()}/", headers=operate()).status_code == 404
