"""The lane that carries pain: canaries through the real broker, and pain around a lane that has failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from subsystems.algedonic import canary, queries, services
from subsystems.algedonic.models import CanaryRun, Lane, Signal
from subsystems.algedonic.services import raise_signal
from subsystems.event_log.models import PendingEvent
from subsystems.kernel import plug_ins
from subsystems.messaging import fast_lane, receiving
from subsystems.messaging import queries as messaging
from subsystems.messaging.channels import Channel
from subsystems.messaging.models import Message
from subsystems.messaging.pressure import CAPACITY, ChannelState
from subsystems.recursion.queries import root_system
from tests.support.waiting import wait_for

NOW = timezone.now()
Look = Callable[[float], bool]


def after(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def look(db: None, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Look at the lane at a second of the test's own clock; whoever looks has done so every five seconds before."""
    monkeypatch.setattr(fast_lane.Lane, "offer", lambda *_: None)
    root_system()
    last = 0.0

    def at(second: float) -> bool:
        nonlocal last
        works = True
        while last <= second:
            works = canary.check(now=after(last))
            last += 5
        return works

    return at


def hear(run: CanaryRun, second: float) -> None:
    canary.answer(run.pk, now=after(second))


@pytest.mark.django_db(transaction=True)
def test_pain_and_canaries_go_through_the_real_lane(worker: object) -> None:
    """From the commit over the broker to S5's handler in a worker."""
    root_system()
    run = canary.send(now=timezone.now())
    signal = raise_signal(type="pain", source="pump", severity="critical")
    assert signal is not None

    wait_for(lambda: CanaryRun.objects.get(pk=run.pk).received_at and Signal.objects.get(pk=signal.pk).received_at)

    state = queries.lane_state(now=timezone.now())
    assert state.p50_seconds is not None
    assert state.age_seconds is not None
    assert not state.failing


def test_canaries_are_in_no_event_log_and_meet_no_limit(look: Look) -> None:
    """8,640 a day would bury what the log is for."""
    for second in range(100):
        canary.send(now=after(second))

    assert Message.objects.filter(type="algedonic.canary").count() == 100
    assert not PendingEvent.objects.exists()


def test_a_period_has_one_canary(look: Look) -> None:
    """Whoever comes first: the beat's task or a relay."""
    sent = [canary.send_due(now=NOW) for _ in range(3)]

    assert [run is not None for run in sent] == [True, False, False]


def test_a_canary_is_answered_by_s5s_handler_once(look: Look) -> None:
    """The second arrival must not make the latency longer."""
    canary.send(now=timezone.now())
    message = Message.objects.get()

    handled = [receiving.receive([message.number], worker="w@test") for _ in range(2)]

    run = CanaryRun.objects.get()
    assert handled == [1, 0]
    assert run.latency_seconds is not None
    assert canary.answer(run.pk, now=after(50)) is False


def test_a_lane_that_fails_is_told_around_itself_once(look: Look) -> None:
    """No message, for the lane is what cannot be trusted: rows, an event, dashboards."""
    hear(canary.send(now=after(0)), 0.01)
    for second in (10, 20, 30, 40):
        canary.send(now=after(second))

    assert [look(second) for second in (25, 30, 35, 60, 90)] == [True, True, False, False, False]

    signal = Signal.objects.get()
    assert (signal.severity, signal.source, signal.received_at is not None) == ("critical", "algedonic_lane", True)
    assert "no canary has come through" in signal.description
    assert not Message.objects.exclude(type="algedonic.canary").exists()
    assert PendingEvent.objects.filter(type="AlgedonicSignalEmitted").count() == 1


def test_the_outage_ends_when_a_canary_comes_through(look: Look) -> None:
    """And the next outage is another one."""
    canary.send(now=after(1))
    assert look(40) is False

    hear(canary.send(now=after(44)), 44.1)
    assert look(45) is True
    assert Signal.objects.get().state == "resolved"

    canary.send(now=after(50))
    assert look(85) is False
    assert Signal.objects.count() == 2


def test_a_night_switched_off_is_no_outage(look: Look) -> None:
    """The first look of the morning finds an answer of last evening."""
    hear(canary.send(now=after(0)), 0.1)
    look(5)

    assert canary.check(now=after(40_000)) is True
    assert not Signal.objects.exists()


def test_an_outage_outlives_a_restart_of_who_watches(look: Look) -> None:
    """Watching anew is no proof that the lane works."""
    canary.send(now=after(1))
    look(40)

    canary.check(now=after(4_000))

    assert Lane.objects.get().failing_since is not None
    assert Signal.objects.get().state == "received"


def test_lost_canaries_are_counted_for_good(look: Look) -> None:
    """History is forgotten after an hour; the counter goes on."""
    for second in range(3):
        canary.send(now=after(second))
    look(35)
    services.forget_history(now=after(7_200))

    assert (CanaryRun.objects.count(), Message.objects.count()) == (0, 0)
    assert queries.lane_state(now=after(7_200)).lost == 3


def test_the_watch_sends_and_looks(transactional_db: None) -> None:
    """In a thread that needs no broker."""
    root_system()
    watch = canary.Watch(period_seconds=0.01)
    watch.start()
    try:
        wait_for(lambda: CanaryRun.objects.exists() and Lane.objects.filter(watched_at__isnull=False).exists())
    finally:
        watch.stop()


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Collect what open dashboards are told: key and severity, None for what is taken back."""
    seen: list[tuple[str, Any]] = []
    monkeypatch.setattr(canary, "push", lambda _, __, key, body: seen.append((key, body and body["severity"])))
    return seen


def test_a_database_that_is_away_is_told_past_it_and_written_down_when_it_is_back(
    db: None, pushed: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Pain that can be written nowhere must still be seen by whoever looks, and be on record afterwards."""
    monkeypatch.setattr(fast_lane.Lane, "offer", lambda *_: None)
    root_system()
    watch = canary.Watch()
    watch._look(NOW)

    for second in (5, 10, 15):
        watch._blind(OperationalError("gone"), after(second))
    watch._look(after(65))
    watch._look(after(70))

    assert pushed == [("database_away", "critical")] * 3 + [("database_away", None)]
    assert caplog.text.count("The database is away") == 1
    signal = Signal.objects.get(source="algedonic_lane")
    assert (signal.severity, signal.state, signal.data) == ("critical", "resolved", {"seconds": 60.0})


def test_a_plug_in_that_cannot_be_loaded_hurts_once_until_it_can(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything else goes on, so without pain nobody would notice who is missing."""
    root_system()
    broken = {"shop.handlers": "ImportError: no till"}
    monkeypatch.setattr(plug_ins, "broken", lambda: broken)

    for minute in range(3):
        services.tell_of_plug_ins(now=after(60 * minute))
    raised = [(signal.source, signal.severity, signal.state) for signal in Signal.objects.all()]
    broken.clear()
    services.tell_of_plug_ins(now=after(600))

    assert raised == [("plug-in shop.handlers", "high", "received")]
    assert Signal.objects.get().state == "resolved"


def test_a_channel_that_fills_up_hurts_before_and_when_it_is_full(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Senders feel it as refusals; whoever could help must be told, once, and told worse when nothing goes any more."""
    root_system()
    backlog = {"now": 0}
    picture = {Channel.AUDIT: lambda: ChannelState(backlog["now"]), Channel.COMMAND: ChannelState}
    monkeypatch.setattr(messaging, "channel_states", lambda: {channel: make() for channel, make in picture.items()})
    seen = []
    for minute, share in enumerate([0.5, 0.85, 0.9, 1.0, 0.75, 0.6]):
        backlog["now"] = round(CAPACITY * share)
        services.tell_of_channels(now=after(60 * minute))
        seen.append(sorted(Signal.objects.filter(state="received").values_list("severity", flat=True)))

    assert seen == [[], ["high"], ["high"], ["critical", "high"], ["critical", "high"], []]
    assert set(Signal.objects.values_list("source", "state")) == {("channel audit", "resolved")}
