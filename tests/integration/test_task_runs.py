"""Triggered tasks: from the request to the result, once, and never with what the caller wrote in a message."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from subsystems.kernel import triggerable as register
from subsystems.kernel.errors import Invalid, NotListed
from subsystems.kernel.triggerable import Arguments, tell_progress, triggerable
from subsystems.messaging.models import Message
from subsystems.s3_control import services
from subsystems.s3_control.models import TaskRun
from subsystems.s3_control.queries import run_body
from tests.support.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """List tasks that return or raise, for this test only."""
    monkeypatch.setattr(register, "_register", dict(register._register))

    @triggerable("test.breaks")
    def breaks(arguments: Arguments) -> None:
        """Break."""
        raise KeyError("gone")

    @triggerable("test.nan")
    def nan(arguments: Arguments) -> float:
        """Return what is no JSON."""
        return float("nan")

    @triggerable("test.nul")
    def nul(arguments: Arguments) -> str:
        """Return what PostgreSQL cannot store."""
        return "a\0b"

    @triggerable("test.counts")
    def counts(arguments: Arguments) -> None:
        """Tell how far it is."""
        for done in range(4):
            tell_progress(done, 3)


def test_a_message_carries_only_the_id_of_the_run() -> None:
    """A crafted value in a Celery argument makes a worker drop the message unread."""
    run = services.trigger("diagnostics.echo", {"text": '{"__type__":"nope","__value__":1}'}, by=make_user())

    assert Message.objects.get().payload == {"run_id": str(run.pk)}


def test_a_run_is_carried_out_once() -> None:
    """The broker delivers at least once; the claim makes it once."""
    run = services.trigger("diagnostics.echo", {"text": "hello"}, by=make_user())

    carried = [services.run(str(run.pk), worker="w1"), services.run(str(run.pk), worker="w2")]

    run.refresh_from_db()
    assert carried == [True, False]
    assert (run.state, run.worker, run.result["text"]) == ("succeeded", "w1", "hello")


@pytest.mark.parametrize(
    ("name", "error"),
    [("test.breaks", "KeyError: 'gone'"), ("test.nan", "ValueError"), ("test.nul", "ValueError")],
    ids=["it raises", "its result is no JSON", "its result cannot be stored"],
)
def test_a_run_that_fails_says_why(listed: None, name: str, error: str) -> None:
    """Whoever triggered it must learn of the failure, whatever it was."""
    run = services.trigger(name, {}, by=None)

    services.run(str(run.pk), worker="w1")

    run.refresh_from_db()
    assert run.state == "failed"
    assert run.error.startswith(error)
    assert run.finished_at is not None


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        pytest.param({"text": 5}, "arguments.text", id="wrong type"),
        pytest.param({"text": "x" * 1001}, "arguments.text", id="too long"),
        pytest.param({"texts": "x"}, "arguments.texts", id="unknown name"),
        pytest.param(["x"], "arguments", id="no object"),
        pytest.param({"text": "\0"}, "arguments", id="cannot be stored"),
        pytest.param({"text": "\ud800"}, "arguments", id="no text"),
        pytest.param({"text": float("nan")}, "arguments", id="no JSON"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(arguments: Any, field: str) -> None:
    """A client needs the field at fault, and nothing is left behind."""
    with pytest.raises(Invalid) as caught:
        services.trigger("diagnostics.echo", arguments, by=None)

    assert caught.value.field == field
    assert not TaskRun.objects.exists()


def test_a_text_about_an_escape_is_only_a_text() -> None:
    """Only a real NUL is refused."""
    run = services.trigger("diagnostics.echo", {"text": "\\u0000"}, by=None)

    assert run.arguments == {"text": "\\u0000"}


def test_what_is_not_listed_cannot_be_triggered() -> None:
    """Only what an app offers on purpose runs on request."""
    with pytest.raises(NotListed):
        services.trigger("os.system", {}, by=None)


def test_a_run_whose_worker_died_ends() -> None:
    """Nobody should follow a run for ever."""
    run = services.trigger("diagnostics.echo", {}, by=None)
    TaskRun.objects.update(state="running", started_at=timezone.now() - timedelta(minutes=11))

    given_up = services.give_up_lost(now=timezone.now())

    run.refresh_from_db()
    assert (given_up, run.state) == (1, "failed")


def test_a_run_that_tells_its_progress_is_not_given_up() -> None:
    """The first archive of a year takes longer than anybody waits for a sign of life."""
    run = services.trigger("diagnostics.echo", {}, by=None)
    hour_ago = timezone.now() - timedelta(hours=1)
    TaskRun.objects.update(state="running", started_at=hour_ago, heard_at=timezone.now() - timedelta(minutes=9))

    alive = services.give_up_lost(now=timezone.now())
    silent = services.give_up_lost(now=timezone.now() + timedelta(minutes=2))

    run.refresh_from_db()
    assert (alive, silent, run.state) == (0, 1, "failed")


def test_how_far_a_run_is_can_be_followed(listed: None) -> None:
    """Whoever triggered it sees how much is left."""
    run = services.trigger("test.counts", {}, by=None)

    services.run(str(run.pk), worker="w1")

    run.refresh_from_db()
    assert run.state == "succeeded"
    assert run_body(run)["progress"] == {"done": 3, "total": 3}


def test_a_run_as_json_has_everything_to_follow_it() -> None:
    """The API, the dashboard and scripts read the same body."""
    body = run_body(services.trigger("diagnostics.echo", {"text": "x"}, by=make_user("anna")))

    assert (body["state"], body["requested_by"], body["result"], body["finished_at"]) == ("pending", "anna", None, None)


@pytest.mark.parametrize("name", ["alerts.evaluate_now", "diagnostics.echo", "health.assess_now"])
def test_the_promised_tasks_are_listed_and_run(name: str) -> None:
    """What is offered must work without arguments."""
    run = services.trigger(name, {}, by=None)

    services.run(str(run.pk), worker="w1")

    run.refresh_from_db()
    assert (run.state, run.error) == ("succeeded", "")


@pytest.mark.django_db(transaction=True)
def test_a_triggered_task_runs_on_a_worker_and_its_result_comes_back(worker: object) -> None:
    """The whole road: request, outbox, broker, worker, row."""
    run = services.trigger("diagnostics.echo", {"text": "over the broker"}, by=make_user())

    finished = wait_for(run)

    assert finished.result["text"] == "over the broker"
    assert finished.result["worker"] == finished.worker != ""


def wait_for(run: TaskRun) -> TaskRun:
    """Return *run* once it is over; a worker's thread does it, so that only looking again tells."""
    limit = timezone.now() + timedelta(seconds=60)
    while timezone.now() < limit:
        run.refresh_from_db()
        if run.finished_at is not None:
            return run
    raise AssertionError(f"The run is still {run.state}.")
