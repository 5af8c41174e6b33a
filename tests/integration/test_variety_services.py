"""Operations and states from where they are noted to what is said of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from subsystems.algedonic.models import OPEN_STATES, Signal
from subsystems.event_log.models import PendingEvent
from subsystems.event_log.services import append, seal
from subsystems.event_log.streams import Stream
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.variety import gathering, queries, services
from subsystems.variety.gathering import asked_for, decided, operation_ended
from subsystems.variety.models import Batch, Operation, Reading, Subject, UnitVariety
from tests.support.factories import make_system

pytestmark = pytest.mark.django_db


@pytest.fixture
def system() -> System:
    return root_system()


def at(seconds: float = 0.0) -> datetime:
    return datetime.fromtimestamp(time.time() + seconds, UTC)


def work(unit: str = "shop", operation: str = "charge", n: int = 10, **fields: Any) -> None:
    for _ in range(n):
        operation_ended(unit, operation, **{"duration_ms": 20.0, **fields})


def merged(**fields: Any) -> Operation:
    gathering.flush()
    services.merge(now=at())
    return Operation.objects.get(**fields)


def read(system: System, *, seconds_later: float = 15.0) -> Any:
    """Return what is said of *system* once all that was noted until now is old enough."""
    gathering.flush()
    services.read_now(now=at(seconds_later))
    return queries.variety_body(system)


# --- Operations -------------------------------------------------------------------------------------------------------
def test_operations_are_counted_with_their_durations_and_errors(system: System) -> None:
    """The documented record of an operation, without a row for each."""
    work(n=8)
    work(n=2, outcome="ValueError", words="ValueError: no", duration_ms=40.0)

    body = queries.operation_body(merged(unit="shop", name="charge"))

    assert (body["count"], body["success"], body["success_rate"]) == (10, 8, 0.8)
    assert body["avg_duration"] == pytest.approx(24.0)
    assert (body["p50"], body["p95"]) == (pytest.approx(20, rel=0.01), pytest.approx(40, rel=0.01))
    assert [each["error"] for each in body["errors"]] == ["ValueError: no"] * 2
    assert body["health"] == pytest.approx(80 - 2.4 + 10)
    assert Batch.objects.count() == 1


def test_only_the_last_ten_errors_are_kept_newest_first(system: System) -> None:
    """Over several batches, too."""
    for number in range(12):
        work(n=1, outcome="E", words=f"error {number}")
        if number == 6:
            gathering.flush()

    errors = queries.operation_body(merged())["errors"]

    assert [each["error"] for each in errors] == [f"error {number}" for number in range(11, 1, -1)]


def test_several_processes_add_up_and_a_restart_loses_nothing(system: System) -> None:
    """Each is a replica with a total of its own."""
    work(n=3)
    gathering.flush()
    gathering.forget()  # what a restart does: another replica
    work(n=4)

    operation = merged()

    assert operation.count == 7
    assert sorted(operation.counts["count"]["counts"].values()) == [3, 4]


def test_what_is_told_twice_is_counted_once(system: System) -> None:
    """An answer that was lost makes a writer say the same again, even after the first was merged."""
    work(n=5)
    gathering.flush()
    told = Batch.objects.get()
    services.merge(now=at())
    services.read_now(now=at(15))
    again = {"system": system, "replica": told.replica, "body": told.body, "at": told.at}
    Batch.objects.create(**again, number=told.number)
    services.merge(now=at())

    assert Operation.objects.get().count == 5
    assert not Batch.objects.exists()  # so its states do not count either


def test_merging_needs_as_many_queries_for_many_operations_as_for_one(
    system: System, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """It runs every ten seconds, whatever the fleets do."""
    for unit in range(10):
        for operation in range(20):
            work(f"unit-{unit}", f"operation-{operation}", n=1)
    gathering.flush()

    with django_assert_max_num_queries(12):
        services.merge(now=at())

    assert Operation.objects.count() == 200


def test_a_unit_with_too_many_names_shares_the_last(system: System) -> None:
    """Names come from outside."""
    for number in range(205):
        work(operation=f"operation-{number}", n=1)
    gathering.flush()
    services.merge(now=at())

    assert Operation.objects.count() == 201
    assert Operation.objects.get(name="(other)").count == 5


def test_an_unknown_duration_is_not_zero(system: System) -> None:
    """Workers that tell no runtime have no mean duration and no health."""
    work(n=3, duration_ms=None)

    body = queries.operation_body(merged())

    assert (body["count"], body["p50"], body["avg_duration"], body["health"]) == (3, None, None, None)


# --- Pain -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("operation", "duration_ms", "hurts"),
    [
        pytest.param("validate", 40.0, False, id="twice what is documented does not"),
        pytest.param("validate", 41.0, True, id="more than that does"),
        pytest.param("charge", 5_000.0, False, id="nobody knows what to expect of new work"),
    ],
)
def test_what_takes_more_than_twice_as_long_as_expected_hurts(
    system: System, operation: str, duration_ms: float, hurts: bool
) -> None:
    """000-52, for the operations that the documents name."""
    work(operation=operation, n=1, duration_ms=duration_ms)
    merged()

    signals = Signal.objects.filter(source="s1:shop", type="pain", severity="medium")
    assert signals.count() == hurts
    if hurts:
        assert signals.get().data["duration"] == duration_ms


def test_a_declared_expectation_rules(system: System) -> None:
    """People know better than the past."""
    work(n=1)
    services.expect(merged(), 5.0)
    work(n=1, duration_ms=11.0)
    operation = merged()

    assert operation.slow == 1
    assert Signal.objects.get().data["expected"] == 5.0


def test_one_slow_run_does_not_hurt_where_the_expectation_was_only_learnt(system: System) -> None:
    """Durations have long tails; pain for each outlier would teach people to look away."""
    work(n=200, duration_ms=100.0)
    merged()
    work(n=1, duration_ms=900.0)
    once = merged().slow, Signal.objects.count()
    work(n=2_000, duration_ms=900.0)
    merged()

    assert once == (1, 0)
    assert Signal.objects.filter(state__in=OPEN_STATES).count() == 1


def test_pain_of_slowness_is_raised_once_and_ends_by_itself(system: System) -> None:
    """It is over when nothing was too slow for five minutes."""
    for _ in range(3):
        work(operation="process", n=2, duration_ms=500.0)
        merged()
    open_before = Signal.objects.filter(state__in=OPEN_STATES).count()

    services.merge(now=at(301))

    assert open_before == 1
    assert not Signal.objects.filter(state__in=OPEN_STATES).exists()


# --- Variety ----------------------------------------------------------------------------------------------------------
def test_the_panel_tells_who_lacks_what(system: System) -> None:
    """Four equal demands of which half fail: 2 bits are asked, and to fail adds no variety."""
    for name in "abcd":
        work(operation=name, n=10)
        work(operation=name, n=10, outcome="TimeoutError")

    body = read(system)

    assert body["environment"]["bits"] == pytest.approx(2.0)
    # three answers of an eighth each, and the commonest with all that failed
    assert body["operation"]["bits"] == pytest.approx(1.5488, abs=1e-4)
    five_minutes = next(each for each in body["temporal"]["operation"] if each["scale"] == "5m")
    assert five_minutes["variety"]["bits"] == body["operation"]["bits"]
    assert body["outcome"]["bits"] == pytest.approx(1.0)
    balance = body["operational"]["balance"]
    # The commonest answer tells nearly nothing of what was asked, each other one all of it.
    assert balance["mutual_information"] == pytest.approx(0.7988, abs=1e-4)
    assert balance["least_leak_bits"] == pytest.approx(1.2012, abs=1e-4)
    assert balance["regulation_effectiveness"] == pytest.approx(0.5)
    assert body["operation_and_outcome"]["joint_bits"] == pytest.approx(3.0)


def test_a_unit_that_fails_at_most_of_what_is_asked_lacks_variety(system: System) -> None:
    """The documented band and words, and beside them the bits."""
    for name in "abcdefgh":
        work(operation=name, n=2)
        work(operation=name, n=18, outcome="TimeoutError")

    balance = read(system)["operational"]["balance"]

    assert balance["band"] == "critical"
    assert balance["recommendation"] == "Critical: Significant variety amplification needed"
    assert balance["deficit_bits"] == pytest.approx(3.0 - balance["controller_variety"])
    assert balance["state_shortfall"] == pytest.approx(2 ** balance["deficit_bits"])


def test_to_fail_now_and_then_is_no_surplus(system: System) -> None:
    """A failure is a state more than was asked for, and no answer."""
    for name in "ab":
        work(operation=name, n=20)
    work(operation="a", n=5, outcome="TimeoutError")

    balance = read(system)["operational"]["balance"]

    assert (balance["band"], balance["ratio"]) == ("adequate", pytest.approx(1.0))


def test_too_few_observations_are_not_judged(system: System) -> None:
    """Fewer than five a state."""
    work(operation="a", n=3)
    work(operation="b", n=3)

    balance = read(system)["operational"]["balance"]

    assert (balance["band"], balance["confidence"]) == ("insufficient_data", "insufficient_data")


def test_a_system_of_which_nothing_was_told_has_no_variety(system: System) -> None:
    """Unknown, not zero."""
    assert read(system) == {"system": "main", "status": "no_data", "at": None, "window_seconds": 300.0}
    assert not Reading.objects.exists()


def test_what_was_asked_and_never_answered_counts_as_asked(system: System) -> None:
    """A queue of tasks that no worker ends is variety that is not absorbed."""
    for name in ("mail", "sms"):
        for _ in range(10):
            asked_for("shop", name)
    work(operation="mail", n=10, asked=False)

    body = read(system)

    assert body["environment"]["bits"] == pytest.approx(1.0)
    assert body["operation"]["bits"] == 0.0
    assert body["operational"]["balance"]["deficit_bits"] == pytest.approx(1.0)


def test_decisions_are_the_variety_of_management(system: System) -> None:
    """Of the unit that they are about, and of its system."""
    work(n=10)
    for action in ("pause", "resume"):
        for _ in range(5):
            decided("shop", action)

    body = read(system)
    unit = queries.unit_variety_body(UnitVariety.objects.select_related("system").get(unit="shop"))

    assert body["management"]["bits"] == unit["management"]["bits"] == pytest.approx(1.0)


def test_what_subsystems_do_is_read_from_the_event_log(system: System) -> None:
    """Each has its stream; S3's variety is in its range when it decides in two or more ways."""
    services.read_now(now=at())  # what was before the first look is not counted
    for type_ in ("ActionProposed", "ActionApplied"):
        for _ in range(5):
            append(Stream.CONTROL, type_, {}, system_id=system.pk)
    seal()

    body = read(system)

    assert body["subsystems"]["s3"]["bits"] == pytest.approx(1.0)
    assert body["subsystems"]["s3"]["position"] == "within"
    assert body["subsystems"]["s4"]["bits"] is None


def test_each_slot_has_one_reading(system: System) -> None:
    """Two beats, or a message that comes twice, must not count states twice."""
    work()
    gathering.flush()
    services.merge(now=at())
    now = at(15)

    made = [services.read_all(1_000 + int(now.timestamp()), now=now) for _ in range(2)]

    assert [len(each) for each in made] == [1, 0]


def test_states_newer_than_a_reading_wait_for_the_next(system: System) -> None:
    """A window that ends at a moment holds what was before it, and loses nothing that came after."""
    work(n=10)
    first = read(system, seconds_later=0.0)
    second = read(system, seconds_later=15.0)

    assert (first["environment"]["sample_size"], second["environment"]["sample_size"]) == (0, 10)


def test_windows_survive_a_restart(system: System) -> None:
    """A month is longer than any process lives."""
    work(n=10)
    read(system)
    work(n=10, operation="ship")

    scales = {each["scale"]: each["variety"] for each in read(system, seconds_later=16)["temporal"]["environment"]}

    assert list(scales) == ["1s", "10s", "1m", "5m", "1h", "1d", "1w", "1mo"]
    assert scales["1mo"]["sample_size"] == 20
    assert scales["1mo"]["bits"] == pytest.approx(1.0)


def test_a_continuous_measure_stands_in_by_its_declared_bins(system: System) -> None:
    """Nobody tells what a queue is asked; how long it is can be told apart, in bins that are stated."""
    now = time.time()
    samples = [Sample("ready", now - n, float(value)) for n, value in enumerate([0, 5, 50, 500] * 10)]
    record({"mail": samples}, system_id=system.pk)
    work()

    read(system)
    unit = queries.unit_variety_body(UnitVariety.objects.select_related("system").get(unit="mail"))

    assert unit["environment_from"] == "ready"
    assert unit["binning"]["kind"] == "logarithmic"
    assert unit["environment"]["bits"] > 1


def test_a_lasting_lack_hurts_once_and_ends(system: System) -> None:
    """Three readings in a row, then one pain; it is over when the ratio is back."""
    for name in "abcdefgh":
        work(operation=name, n=20, outcome="TimeoutError")
    painful = []
    for n in range(4):
        read(system, seconds_later=15 + n)
        painful.append(Signal.objects.filter(source="variety", state__in=OPEN_STATES).count())
    read(system, seconds_later=400)  # nothing is asked any more

    assert painful == [0, 0, 1, 1]
    assert not Signal.objects.filter(source="variety", state__in=OPEN_STATES).exists()
    assert PendingEvent.objects.filter(stream=Stream.VARIETY, type="VarietyImbalance").count() == 1


def test_a_subsystem_outside_its_range_is_told_once(system: System) -> None:
    """S1 of one single answer has less than the 2 bits of its role (000-28)."""
    work(n=50)
    for n in range(4):
        read(system, seconds_later=15 + n)

    assert Signal.objects.filter(source="variety:s1", severity="low").count() == 1
    assert PendingEvent.objects.filter(type="VarietyOutsideRange").count() == 1


def test_systems_do_not_mix(system: System) -> None:
    """What a tenant's units do is in the tenant's variety alone."""
    other = make_system("theirs")
    work(n=10)
    work(n=10, operation="a", system_id=other.pk)
    work(n=10, operation="b", system_id=other.pk)

    read(system)

    assert queries.variety_body(system)["environment"]["bits"] == 0.0
    assert queries.variety_body(other)["environment"]["bits"] == pytest.approx(1.0)


def test_achievement_is_the_three_indices_or_unknown(system: System) -> None:
    """Half of the best rate is a productivity of a half; what it ought to do only people know."""
    work(n=300)
    read(system)
    row = UnitVariety.objects.get(unit="shop")
    services.plan(row, capability=2.0, potentiality=4.0)

    found = queries.performance_body(system, "shop")["achievement"]

    assert found["productivity"] == pytest.approx(0.5)
    assert found["statement"] == "productivity 0.50, latency 0.50, performance 0.25"


def test_the_past_is_forgotten_in_time(system: System) -> None:
    """Bodies after an hour, figures after a week, operations that nobody carries out after a month."""
    work()
    read(system)

    services.forget(now=at(7_200))
    after_hours = Reading.objects.get().body, Reading.objects.get().figures["environment"]
    services.forget(now=at(timedelta(days=8).total_seconds()))
    after_week = Reading.objects.count(), Operation.objects.count()
    services.forget(now=at(timedelta(days=31).total_seconds()))

    assert after_hours == (None, 0.0)
    assert after_week == (0, 1)
    assert not Operation.objects.exists()


def test_a_reading_needs_as_many_queries_for_many_units_as_for_one(
    system: System, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """Half a minute must do for a large fleet."""
    work()
    read(system)
    for unit in range(40):
        work(f"unit-{unit}", n=3)
    gathering.flush()
    services.merge(now=at())

    with django_assert_max_num_queries(26):
        services.read_all(int(time.time()) + 40, now=at(40))

    assert UnitVariety.objects.count() == 41
    assert Subject.objects.filter(system=system).exists()


def test_a_system_that_left_costs_the_others_nothing(system: System) -> None:
    """What was noted of it has nowhere to go."""
    gone = make_system("gone")
    work(n=1, system_id=gone.pk)
    work(n=1)
    gone.delete()

    assert gathering.flush() == 1
