"""The hook that captures what an application publishes, against the real door."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from celery import Celery, chain, chord
from celery.signals import before_task_publish
from django.test import Client as Browser
from django.utils import timezone

from subsystems.fleets.models import Task
from subsystems.fleets.queries import relatives
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control import captures
from subsystems.s3_control.models import CapturedTask
from tests.integration.test_api_steering import make_fleet
from tests.support.factories import bearer, make_token, make_user
from vsm_client.celery import TaskCapture

pytestmark = pytest.mark.django_db


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskCapture]:
    """A capture whose requests go to the platform of this test, without a socket."""
    root_system()
    make_fleet()
    headers = bearer(make_token(["ingest"], user=make_user(role="operator"))[1])
    hook = TaskCapture(
        "http://platform", token="x", fleet="shop", without=["*.secret"], flush_seconds=3600, max_tasks=5
    )

    def post(place: str, body: dict[str, object]) -> tuple[str | None, dict[str, object] | None]:
        answer = Browser().post("/api/v1/captures/", body, content_type="application/json", headers=headers)
        return (None, answer.json()) if answer.status_code == 202 else (f"status {answer.status_code}", None)

    monkeypatch.setattr(hook, "_post", post)
    monkeypatch.setattr(hook, "_ensure_running", lambda: None)
    yield hook
    hook.close()


@pytest.fixture
def app() -> Celery:
    made = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False, fixups=[])
    made.conf.task_routes = {"shop.pay": {"queue": "pay"}}
    return made


def test_what_was_published_can_be_sent_again_as_it_was(capture: TaskCapture, app: Celery) -> None:
    """Long arguments, a chain's rest and a priority: all that events leave out."""
    text = "x" * 5_000
    after = app.signature("shop.mail", args=["to"])
    sent = app.send_task("shop.pay", [text], {"at": 3}, priority=4, link=after)

    assert capture.flush()

    row = CapturedTask.objects.get()
    message = captures.again(row, uuid4())
    args, kwargs, embed = json.loads(message.body)
    assert (row.task_id, row.name, row.queue) == (sent.id, "shop.pay", "pay")
    assert (args, kwargs, message.properties["priority"]) == ([text], {"at": 3}, 4)
    assert embed["callbacks"][0]["task"] == "shop.mail"
    assert message.task_id != sent.id
    assert message.headers["vsm_retry_of"] == sent.id


def test_a_part_of_a_chain_calls_the_rest_again(capture: TaskCapture, app: Celery) -> None:
    """Sending the first part again without the rest would leave the work half done."""
    chain(app.signature("shop.pay", args=[1]), app.signature("shop.mail", args=[2]), app=app).apply_async()
    capture.flush()

    embed = json.loads(captures.again(CapturedTask.objects.get(), uuid4()).body)[2]

    assert [part["task"] for part in embed["chain"]] == ["shop.mail"]


def test_the_group_the_chord_and_the_trace_of_a_task_are_in_its_history(capture: TaskCapture, app: Celery) -> None:
    """No event tells them; and whether the message or the event is told first is left to chance."""
    fleet, trace = Fleet.objects.get(name="shop"), "0af7651916cd43dd8448eb211c80319c"

    def trace_it(headers: dict[str, object], **_: object) -> None:
        headers["traceparent"] = f"00-{trace}-b7ad6b7169203331-01"

    before_task_publish.connect(trace_it)  # (after the hook, as an application's tracing may be)
    work = chord([app.signature("shop.pay", args=[n], task_id=f"pay-{n}") for n in (1, 2)], app=app)
    sent = work(app.signature("shop.mail", task_id="mail", immutable=True))
    before_task_publish.disconnect(trace_it)
    heard(fleet, "pay-1", "mail")
    capture.flush()
    heard(fleet, "pay-2")
    late = captures.note_families()

    first, second = Task.objects.filter(uuid__startswith="pay").order_by("uuid")
    family = relatives(first)
    assert late == 1
    assert (first.trace_id, second.trace_id, first.chord_id, sent.id) == (trace, trace, "mail", "mail")
    assert first.group_id == second.group_id == sent.parent.id
    assert ([each.uuid for each in family.group], family.chord.uuid) == (["pay-2"], "mail")
    assert captures.note_families() == 0


def heard(fleet: Fleet, *uuids: str) -> None:
    """Write what the events of some tasks tell."""
    at = timezone.now()
    Task.objects.bulk_create([Task(fleet=fleet, uuid=each, name="shop.x", changed_at=at, seen_at=at) for each in uuids])


@pytest.mark.parametrize(
    ("headers", "chord_of"),
    [
        pytest.param({"group": 3, "traceparent": "00-zz-01"}, {"options": {"task_id": ["x"]}}, id="no text"),
        pytest.param({"group": "", "traceparent": f"00-{'0' * 32}-{'1' * 16}-01"}, "later", id="nothing"),
        pytest.param({"group": "g" * 156, "traceparent": None}, {"options": None}, id="too long"),
    ],
)
def test_a_family_that_makes_no_sense_is_left_out(
    capture: TaskCapture, headers: dict[str, object], chord_of: object
) -> None:
    """Headers are written by whoever publishes; the message itself is kept all the same."""
    body = json.dumps([[], {}, {"chord": chord_of}])
    told = {"id": "one", "name": "shop.pay", "queue": "pay", "body": body, "headers": headers, "at": time.time()}

    captures.keep(Fleet.objects.get(name="shop"), [told])

    assert CapturedTask.objects.get().family is None


def test_publishing_never_fails_for_the_hook(
    capture: TaskCapture, app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be kept is counted, what is not wanted is not looked at; the oldest go when there is no room."""
    caplog.set_level(logging.CRITICAL)
    app.send_task("shop.secret", ["no"])
    app.send_task("shop.pay", ["x" * 300_000])
    for number in range(7):
        app.send_task("shop.pay", [number])

    capture.flush()

    assert (capture.captured, capture.skipped, capture.dropped) == (7, 1, 2)
    kept = [json.loads(captures.again(row, uuid4()).body)[0] for row in CapturedTask.objects.order_by("published_at")]
    assert kept == [[2], [3], [4], [5], [6]]


def test_a_platform_that_is_away_gets_it_later(capture: TaskCapture, app: Celery) -> None:
    """An outage of the monitor is no reason to lose what it was told."""
    app.send_task("shop.pay", [1])
    working = capture._post
    capture._post = lambda place, body: ("status 503", None)
    first = capture.flush()
    capture._post = working

    assert (first, capture.flush(), CapturedTask.objects.count()) == (False, True, 1)
