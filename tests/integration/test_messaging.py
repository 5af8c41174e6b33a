"""Messages leave on commit, are handled once in effect, and survive a broker that is away."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subsystems.event_log.models import PendingEvent
from subsystems.kernel.errors import Invalid, Refused
from subsystems.messaging import fast_lane, handlers, outbox, pressure, queries, receiving, services
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import MAX_HOPS, Envelope, new_id
from subsystems.messaging.flows import FlowRefused
from subsystems.messaging.handlers import Delivered
from subsystems.messaging.models import DeadLetter, Delivery, Message
from subsystems.messaging.relay import send_due
from subsystems.messaging.wire import Wire
from subsystems.recursion.models import System
from tests.support.waiting import wait_for
from vsm_site.celery import app

LATER = timedelta(minutes=1)
HOLDER = uuid.uuid4()


def said(**fields: Any) -> Envelope:
    """Return a message of S2 to a unit."""
    usual = {"channel": Channel.COORDINATION, "sender": Party.S2, "recipient": Party.S1, "type": "test.said"}
    return Envelope(**{**usual, **fields})


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    """Listen to `test.said`; a payload with `break` makes the listener fail, one with `answer` makes it answer."""
    log: list[dict[str, Any]] = []

    def listen(envelope: Envelope, context: Delivered) -> Mapping[str, Any] | None:
        System.objects.create(slug=f"effect-{uuid.uuid4()}", name=envelope.id)
        log.append(dict(envelope.payload))
        if "break" in envelope.payload:
            raise RuntimeError("as asked")
        if "refuse" in envelope.payload:
            raise Refused("not this one")
        return {"said": "yes"} if "answer" in envelope.payload else None

    for recipient in ("s1", "s3_star"):
        handlers.handles(recipient, "test.said", name=f"test.{recipient}")(listen)
    yield log
    for recipient in ("s1", "s3_star"):
        handlers.remove(f"test.{recipient}")


def effects() -> int:
    return System.objects.filter(slug__startswith="effect-").count()


def receive(*messages: Message, redelivered: bool = False) -> int:
    return receiving.receive([each.number for each in messages], worker="w@test", redelivered=redelivered)


@pytest.mark.django_db
def test_a_message_and_its_event_are_in_the_callers_transaction() -> None:
    """A message about something that was rolled back would be a lie; so would its event."""
    with transaction.atomic():
        services.publish(said())
        transaction.set_rollback(True)

    assert (Message.objects.count(), PendingEvent.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_a_message_is_handled_once_however_often_it_arrives(heard: list[Any]) -> None:
    """Brokers deliver at least once; the claim makes it exactly once in effect."""
    message = services.publish(said())

    counts = [receive(message), receive(message), receive(message, message)]

    assert (counts, effects(), len(heard)) == ([1, 0, 0], 1, 1)
    assert Message.objects.get().state == Message.State.HANDLED


@pytest.mark.django_db
def test_a_failing_message_keeps_no_effect_and_spoils_no_other(heard: list[Any]) -> None:
    """Messages travel together for speed; one that fails must undo itself alone."""
    rows = services.publish_many([said(), said(payload={"break": 1}), said()])

    receive(*rows)

    states = [Message.objects.get(pk=row.pk).state for row in rows]
    assert states == ["handled", "waiting", "handled"]
    assert effects() == 2


@pytest.mark.django_db
def test_a_poison_message_is_a_dead_letter_after_three_tries(heard: list[Any]) -> None:
    """It must not come back for ever, and whoever finds it must see what happened each time."""
    message = services.publish(said(payload={"break": 1}))

    for _ in range(5):
        receive(message)

    letter, delivery = DeadLetter.objects.get(), Delivery.objects.get()
    assert (letter.message, letter.reason, len(heard)) == (message, "failed", 3)
    assert [entry["error"] for entry in delivery.history] == ["RuntimeError: as asked"] * 3
    assert PendingEvent.objects.filter(type="message.died", message_id=message.id).count() == 1


@pytest.mark.django_db
def test_a_dead_letter_is_sent_again_once(heard: list[Any]) -> None:
    """Two people may press the button; the message has three new tries, not six."""
    message = services.publish(said(payload={"refuse": 1}))
    receive(message)
    letter = DeadLetter.objects.get()
    Message.objects.update(payload={})

    replayed = [services.replay(letter, by="ada", now=timezone.now()) for _ in range(2)]
    receive(message)

    assert replayed == [True, False]
    assert (Message.objects.get().state, effects()) == ("handled", 1)


@pytest.mark.django_db
def test_a_message_that_kills_its_workers_is_buried(heard: list[Any]) -> None:
    """A worker that dies says nothing; the deliveries that never ended are counted before the next one begins."""
    message = services.publish(said(payload={"break": 1}))
    Message.objects.update(attempts=2)

    receive(message, redelivered=True)

    assert (DeadLetter.objects.get().reason, heard) == ("worker_lost", [])


class Killed(BaseException):
    """What SIGKILL is to a handler: nothing after it runs."""


@pytest.mark.django_db
def test_a_message_that_kills_its_workers_takes_no_other_with_it(heard: list[Any]) -> None:
    """Messages that travel together are redelivered together, and only one of them is to blame."""
    rows = services.publish_many([said(), said(type="test.killing"), said()])

    def kill(envelope: Envelope, context: Delivered) -> None:
        raise Killed

    handlers.handles("s1", "test.killing", name="test.killing")(kill)
    try:
        for redelivered in (False, True, True, True):
            with suppress(Killed):
                receive(*rows, redelivered=redelivered)
    finally:
        handlers.remove("test.killing")

    assert [Message.objects.get(pk=row.pk).state for row in rows] == ["handled", "dead", "handled"]
    assert (DeadLetter.objects.get().message, effects()) == (rows[1], 2)


@pytest.mark.django_db
def test_what_a_restarted_broker_redelivers_is_still_handled_together(heard: list[Any]) -> None:
    """After a restart everything that waited is marked as redelivered; to go one by one then would take hours."""
    rows = services.publish_many([said() for _ in range(20)])

    with CaptureQueriesContext(connection) as asked:
        receive(*rows, redelivered=True)

    own = [query for query in asked.captured_queries if "messaging_" in query["sql"]]
    assert (len(own), effects()) == (4, 20)  # read, note, claim, finish


@pytest.mark.django_db
def test_a_message_nobody_listens_to_is_a_dead_letter() -> None:
    """To vanish without a word is the one thing a message must not do."""
    receive(services.publish(said(type="test.nobody")))

    assert DeadLetter.objects.get().reason == "no_handler"


@pytest.mark.django_db
def test_an_expired_message_is_not_handled(heard: list[Any]) -> None:
    """An order that is too late may be the wrong order by now."""
    message = services.publish(said(expires_at=timezone.now() - timedelta(seconds=1)))

    receive(message)

    assert (Message.objects.get().state, heard) == ("expired", [])


@pytest.mark.django_db
def test_a_batch_is_one_row_and_each_of_its_messages_is_heard_once(heard: list[Any]) -> None:
    """A hundred logical messages cost little more than one."""
    message = services.publish_batch(said(), [{"n": n} for n in range(100)])

    receive(message)
    receive(message)

    assert [payload["n"] for payload in heard] == list(range(100))
    assert Message.objects.get().count == 100


@pytest.mark.parametrize("payload", [[{"n": float("nan")}], [{"s": "\ud800"}], [], [{"s": "x" * 1_100_000}]])
@pytest.mark.django_db
def test_a_batch_that_cannot_travel_is_refused_whole(payload: list[dict[str, Any]]) -> None:
    """Half a batch would be worse than none."""
    with pytest.raises(Invalid) as refused:
        services.publish_batch(said(), payload)

    assert (refused.value.field, Message.objects.count()) == ("payloads", 0)


@pytest.mark.django_db
def test_a_refusal_is_told_and_written_down() -> None:
    """S5 does not command S1; who tried it should be found in the log, with what is possible instead."""
    forbidden = said(channel=Channel.COMMAND, sender=Party.S5)

    with pytest.raises(FlowRefused, match="through S3"):
        services.send(forbidden, system_id=None, actor="ada")

    event = PendingEvent.objects.get()
    assert (event.type, event.actor, event.message_id) == ("message.refused", "ada", forbidden.id)
    assert not Message.objects.exists()


@pytest.mark.django_db
def test_an_audit_answer_needs_an_open_audit(heard: list[Any]) -> None:
    """S1 does not speak to S3* unasked, and an answered audit is closed (2-10)."""
    question = said(channel=Channel.AUDIT, sender=Party.S3_STAR, payload={"answer": 1})
    unasked = said(channel=Channel.AUDIT, sender=Party.S1, recipient=Party.S3_STAR)
    with pytest.raises(FlowRefused, match="open request"):
        services.publish(unasked)

    receive(services.publish(question, reply_within=LATER))

    answer = queries.answers_to(question.id)[0]
    assert (answer.sender, answer.payload, answer.type) == ("s1", {"said": "yes"}, "test.said.reply")
    assert Message.objects.get(id=question.id).reply_state == "answered"
    with pytest.raises(FlowRefused):
        services.publish(replace(unasked, id=new_id(), correlation_id=question.id))


@pytest.mark.django_db
def test_a_request_nobody_answers_expires_once() -> None:
    """Who asked is told, so that nobody waits for ever."""
    services.publish(said(), reply_within=timedelta(seconds=1))
    late = timezone.now() + LATER

    expired = [services.expire_requests(now=late), services.expire_requests(now=late)]

    assert (expired, Message.objects.filter(type="request.expired").count()) == ([1, 0], 1)


@pytest.mark.django_db
def test_a_loop_of_hops_is_stopped_and_reported() -> None:
    """A message passed on in a circle would go round for ever (2-50)."""
    with pytest.raises(Invalid, match="loop"):
        services.send(said(hop_count=MAX_HOPS + 1), system_id=None)

    assert Message.objects.get().type == "message.looped"


@pytest.mark.django_db
def test_a_full_channel_refuses_the_least_urgent_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be worked off must not pile up, and critical pain always finds room."""
    crowded = pressure.ChannelState(backlog=96, capacity=100)
    monkeypatch.setattr(queries, "channel_state", lambda channel: crowded)
    monkeypatch.setattr(pressure, "SLOW_SECONDS", 0.0)

    outcomes = []
    for priority in (2, 5, 8, 10):
        try:
            services.publish(said(priority=priority))
            outcomes.append("accepted")
        except pressure.ChannelFull:
            outcomes.append("refused")

    assert outcomes == ["refused", "refused", "accepted", "accepted"]


@pytest.mark.django_db
def test_a_message_asked_twice_by_one_id_is_refused() -> None:
    """A program outside that is unsure sends again; the second must not act."""
    first = said()
    services.send(first, system_id=None)

    with pytest.raises(Refused, match="before"):
        services.send(first, system_id=None)


@pytest.mark.django_db(transaction=True)
def test_a_message_outlives_a_broker_that_is_away(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is the truth: it waits until a relay finds the broker again."""
    monkeypatch.setattr(fast_lane, "_lanes", {})
    working, settings.BROKER_URL = settings.BROKER_URL, "amqp://guest:guest@127.0.0.1:1//"
    services.publish(said())
    fast_lane.settle()
    Message.objects.update(due_at=timezone.now())

    while_away = send_due(Wire(app, settings.BROKER_URL), HOLDER), Message.objects.get().state
    Message.objects.update(due_at=timezone.now())
    with closing(Wire(app, working)) as wire:
        back_again = send_due(wire, HOLDER), Message.objects.get().state

    assert (while_away, back_again) == ((0, "waiting"), (1, "sent"))


@pytest.mark.django_db(transaction=True)
def test_a_relay_leaves_what_another_one_leased() -> None:
    """Two relays side by side share the work."""
    services.publish_many([said(), said()])
    fast_lane.settle()
    Message.objects.update(state="waiting", due_at=timezone.now())

    claimed = [len(outbox.claim(10, holder=uuid.uuid4(), now=timezone.now())) for _ in range(2)]

    assert claimed == [2, 0]


@pytest.mark.embedded
@pytest.mark.django_db(transaction=True)
def test_a_process_without_the_worker_leaves_its_messages_to_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command beside the embedded platform has a broker of its own, on which nobody would hear it."""
    monkeypatch.setattr(fast_lane, "_worker_here", False)

    services.publish(said())
    fast_lane.settle()

    row = Message.objects.get()
    assert (row.state, row.due_at <= timezone.now()) == ("waiting", True)


@pytest.mark.django_db(transaction=True)
def test_a_message_goes_round_through_a_real_worker(worker: object, heard: list[Any]) -> None:
    """Commit, fast lane, broker, worker, effect: nothing is imitated here."""
    with transaction.atomic():
        services.publish(said(payload={"n": 1}))

    wait_for(lambda: Message.objects.get().state == "handled")

    assert (heard, effects()) == ([{"n": 1}], 1)
