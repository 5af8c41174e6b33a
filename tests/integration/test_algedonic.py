"""Signals from the transaction that raises them to S5's handler, and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from subsystems.algedonic import alert_handlers, lifecycle, queries, services
from subsystems.algedonic.models import Signal, SignalNote, SignalPolicy
from subsystems.algedonic.services import raise_signal
from subsystems.event_log.models import PendingEvent
from subsystems.kernel.errors import Invalid, Refused
from subsystems.messaging import fast_lane, live, receiving
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.flows import FlowRefused
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.models import DeadLetter, Message
from subsystems.messaging.outbox import OPEN
from subsystems.messaging.services import publish
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from tests.support.factories import make_system, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages stay in the outbox; these tests hand them to the handlers, the most urgent first."""
    monkeypatch.setattr(fast_lane.Lane, "offer", lambda *_: None)


@pytest.fixture
def system() -> System:
    return root_system()


@pytest.fixture
def by() -> User:
    return make_user("ada", role="operator")


@pytest.fixture
def no_limits(settings: Any) -> None:
    settings.RATE_LIMITING = False


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Collect what open dashboards are told: kind and key."""
    seen: list[tuple[str, str]] = []
    monkeypatch.setattr("subsystems.algedonic.emission.push", lambda _, kind, key, __: seen.append((kind, key)))
    return seen


def pain(severity: str | None = "critical", **fields: Any) -> Signal:
    signal = raise_signal(type="pain", source=fields.pop("source", "pump"), severity=severity, **fields)
    assert signal is not None
    return signal


def waiting() -> list[Message]:
    return list(Message.objects.filter(state__in=OPEN, channel="algedonic").order_by("-priority", "number"))


def deliver() -> int:
    """Let the handlers hear what waits, the most urgent first, until nothing does."""
    count = 0
    while messages := waiting():
        count += receiving.receive([messages[0].number], worker="w@test")
    return count


def from_outside(payload: dict[str, Any]) -> Envelope:
    """Return what a program that knows the channel but not us says to S5."""
    return Envelope(
        channel=Channel.ALGEDONIC, sender=Party.S1, recipient=Party.S5, type="algedonic.signal", payload=payload,
        priority=10,
    )  # fmt: skip


def told(signal: Signal) -> list[tuple[str, int, bool]]:
    rows = signal.routes.order_by("level", "pk").values_list("party", "level", "heard_at")
    return [(party, level, heard is not None) for party, level, heard in rows]


def events(type_: str) -> list[dict[str, Any]]:
    found = PendingEvent.objects.filter(stream="vsm-algedonic-signals", type=type_).order_by("number")
    return [json.loads(event.data) for event in found]


# --- Raising and hearing --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("severity", "recipients"),
    [("critical", ["s5"]), ("high", ["s4", "s5"]), ("medium", ["s3"]), ("low", [])],
)
def test_a_signal_goes_where_the_table_says(system: System, severity: str, recipients: list[str]) -> None:
    """A message for each, all with the signal's id to follow them by (2-6)."""
    signal = pain(severity)
    messages = Message.objects.filter(correlation_id=signal.pk).order_by("number")

    assert [message.recipient for message in messages] == recipients
    assert {message.channel for message in messages} <= {"algedonic"}
    deliver()
    signal.refresh_from_db()
    assert signal.received_at is not None
    assert told(signal) == [(party, 0, True) for party in recipients or ["s3"]]


def test_the_id_is_16_random_bytes_in_upper_case(system: System) -> None:
    """Requirement 000-33."""
    key = pain().pk

    assert len(bytes.fromhex(key)) == 16
    assert key == key.upper()


def test_a_signal_of_a_transaction_that_failed_was_never_raised(system: System) -> None:
    """Otherwise S5 would hear of what did not happen."""
    with transaction.atomic():
        pain()
        transaction.set_rollback(True)

    assert (Signal.objects.count(), Message.objects.count(), PendingEvent.objects.count()) == (0, 0, 0)


def test_the_documented_event_is_recorded(system: System) -> None:
    """Its fields are those of 004-19."""
    signal = pain("medium", data={"pressure": 3}, description="Pressure falls.")

    (event,) = events("AlgedonicSignalEmitted")
    assert event.items() >= {
        "subsystem": "algedonic_channel", "signal_id": signal.pk, "signal_type": "pain", "severity": "medium",
        "source": "pump", "description": "Pressure falls.", "metrics": {"pressure": 3},
    }.items()  # fmt: skip
    assert event["metadata"]["escalation_path"] == ["s3", "s4", "s5"]
    assert event["metadata"]["version"] == 1


def test_what_is_too_faint_is_not_raised(system: System) -> None:
    """A measure below the threshold is no signal; the threshold is the system's policy."""
    faint = {"type": "pain", "source": "pump", "intensity": 0.5}
    assert raise_signal(**faint) is None  # type: ignore[arg-type]

    SignalPolicy.objects.create(system=system, pain_threshold=0.4)

    assert raise_signal(**faint) is not None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": "joy"}, "type"),
        ({"severity": "loud"}, "severity"),
        ({"intensity": 2}, "intensity"),
        ({"source": ""}, "source"),
        ({"source": "a\0b"}, "source"),
        ({"source": "x" * 201}, "source"),
        ({"description": "x" * 2001}, "description"),
        ({"description": "\ud800"}, "description"),
        ({"data": [1]}, "data"),
        ({"data": {"x": float("nan")}}, "data"),
        ({"data": {"x": "y" * 1_100_000}}, "data"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_input_names_its_field(system: System, fields: dict[str, Any], field: str) -> None:
    """And leaves nothing behind."""
    with pytest.raises(Invalid) as refused:
        raise_signal(**{"type": "pain", "source": "pump", **fields})

    assert refused.value.field == field
    assert not Signal.objects.exists()


@pytest.mark.parametrize("severity", ["critical", "high", "medium", "low"])
def test_s5_raises_no_pain_to_itself(system: System, severity: str) -> None:
    """Whatever its severity, also where no message would be sent (2-7)."""
    with pytest.raises(FlowRefused):
        pain(severity, origin=Party.S5)

    assert not Signal.objects.exists()


def test_a_message_from_outside_becomes_a_signal(system: System) -> None:
    """Programs speak to the channel, not to our tables (003-8)."""
    said = {"signal_type": "pain", "severity": "high", "source": "boiler", "description": "Too hot."}
    publish(from_outside(said), system_id=system.pk)
    deliver()

    signal = Signal.objects.get()
    assert (signal.source, signal.severity, signal.received_at is not None) == ("boiler", "high", True)
    assert told(signal) == [("s4", 0, True), ("s5", 0, True)]


def test_a_message_that_says_no_signal_is_a_dead_letter(system: System) -> None:
    """With its reason, and the lane goes on."""
    publish(from_outside({"type": "joy"}), system_id=system.pk)
    deliver()

    assert "pain or pleasure" in DeadLetter.objects.get().detail


def test_critical_signals_are_heard_before_those_that_came_first(system: System, no_limits: None) -> None:
    """Several wait: the order is that of severity."""
    raised = [pain(severity, source=severity) for severity in ("medium", "high", "critical")]

    heard = [message.correlation_id for message in waiting()]

    assert heard[0] == raised[2].pk
    assert heard[-1] == raised[0].pk


# --- Groups, limits -------------------------------------------------------------------------------------------------
def test_identical_critical_signals_are_one_row_that_counts(system: System) -> None:
    """Never dropped, only grouped; each is an event and reaches S5 (2-28)."""
    first = pain(description="Pressure is gone.")
    deliver()

    again = [pain(description="Pressure is gone.", data={"bar": bar}) for bar in range(3)]
    deliver()

    first.refresh_from_db()
    assert {signal.pk for signal in again} == {first.pk}
    assert first.times_seen == 4
    assert Signal.objects.filter(aggregate=False).count() == 1
    assert len(events("AlgedonicSignalEmitted")) == 4


def test_a_repeat_of_what_was_resolved_meanwhile_hurts_anew(system: System, by: User) -> None:
    """It was on its way while somebody resolved the first: it must not vanish into a closed row."""
    first = pain()
    deliver()
    pain()
    lifecycle.resolve(first, by)

    deliver()

    assert sorted(Signal.objects.values_list("state", flat=True)) == ["received", "resolved"]


def test_a_new_critical_signal_overtakes_the_repeats_of_another(system: System) -> None:
    """A storm of one pain must not hide the next."""
    pain(source="storm")
    deliver()
    for _ in range(5):
        pain(source="storm")
    new = pain(source="new")

    assert waiting()[0].correlation_id == new.pk


def test_critical_is_never_limited_and_the_rest_is(system: System) -> None:
    """Five medium signals a minute; a refusal leaves its count on what it resembles (004-6, 2-28)."""
    for number in range(30):
        pain(source=f"pump {number}")
    medium = [pain("medium") for _ in range(5)]

    with pytest.raises(RateLimited):
        pain("medium")

    medium[-1].refresh_from_db()
    assert medium[-1].suppressed_count == 1
    assert Signal.objects.filter(severity="critical").count() == 30


def test_copies_do_not_use_up_the_limit(system: System) -> None:
    """Ten high signals a minute are ten signals, not five with a copy each."""
    assert len([pain("high", source=f"pump {n}") for n in range(10)]) == 10

    with pytest.raises(RateLimited):
        pain("high", source="pump 11")


def test_low_signals_are_limited_although_no_message_is_sent(system: System) -> None:
    """Two a minute."""
    for _ in range(2):
        pain("low")

    with pytest.raises(RateLimited):
        pain("low")


def test_a_side_effect_survives_a_full_channel(system: System) -> None:
    """Whoever marks a unit silent must not fail because there was pain enough."""
    raised = [services.try_to_raise(type="pain", source="pump", severity="medium") for _ in range(7)]

    assert [signal is not None for signal in raised] == [True] * 5 + [False] * 2


# --- Patterns -------------------------------------------------------------------------------------------------------
def test_the_sixth_similar_signal_raises_one_aggregate(system: System, no_limits: None) -> None:
    """High at least, once per window, its count kept up (000-36, 000-37, 2-36)."""
    for _ in range(5):
        pain("medium", description="Vibrates.")
    deliver()
    assert not Signal.objects.filter(aggregate=True).exists()

    for _ in range(4):
        pain("medium", description="Vibrates.", data={"rpm": 900})
    deliver()

    aggregate = Signal.objects.get(aggregate=True)
    assert (aggregate.severity, aggregate.source, aggregate.pattern_count) == ("high", "pump", 9)
    assert queries.signal_body(aggregate)["data"] == {"rpm": 900, "pattern_count": 9}
    assert told(aggregate) == [("s4", 0, True), ("s5", 0, True)]


def test_other_sources_and_types_are_other_patterns(system: System, no_limits: None) -> None:
    """Same source and same type."""
    for number in range(5):
        pain("medium", source="a")
        pain("medium", source=f"b{number}")
    raise_signal(type="pleasure", source="a", severity="medium")
    deliver()

    assert not Signal.objects.filter(aggregate=True).exists()


def test_a_pattern_of_critical_signals_stays_critical(system: System) -> None:
    """Six that differ; forcing high would have made them milder."""
    for number in range(6):
        pain(description=f"Valve {number} is stuck.")
    deliver()

    assert Signal.objects.get(aggregate=True).severity == "critical"


def test_identical_critical_signals_are_a_pattern_too(system: System) -> None:
    """They share a row, and still there were six."""
    for _ in range(6):
        pain()
        deliver()

    assert Signal.objects.get(aggregate=True).pattern_count == 6


def test_an_aggregate_gets_worse_with_what_it_stands_for(system: System, no_limits: None) -> None:
    """And S5 is told of that."""
    for _ in range(6):
        pain("medium")
    deliver()
    pain("critical")
    deliver()

    aggregate = Signal.objects.get(aggregate=True)
    assert (aggregate.severity, aggregate.pattern_count) == ("critical", 7)


def test_low_signals_make_patterns(system: System, no_limits: None, django_capture_on_commit_callbacks: Any) -> None:
    """Nobody hears a low one; many of them are another matter."""
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(6):
            pain("low")

    assert Signal.objects.get(aggregate=True).severity == "high"


# --- Life -----------------------------------------------------------------------------------------------------------
def test_a_signal_lives_through_its_states(system: System, by: User) -> None:
    """Who, when, from where to where, why: in notes and in events."""
    signal = pain()

    lifecycle.acknowledge(signal, by, "Looking.")
    lifecycle.respond(signal, by, "Closing the valve.")
    ended = lifecycle.resolve(signal, by, "Closed.")

    notes = SignalNote.objects.order_by("pk").values_list("from_state", "to_state", "by__username", "comment")
    assert list(notes) == [
        ("received", "investigating", "ada", "Looking."),
        ("investigating", "responding", "ada", "Closing the valve."),
        ("responding", "resolved", "ada", "Closed."),
    ]
    assert (ended.acknowledged_by, ended.deadline_at, ended.ended_at is not None) == (by, None, True)
    assert len(events("AlgedonicSignalAcknowledged")) == 1


def test_two_who_acknowledge_are_one_who_does(system: System, by: User) -> None:
    """The second is told who was first."""
    signal = pain()
    lifecycle.acknowledge(signal, by)

    with pytest.raises(Refused, match="ada") as refused:
        lifecycle.acknowledge(signal, make_user("grace"))

    assert refused.value.code == "already_answered"


@pytest.mark.parametrize("verb", ["acknowledge", "respond", "resolve", "call_false_alarm"])
def test_what_is_over_stays_over(system: System, by: User, verb: str) -> None:
    """Nothing reopens a signal."""
    signal = pain()
    lifecycle.call_false_alarm(signal, by)

    with pytest.raises(Refused) as refused:
        getattr(lifecycle, verb)(signal, by)

    assert refused.value.code == "not_open"


@pytest.mark.parametrize("comment", ["x" * 501, "a\0b", 7])
def test_a_comment_that_cannot_be_kept_is_refused(system: System, by: User, comment: Any) -> None:
    """At its field."""
    with pytest.raises(Invalid) as refused:
        lifecycle.acknowledge(pain(), by, comment)

    assert refused.value.field == "comment"


def test_dashboards_see_every_step(
    system: System, by: User, pushed: list[tuple[str, str]], django_capture_on_commit_callbacks: Any
) -> None:
    """Raised and heard, then acknowledged."""
    signal = pain()
    with django_capture_on_commit_callbacks(execute=True):
        deliver()
    with django_capture_on_commit_callbacks(execute=True):
        lifecycle.acknowledge(signal, by)

    assert pushed == [("signal", signal.pk)] * 2


# --- Escalation -----------------------------------------------------------------------------------------------------
def escalate(now: datetime) -> int:
    count = services.escalate_due(now=now)
    deliver()
    return count


def test_medium_pain_climbs_until_somebody_answers(system: System, by: User) -> None:
    """S3, then S4, then S5; never two steps at once, and its severity stays (I5)."""
    signal, now = pain("medium"), timezone.now()
    deliver()

    counts = [escalate(now + timedelta(minutes=minutes)) for minutes in (29, 31, 32, 62)]
    lifecycle.acknowledge(signal, by)
    counts.append(escalate(now + timedelta(hours=9)))

    signal.refresh_from_db()
    assert counts == [0, 1, 0, 1, 0]
    assert told(signal) == [("s3", 0, True), ("s4", 1, True), ("s5", 2, True)]
    assert (signal.severity, signal.escalation_level) == ("medium", 2)
    assert len(events("AlgedonicSignalEscalated")) == 2


def test_critical_pain_is_told_again_after_30_seconds(system: System) -> None:
    """Its deadline."""
    signal, now = pain(), timezone.now()

    assert [escalate(now + timedelta(seconds=seconds)) for seconds in (28, 31)] == [0, 1]
    assert told(signal) == [("s5", 0, True), ("s5", 1, True)]


def test_a_level_is_told_once(system: System) -> None:
    """Two that escalate the same signal at the same moment, from what both had read."""
    signal, now = pain(), timezone.now() + timedelta(seconds=31)
    rows = [Signal.objects.get(pk=signal.pk) for _ in range(2)]

    assert [services.escalate(row, now=now) for row in rows] == [True, False]


@pytest.mark.parametrize("fields", [{"type": "pleasure", "severity": "critical"}, {"type": "pain", "severity": "low"}])
def test_what_expects_no_answer_ends_by_itself(system: System, by: User, fields: dict[str, str]) -> None:
    """It is never escalated, and does not stay open for ever."""
    signal = raise_signal(source="pump", **fields)
    assert signal is not None
    deliver()

    assert escalate(timezone.now() + timedelta(days=1)) == 0
    assert services.end_expired(now=timezone.now() + timedelta(days=8)) == 1
    signal.refresh_from_db()
    assert signal.state == "resolved"


def test_history_is_kept_for_30_days(system: System, by: User) -> None:
    """What is open is kept whatever its age."""
    old = timezone.now() - timedelta(days=31)
    lifecycle.resolve(pain(at=old), by)
    kept = pain(at=old, source="other")

    assert services.forget_history(now=timezone.now()) == 1
    assert [signal.pk for signal in Signal.objects.all()] == [kept.pk]


def test_the_last_thousand_are_at_hand(system: System, django_assert_num_queries: Any) -> None:
    """Newest first, with who was told, in two queries (000-35)."""
    pain(source="older", at=timezone.now() - timedelta(minutes=1))
    pain(source="newer")

    with django_assert_num_queries(2):
        bodies = [queries.signal_body(signal) for signal in queries.last_signals([system.pk])]

    assert [body["source"] for body in bodies] == ["newer", "older"]


# --- Recursion ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("severity", "heard"), [("critical", 1), ("high", 1), ("medium", 0)])
def test_a_childs_pain_is_pain_of_its_parents_operations(system: System, severity: str, heard: int) -> None:
    """S5 of the child speaks into the parent as S1, once however often it is told (2-7)."""
    child = make_system("child", parent=system)
    signal = pain(severity, system_id=child.pk)
    deliver()
    services.escalate(signal, now=timezone.now() + timedelta(hours=1))
    deliver()

    above = Signal.objects.filter(system=system)
    assert above.count() == heard
    for found in above:
        assert (found.source, found.origin, found.severity) == ("child", "s1", severity)
        assert (found.child_signal, found.hop_count) == (signal, 1)


def test_pain_climbs_a_deep_tree_to_its_limit(system: System) -> None:
    """Each step is a hop; sixteen are enough (2-50)."""
    parent = system
    for number in range(20):
        parent = make_system(f"level-{number}", parent=parent)
    pain(system_id=parent.pk)

    deliver()

    assert Signal.objects.count() == 17


# --- Alert handlers -------------------------------------------------------------------------------------------------
@pytest.fixture
def horn() -> Iterator[list[alert_handlers.Told]]:
    """A handler beside the platform, and one that is broken."""
    heard: list[alert_handlers.Told] = []

    def broken(_: alert_handlers.Told) -> None:
        raise RuntimeError("the pager has no battery")

    alert_handlers.add("a broken pager", broken)
    alert_handlers.add("horn", heard.append)
    yield heard
    alert_handlers.remove("horn")
    alert_handlers.remove("a broken pager")


def test_alert_handlers_hear_and_do_not_disturb_each_other(
    system: System, horn: list[alert_handlers.Told], django_capture_on_commit_callbacks: Any
) -> None:
    """Pluggable (000-41): one that fails costs nobody else the news."""
    signal = pain()
    with django_capture_on_commit_callbacks(execute=True):
        deliver()

    assert [(heard.signal["id"], heard.party, heard.level) for heard in horn] == [(signal.pk, "s5", 0)]


def test_the_kind_of_push_is_documented() -> None:
    """Pages are written against that list."""
    assert "`signal`" in (live.push.__doc__ or "")
