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
from subsystems.messaging.fast_lane import chunked, pace_of_others, pace_of_pain
from subsystems.messaging.flows import FlowRefused
from subsystems.messaging.handlers import Delivered
from subsystems.messaging.models import DeadLetter, Delivery, Message, MessageTally
from subsystems.messaging.pressure import ChannelState
from subsystems.messaging.relay import send_due
from subsystems.messaging.wire import Letter, Outcome, Wire
from subsystems.recursion.models import System
from tests.support.factories import make_message, make_system
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
    Message.objects.update(losses=2)

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

    own = [
        query for query in asked.captured_queries if "messaging_" in query["sql"] and "FOR UPDATE" not in query["sql"]
    ]
    assert (len(own), effects()) == (4, 20)  # read, note, claim, finish; PostgreSQL locks the rows besides


def in_line(count: int, **payloads: dict[str, Any]) -> list[Message]:
    """Return messages that have waited for long; *payloads* by their place, as in `n3={…}`."""
    rows = services.publish_many([said(payload=payloads.get(f"n{n}", {})) for n in range(count)])
    Message.objects.update(created_at=timezone.now() - timedelta(seconds=5))
    return rows


@pytest.mark.django_db
def test_who_handles_some_of_a_long_line_goes_on_with_it(heard: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of messages that travel singly would cost a task and a commit each. Those of others are left alone."""
    monkeypatch.setattr(receiving, "ROUND_SECONDS", 60.0)  # however slow the machine, the pace allows what there is
    rows = in_line(30)
    Message.objects.filter(pk=rows[7].pk).update(attempts=1)
    Message.objects.filter(pk=rows[8].pk).update(losses=1)

    with CaptureQueriesContext(connection) as asked:
        counts = [receive(rows[0]), receive(rows[1])]

    own = [
        query for query in asked.captured_queries if "messaging_" in query["sql"] and "FOR UPDATE" not in query["sql"]
    ]
    assert (counts, effects()) == ([28, 0], 28)
    assert len(own) < 15
    assert {row.number for row in Message.objects.exclude(state="handled")} == {rows[7].number, rows[8].number}


@pytest.mark.django_db
def test_what_has_just_come_forms_no_line(heard: list[Any]) -> None:
    """Its own task is on its way, and nobody gains by doing its work before."""
    rows = services.publish_many([said() for _ in range(5)])

    assert [receive(rows[0]), receive(rows[1])] == [1, 1]


@pytest.mark.django_db
def test_one_that_fails_in_a_line_is_undone_alone(heard: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The others of its round are handled once all the same, and it keeps two tries."""
    monkeypatch.setattr(receiving, "ROUND_SECONDS", 60.0)
    rows = in_line(10, n4={"break": 1})

    counts = [receive(row) for row in rows[:4]]

    assert (counts, effects()) == ([9, 0, 0, 0], 9)
    failed = Message.objects.get(pk=rows[4].pk)
    assert (failed.state, failed.attempts) == ("waiting", 1)


@pytest.mark.django_db
def test_a_message_that_kills_its_workers_leaves_the_line(heard: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each task before it would die of it, one after the other."""
    monkeypatch.setattr(receiving, "ROUND_SECONDS", 60.0)
    rows = in_line(10)
    deadly, living, calls = rows[5], receiving.call, list[int]()

    def kill(handler: handlers.Handler, row: Message, worker: str) -> None:
        if row.number == deadly.number:
            calls.append(row.number)
            raise Killed
        living(handler, row, worker)

    monkeypatch.setattr(receiving, "call", kill)
    for row in rows:
        for redelivered in (False, True, True, True):
            with suppress(Killed):
                receive(row, redelivered=redelivered)

    states = [Message.objects.get(pk=row.pk).state for row in rows]
    assert (states.count("handled"), states[5], effects()) == (9, "dead", 9)
    assert len(calls) == 4  # once in the line, three times of its own


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


@pytest.mark.django_db
def test_an_outage_of_the_broker_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A line every two seconds for a night hides everything else that happened in it."""
    with closing(Wire(app, "amqp://guest:guest@127.0.0.1:1//")) as wire:
        for _ in range(3):
            services.publish(said())
            Message.objects.update(due_at=timezone.now())
            assert send_due(wire, HOLDER) == 0

    assert caplog.text.count("The broker is away") == 1


@pytest.mark.django_db(transaction=True)
def test_what_waits_in_a_queue_that_is_served_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch, heard: list[Any]
) -> None:
    """Sending it again makes a long queue longer. What was overtaken, or stands where nothing moves, is lost."""
    monkeypatch.setattr(fast_lane.Lane, "offer", lambda *_: None)
    now, sent = timezone.now(), dict[str, Message]()
    for name, seconds_ago in {"overtaken": 90, "heard": 70, "in line": 65}.items():
        sent[name] = services.publish(said(payload={"n": 1}))
        sent_at = now - timedelta(seconds=seconds_ago)
        Message.objects.filter(pk=sent[name].pk).update(state="sent", sent_at=sent_at, sends=1, due_at=now)
    receive(sent["heard"])

    served = [row.number for row in outbox.claim(10, holder=HOLDER, now=now)]
    later = now + timedelta(seconds=120)
    stopped = [row.number for row in outbox.claim(10, holder=HOLDER, now=later)]

    assert served == [sent["overtaken"].number]
    assert stopped == [sent["overtaken"].number, sent["in line"].number]


@pytest.mark.django_db(transaction=True)
def test_one_that_left_twice_says_nothing_of_where_its_queue_stands(
    monkeypatch: pytest.MonkeyPatch, heard: list[Any]
) -> None:
    """Its first letter came, and its second left late: it would make the whole line look lost, and be sent again."""
    monkeypatch.setattr(fast_lane.Lane, "offer", lambda *_: None)
    now = timezone.now()
    twice, once = services.publish(said(payload={"n": 1})), services.publish(said(payload={"n": 2}))
    Message.objects.update(state="sent", sent_at=now - timedelta(seconds=70), sends=1, due_at=now)
    Message.objects.filter(pk=twice.pk).update(sent_at=now, sends=2)
    receive(twice)

    claimed = outbox.claim(10, holder=HOLDER, now=now)

    assert claimed == []
    assert Message.objects.get(pk=once.pk).due_at == now + outbox.RESEND


@pytest.mark.django_db
def test_what_a_broker_may_still_hold_is_asked_about_a_while_after_it_is_back(
    monkeypatch: pytest.MonkeyPatch, heard: list[Any]
) -> None:
    """Who handles it needs a moment to connect. What never left goes soon."""
    monkeypatch.setattr(fast_lane.Lane, "offer", lambda *_: None)
    now = timezone.now()
    held, new = services.publish(said(payload={"n": 1})), services.publish(said(payload={"n": 2}))
    Message.objects.update(due_at=now)
    Message.objects.filter(pk=held.pk).update(state="sent", sent_at=now - timedelta(seconds=70), sends=1)

    outbox.wait_for_broker(outbox.claim(10, holder=HOLDER, now=now), "away", now=now)

    waits = {row.number: row.due_at - now for row in Message.objects.all()}
    assert waits == {held.number: outbox.ASKED_PAUSE, new.number: outbox.REFUSED_PAUSE}


def test_behind_a_long_line_messages_travel_in_larger_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever handles them gains by it, and where a thousand wait nobody notices. Pain goes alone and at once."""
    picture: dict[Channel, ChannelState] = {}
    monkeypatch.setattr(queries, "last_picture", lambda: picture)

    def paces() -> list[tuple[int, float]]:
        return [(pace.together, pace.gather_seconds) for pace in (pace_of_pain(), pace_of_others())]

    usual = paces()
    picture[Channel.COMMAND] = ChannelState(100_000)
    elsewhere = paces()
    picture[Channel.ALGEDONIC] = ChannelState(1_000)

    assert usual == [(1, 0.0), (50, 0.02)]
    assert elsewhere == [(1, 0.0), (50, 1.0)]
    assert paces() == [(10, 0.1), (50, 1.0)]
    letters = [Letter((number,), "algedonic", "task", 2 * (number % 2)) for number in range(6)]
    assert [letter.numbers for letter in chunked(letters, 50, pain=2)] == [(0, 2), (4,), (1, 3), (5,)]


@pytest.mark.django_db(transaction=True)
def test_what_failed_before_it_was_marked_keeps_its_next_try(heard: list[Any]) -> None:
    """The fast lane writes down late what left; that must not put off a retry, or open again what was handled."""
    failed, handled, waiting = (services.publish(said(payload=payload)) for payload in ({"break": 1}, {}, {}))
    fast_lane.settle()
    Message.objects.update(state="waiting", sends=0, sent_at=None, claimed_by=None, due_at=timezone.now())
    receive(failed)
    receive(handled)
    due_at = Message.objects.get(pk=failed.pk).due_at

    outbox.mark(Outcome(confirmed=[outbox.letter_of(row) for row in (failed, handled, waiting)]))

    rows = {row.pk: row for row in Message.objects.all()}
    assert (rows[failed.pk].state, rows[failed.pk].due_at) == ("waiting", due_at)
    assert [rows[each.pk].state for each in (handled, waiting)] == ["handled", "sent"]
    assert {row.sends for row in rows.values()} == {1}


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


@pytest.mark.django_db
def test_how_many_messages_there_were_outlives_their_rows() -> None:
    """A counter that fell when old messages are deleted would look like a restart, and count everything once more."""
    system = make_system()
    now = timezone.now()
    old = now - services.KEEP - timedelta(hours=1)

    def total() -> list[tuple[int, str, str, str, int]]:
        return queries.message_totals([system.pk])

    for moment in (old, old, now):
        make_message(system=system, state=Message.State.HANDLED, created_at=moment, count=2)
    before = total()
    services.tally(now=now)
    tallied = total()
    services.forget_old(now=now)
    services.tally(now=now)
    make_message(system=system, created_at=now)

    assert before == tallied == [(system.pk, "coordination", "s2", "s1", 6)]
    assert total() == [(system.pk, "coordination", "s2", "s1", 7)]
    assert Message.objects.count() == 2
    assert MessageTally.objects.count() == 1
