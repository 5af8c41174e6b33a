"""Telemetry events: who hears what, and that no listener can hurt the work it listens to."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from subsystems.kernel import telemetry_events
from subsystems.kernel.errors import Invalid, NotListed
from subsystems.kernel.telemetry_events import DETACH_AFTER, METRICS_HANDLER, Bus, Collector, Counter
from subsystems.kernel.telemetry_names import EVENTS, Event, alias_table

STOP = "vsm.s1.operation.stop"
FIFTEEN = {
    "vsm.s1.operation.start", "vsm.s1.operation.stop", "vsm.s1.operation.exception",
    "vsm.s2.coordination.start", "vsm.s2.coordination.stop",
    "vsm.s3.control.decision", "vsm.s3.audit.check",
    "vsm.s4.scan.complete", "vsm.s4.pattern.detected",
    "vsm.s5.policy.update", "vsm.s5.identity.check",
    "vsm.algedonic.pain", "vsm.algedonic.pleasure",
    "vsm.variety.calculated", "vsm.variety.imbalance",
}  # fmt: skip


class Ear:
    """A listener that remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []

    def __call__(self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        self.heard.append((event, measurements, metadata))

    def names(self) -> list[str]:
        return [name for name, _, _ in self.heard]


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def ear(bus: Bus) -> Ear:
    """Somebody who hears everything on the bus."""
    ear = Ear()
    bus.attach("ear", "*", ear)
    return ear


class Clock:
    """A clock that a test winds by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_the_documented_events_are_all_there() -> None:
    """Dashboards and projects are written against these names."""
    assert {event.name for event in EVENTS} == FIFTEEN
    assert all(event.measurements and event.metadata and event.summary for event in EVENTS)


def test_a_listener_hears_the_name_the_numbers_and_what_they_are_about(bus: Bus, ear: Ear) -> None:
    """This is all that there is to the API."""
    bus.emit("vsm.variety.imbalance", {"ratio": 0.5, "deficit": 1.0}, {"type": "insufficient"})

    assert ear.heard == [("vsm.variety.imbalance", {"ratio": 0.5, "deficit": 1.0}, {"type": "insufficient"})]


@pytest.mark.parametrize(
    ("alias", "canonical"),
    [
        ("vsm.system1.operation.stop", STOP),
        ("vsm_core.system1.operation.stop", STOP),
        ("vsm_core.s1.operation.stop", STOP),
        ("system1.operation.stop", STOP),
        ("s1.operation.stop", STOP),
        ("vsm_core.variety.calculated", "vsm.variety.calculated"),
        ("vsm_core.performance.measured", STOP),
        ("vsm_core.system2.coordination", "vsm.s2.coordination.stop"),
        ("system4.scan", "vsm.s4.scan.complete"),
        ("vsm_core.algedonic.pain", "vsm.algedonic.pain"),
    ],
)
def test_other_spellings_mean_the_same_event(bus: Bus, ear: Ear, alias: str, canonical: str) -> None:
    """The documents spell the same event in three ways; a listener hears one."""
    bus.emit(alias)

    assert ear.names() == [canonical]


def test_no_alias_hides_a_canonical_name() -> None:
    """An event that could be taken for another would be counted twice or never."""
    assert not FIFTEEN & alias_table().keys()
    assert {name for names in alias_table().values() for name in names} <= FIFTEEN


@pytest.mark.parametrize(
    ("wanted", "heard"),
    [
        pytest.param(
            "vsm_core.algedonic.signal", ["vsm.algedonic.pain", "vsm.algedonic.pleasure"], id="stands for two"
        ),
        pytest.param("vsm.algedonic.*", ["vsm.algedonic.pain", "vsm.algedonic.pleasure"], id="a family"),
        pytest.param("vsm_core.system5.*", ["vsm.s5.policy.update", "vsm.s5.identity.check"], id="a family's alias"),
        pytest.param([STOP, "system1.operation.stop"], [STOP], id="the same twice"),
    ],
)
def test_a_listener_may_ask_for_several_events(bus: Bus, wanted: Any, heard: list[str]) -> None:
    """It hears each once, and nothing else."""
    ear = Ear()
    bus.attach("some", wanted, ear)

    for event in EVENTS:
        bus.emit(event.name)

    assert sorted(ear.names()) == sorted(heard)


@pytest.mark.parametrize("name", ["vsm.s1.operation", "nonsense", "nonsense.*", "", "vsm_core.algedonic.signal"])
def test_what_does_not_exist_cannot_be_emitted(bus: Bus, name: str) -> None:
    """A misspelt event would be silent for ever."""
    with pytest.raises(NotListed):
        bus.emit(name)


@pytest.mark.parametrize("wanted", ["nonsense", "nonsense.*", ["vsm.s1.operation.stop", "vsm.s1.operation.stopp"]])
def test_what_does_not_exist_cannot_be_listened_to(bus: Bus, wanted: Any) -> None:
    """And leaves nobody half attached."""
    with pytest.raises(NotListed):
        bus.attach("ear", wanted, Ear())

    assert bus.handlers() == []


def test_a_listener_that_raises_hurts_neither_the_emitter_nor_the_others(bus: Bus, caplog: Any) -> None:
    """Watching must never break what is watched."""
    ear = Ear()
    bus.attach("a-broken", STOP, broken)
    bus.attach("b-sound", STOP, ear)

    with caplog.at_level(logging.ERROR):
        bus.emit(STOP)
        bus.emit(STOP)

    assert ear.names() == [STOP, STOP]
    assert bus.failure_count() == 2
    assert [("a-broken" in record.message, record.exc_info is not None) for record in caplog.records] == [(True, True)]


def test_a_listener_that_keeps_failing_is_detached(bus: Bus, caplog: Any) -> None:
    """It would cost every operation the price of an exception."""
    bus.attach("broken", STOP, broken)

    with caplog.at_level(logging.ERROR):
        for _ in range(DETACH_AFTER + 3):
            bus.emit(STOP)

    assert bus.handlers() == []
    assert bus.failure_count() == DETACH_AFTER
    assert "detached" in caplog.records[-1].message


def test_a_listener_that_recovers_stays(bus: Bus) -> None:
    """One bad event now and then is no reason to go deaf."""
    moods = iter([*[ValueError] * (DETACH_AFTER - 1), None] * 3)

    def moody(*_: object) -> None:
        error = next(moods)
        if error:
            raise error

    bus.attach("moody", STOP, moody)
    for _ in range(3 * DETACH_AFTER):
        bus.emit(STOP)

    assert [handler.id for handler in bus.handlers()] == ["moody"]


def test_a_listener_may_emit_but_not_for_ever(bus: Bus) -> None:
    """Two listeners that answer each other would end the process."""
    ear = Ear()
    bus.attach("ear", STOP, ear)
    bus.attach("echo", STOP, lambda *_: bus.emit(STOP))

    bus.emit(STOP)
    bus.emit("vsm.algedonic.pain")

    assert len(ear.heard) == telemetry_events.MAX_DEPTH


def test_attaching_again_replaces_and_detaching_ends(bus: Bus) -> None:
    """A reloaded module must not be told everything twice."""
    first, second = Ear(), Ear()
    bus.attach("ear", STOP, first)
    bus.attach("ear", STOP, second)

    bus.emit(STOP)
    gone = [bus.detach("ear"), bus.detach("ear")]
    bus.emit(STOP)

    assert (len(first.heard), len(second.heard), gone) == (0, 1, [True, False])


def test_a_listener_may_detach_itself_while_it_is_told(bus: Bus, ear: Ear) -> None:
    """Whoever waits for one event does so."""
    once = Ear()

    def hear_once(*told: Any) -> None:
        once(*told)
        bus.detach("once")

    bus.attach("once", STOP, hear_once)
    bus.emit(STOP)
    bus.emit(STOP)

    assert (len(once.heard), len(ear.heard)) == (1, 2)


def test_a_project_may_declare_events_of_its_own(bus: Bus, ear: Ear) -> None:
    """Who listens to everything hears those too, though it was attached before."""
    bus.declare(Event("shop.order.placed", ("amount",)))
    bus.declare(Event("shop.order.placed", ("amount",)))

    bus.emit("shop.order.placed", {"amount": 3})

    assert ear.names() == ["shop.order.placed"]


@pytest.mark.parametrize(
    "name", [STOP, "vsm_core.system1.operation.stop", "vsm_core.algedonic.signal", "x", "Bad Name.x"]
)
def test_a_declared_event_needs_a_name_that_is_free(bus: Bus, name: str) -> None:
    """Names are label values of a metric."""
    with pytest.raises(Invalid):
        bus.declare(Event(name, ("other",)))


def test_the_number_of_kinds_is_bounded(bus: Bus) -> None:
    """A project that makes names up as it goes must not fill the metrics."""
    for number in range(telemetry_events.MAX_EVENTS - len(EVENTS)):
        bus.declare(Event(f"shop.order.number_{number}"))

    with pytest.raises(Invalid, match="already"):
        bus.declare(Event("shop.order.one_more"))


def test_a_span_tells_start_and_stop_with_the_duration_in_milliseconds(bus: Bus, ear: Ear) -> None:
    """Start comes before the work, not after the fact."""
    clock = Clock()
    with bus.span("vsm.s1.operation", {"unit_id": "u"}, clock=clock, wall_clock=lambda: 1_790_000_000.0):
        at_start = ear.names()
        clock.seconds += 0.25

    (_, began, start), (_, ended, stop) = ear.heard
    assert at_start == ["vsm.s1.operation.start"]
    assert (began, ended) == ({"system_time": 1_790_000_000.0}, {"duration": 250.0, "success": True})
    assert start == stop
    assert stop["unit_id"] == "u"


def test_a_span_can_end_without_success(bus: Bus, ear: Ear) -> None:
    """Not every failure is an exception."""
    with bus.span("vsm.s1.operation") as span:
        span.success = False

    assert ear.heard[-1][1]["success"] is False


def test_a_span_tells_the_exception_and_lets_it_pass(bus: Bus, ear: Ear) -> None:
    """Its type, its words, where it was raised, and itself."""
    with pytest.raises(KeyError) as caught, bus.span("vsm.s1.operation"):
        broken()

    name, measurements, metadata = ear.heard[-1]
    assert name == "vsm.s1.operation.exception"
    assert measurements["duration"] >= 0
    assert (metadata["error_type"], metadata["error_message"]) == ("KeyError", "'gone'")
    assert metadata["error"] is caught.value
    assert "test_telemetry_events.py" in metadata["raised_at"]
    assert metadata["raised_at"].endswith("in broken")


def test_a_span_without_an_event_for_exceptions_stops_without_success(bus: Bus, ear: Ear) -> None:
    """Coordination has only start and stop; a start without an end would look like work that hangs."""
    with pytest.raises(KeyError), bus.span("vsm.s2.coordination"):
        broken()

    assert ear.names() == ["vsm.s2.coordination.start", "vsm.s2.coordination.stop"]
    assert ear.heard[-1][1]["success"] is False
    assert ear.heard[-1][2]["error_type"] == "KeyError"


def test_a_decorated_function_tells_of_each_call(bus: Bus, ear: Ear) -> None:
    """Even when it calls itself."""

    @bus.span("vsm.s1.operation", {"operation": "count down"})
    def count_down(number: int) -> int:
        return count_down(number - 1) if number else 0

    assert (count_down(2), count_down.__name__) == (0, "count_down")
    starts = [metadata["span_id"] for name, _, metadata in ear.heard if name.endswith("start")]
    stops = [metadata["span_id"] for name, _, metadata in ear.heard if name.endswith("stop")]
    assert len(set(starts)) == 3
    assert stops == starts[::-1]


def test_a_decorated_coroutine_is_measured_to_its_end(bus: Bus, ear: Ear) -> None:
    """The call that makes a coroutine is not the work."""
    clock = Clock()

    @bus.span("vsm.s1.operation", clock=clock)
    async def work() -> None:
        await asyncio.sleep(0)
        clock.seconds += 1

    asyncio.run(work())

    assert ear.heard[-1][1]["duration"] == 1000


def test_a_span_of_nothing_known_is_refused(bus: Bus) -> None:
    """At the place where it is written, not when it runs for the first time."""
    with pytest.raises(NotListed):
        bus.span("vsm.s9.operation")


def test_counting_loses_nothing_between_threads() -> None:
    """No lock is taken, and still every event counts."""
    counter, go = Counter(), threading.Event()

    def work() -> None:
        go.wait(10)
        for _ in range(20_000):
            counter.add()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    go.set()
    while any(thread.is_alive() for thread in threads):
        counter.value()  # reading meanwhile must not count

    assert [counter.value(), counter.value()] == [80_000, 80_000]


def test_attaching_and_detaching_while_others_emit_harms_nobody(bus: Bus, ear: Ear) -> None:
    """Plug-ins come while workers work."""
    emitted = 5_000
    thread = threading.Thread(target=lambda: [bus.emit(STOP) for _ in range(emitted)])
    thread.start()
    while thread.is_alive():
        bus.attach("guest", "*", Ear())
        bus.detach("guest")

    assert len(ear.heard) == emitted


def test_the_metrics_handler_counts_every_event() -> None:
    """Requirement 000-19: one handler with that id hears all of them."""
    before = telemetry_events.collector.counts().get(STOP, 0)

    telemetry_events.emit("vsm_core.system1.operation.stop", {"duration": 1, "success": True})

    handler = next(each for each in telemetry_events.bus.handlers() if each.id == METRICS_HANDLER)
    assert handler.wanted == ("*",)
    assert telemetry_events.collector.counts()[STOP] == before + 1


def test_a_collector_has_a_counter_for_each_name() -> None:
    """They become the labels of one metric."""
    collector = Collector()
    for name in [STOP, STOP, "vsm.algedonic.pain"]:
        collector.process_event(name, {}, {})

    assert collector.counts() == {"vsm.algedonic.pain": 1, STOP: 2}


def broken(*_: object) -> None:
    raise KeyError("gone")
