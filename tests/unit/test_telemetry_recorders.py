"""Recorders of S1: the documented health, what is beside it, pain, and what many threads and processes add up to."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from subsystems.kernel.errors import Invalid, NotListed
from subsystems.kernel.telemetry_events import Bus
from subsystems.telemetry.achievement import achievement, bought_by_cutting, deviation, is_unusual
from subsystems.telemetry.recorders import MAX_OPERATIONS, OTHER, Expectations, Slow, Totals, UnitRecorder, health_of
from subsystems.telemetry.recording import HEARD, Recorders

NOON = 1_790_000_400.0


@pytest.mark.parametrize(
    ("success_rate", "avg_ms", "health"),
    [
        (1.0, 50, 100), (1.0, 100, 100), (1.0, 200, 85), (1.0, 400, 82.5), (0.95, 50, 100), (0.95, 200, 80),
        (0.8, 100, 80), (0.5, 50, 55), (0.5, 500, 32), (0.0, 50, 5),
    ],
)  # fmt: skip
def test_the_documented_health(success_rate: float, avg_ms: float, health: float) -> None:
    """000-50; appendix A."""
    totals = Totals(count=100, success=round(100 * success_rate), duration_ms=100 * avg_ms)

    assert health_of(totals) == pytest.approx(health)


def test_health_of_nothing_is_not_known_and_no_duration_divides_by_zero() -> None:
    """The documented formula would call a silent unit perfect, and crash on one that is too fast to measure."""
    assert health_of(Totals()) is None
    assert health_of(Totals(4, 4, 0.0)) == 100
    assert health_of(Totals(4, 2, 0.0)) == 60


def test_the_true_throughput_counts_by_the_clock() -> None:
    """2-37: two operations in five minutes are not twenty a second."""
    unit = UnitRecorder("billing-1")
    for offset in (0, 100):
        unit.record("process", 50, at=NOON + offset)

    found = unit.metrics(now=NOON + 100)

    assert found["performance"]["service_rate"] == 20
    assert found["performance"]["throughput"] == pytest.approx(2 / 300)
    assert found["health"] == 100
    assert found["health_by_throughput"] == pytest.approx(100 - 5 + 2 / 300)


def test_the_summary_has_the_documented_shape() -> None:
    """000-53: three of the ten newest errors, newest first."""
    unit = UnitRecorder("billing-1")
    for n in range(12):
        unit.record("validate", 10, f"error {n}", at=NOON + n)
    unit.record("process", 30, at=NOON + 20)

    found = unit.metrics(now=NOON + 20)

    assert {"unit_id", "performance", "operations", "health"} <= set(found)
    assert found["performance"]["success_rate"] == pytest.approx(1 / 13)
    assert found["performance"]["avg_duration"] == pytest.approx(150 / 13)
    validate = found["operations"]["validate"]
    assert (validate["count"], validate["success_rate"], validate["avg_duration"]) == (12, 0.0, 10.0)
    assert validate["recent_errors"] == ["error 11", "error 10", "error 9"]
    assert len(unit.operations["validate"].errors) == 10
    assert found["operations"]["process"]["p95"] == pytest.approx(30, rel=0.01)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("operation", "duration", "hurts"),
    [
        ("process", 100, False), ("process", 101, True), ("transform", 200, False), ("transform", 200.1, True),
        ("validate", 41, True), ("anything", 150, False), ("anything", 151, True),
    ],
)  # fmt: skip
def test_pain_above_twice_of_what_was_expected(operation: str, duration: float, hurts: bool) -> None:
    """000-51, 000-52: strictly more."""
    slow = UnitRecorder("billing-1").record(operation, duration, at=NOON)

    assert (slow is not None) is hurts
    if slow:
        assert slow.to_signal()["severity"] == "medium"
        assert slow.to_signal()["data"]["duration"] == duration


def test_what_is_expected_can_be_told() -> None:
    """Fifty milliseconds are not what every unit does."""
    unit = UnitRecorder("etl", expectations=Expectations({"load": 60_000}, otherwise=1_000))

    assert unit.record("load", 100_000, at=NOON) is None
    assert unit.record("else", 2_001, at=NOON) == Slow("etl", "else", 2_001, 1_000)


def test_the_last_five_minutes_decay_and_the_life_time_does_not() -> None:
    """A bad night must not colour the whole week, nor a good week hide a bad minute."""
    unit = UnitRecorder("billing-1")
    for second in range(100):
        unit.record("process", 50, "down", at=NOON + second)
    for second in range(900, 1000):
        unit.record("process", 50, at=NOON + second)

    found = unit.metrics(now=NOON + 1000)

    assert (found["performance"]["success_rate"], found["recent"]["success_rate"]) == (0.5, 1.0)
    assert (found["health"], found["health_recent"]) == (55, 100)
    assert unit.metrics(now=NOON + 5000)["health_recent"] is None


def test_names_without_end_fill_no_memory() -> None:
    """Someone will put an id into the name of an operation."""
    unit = UnitRecorder("billing-1")
    for n in range(3 * MAX_OPERATIONS):
        unit.record(f"order {n}", 10, at=NOON)

    assert len(unit.operations) == MAX_OPERATIONS + 1
    assert unit.operations[OTHER].totals.count == unit.folded == 2 * MAX_OPERATIONS


def test_recorders_of_processes_add_up() -> None:
    """Each worker counts for itself; the unit is all of them."""
    parts, whole = [UnitRecorder("u") for _ in range(3)], UnitRecorder("u")
    for n in range(300):
        result = "ok" if n % 7 else f"error {n}"
        for unit in (parts[n % 3], whole):
            unit.record("process" if n % 2 else "validate", 1.0 + n, result, at=NOON + n)

    total = UnitRecorder("u")
    for part in parts:
        total.merge(UnitRecorder.from_wire(json.loads(json.dumps(part.to_wire()))))

    assert total.metrics(now=NOON + 300) == whole.metrics(now=NOON + 300)


@pytest.mark.parametrize("strange", [None, -1, 1e400, "x", [], {}, 10**30, float("nan")])
@pytest.mark.parametrize("place", ["totals", "slow", "durations", "errors", "window"])
def test_a_strange_recorder_is_refused_or_harmless(place: str, strange: Any) -> None:
    """Recorders of other processes come over the broker."""
    unit = UnitRecorder("u")
    unit.record("process", 5, "down", at=NOON)
    wire = unit.to_wire()
    for told in (strange, [strange] * 3, [[strange] * 4], [[1, strange, 1, 1]]):
        wire["operations"]["process"][place] = told
        try:
            read = UnitRecorder.from_wire(wire)
        except Invalid:
            continue
        unit.merge(read)
        unit.metrics(now=NOON)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        pytest.param(lambda u: u.record("process", -1, at=NOON), "duration_ms", id="a negative duration"),
        pytest.param(lambda u: u.record("process", float("nan"), at=NOON), "duration_ms", id="not a number"),
        pytest.param(lambda u: u.record("process", "5", at=NOON), "duration_ms", id="text"),
        pytest.param(lambda u: u.record("process", 10**400, at=NOON), "duration_ms", id="beyond floats"),
        pytest.param(lambda u: u.record("", 5, at=NOON), "operation", id="no operation"),
        pytest.param(lambda u: u.record("process", 5, {"e": 1}, at=NOON), "result", id="a result that is no text"),
        pytest.param(lambda u: UnitRecorder("x" * 201), "unit_id", id="an endless name"),
        pytest.param(lambda u: UnitRecorder.from_wire({}), "unit", id="an empty body"),
    ],
)
def test_bad_input_is_refused_by_name(call: Any, field: str) -> None:
    """And counted nowhere."""
    unit = UnitRecorder("u")

    with pytest.raises(Invalid) as error:
        call(unit)

    assert error.value.field == field
    assert unit.metrics(now=NOON)["status"] == "no_data"


def test_many_threads_lose_no_operation() -> None:
    """Tasks end in any thread."""
    told: list[Slow] = []
    recorders = Recorders(on_slow=told.append)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: recorders.record_operation(f"u{n % 3}", "process", n % 102, now=NOON), range(3_000)))

    assert sum(recorders.get_metrics(unit)["operations"]["process"]["count"] for unit in recorders.units()) == 3_000
    assert len(told) == sum(n % 102 > 100 for n in range(3_000))


def test_a_failing_listener_does_not_harm_the_operation(caplog: pytest.LogCaptureFixture) -> None:
    """Pain that cannot be told is logged; the work was done."""

    def broken(_: Slow) -> None:
        raise OSError("no broker")

    slow = Recorders(on_slow=broken).record_operation("u", "process", 500, now=NOON)

    assert slow is not None
    assert "could not be told" in caplog.text


def test_units_without_end_fill_no_memory() -> None:
    """The one unheard for longest gives way, and is counted."""
    recorders = Recorders(max_units=2)
    for unit in ("a", "b", "a", "c"):
        recorders.record_operation(unit, "process", 1, now=NOON)

    assert (recorders.units(), recorders.forgotten) == (["a", "c"], 1)
    with pytest.raises(NotListed):
        recorders.get_metrics("b")


def test_what_was_taken_is_counted_once() -> None:
    """Handing over begins anew."""
    recorders = Recorders()
    recorders.record_operation("u", "process", 1, now=NOON)

    assert [unit.unit_id for unit in recorders.taken()] == ["u"]
    assert recorders.taken() == []


def test_spans_of_operations_are_heard() -> None:
    """000-5, 000-6: whoever tells its work needs no second call."""
    bus, recorders = Bus(), Recorders()
    bus.attach("recorders", HEARD, recorders.hear)
    seconds = iter([0.0, 0.010, 1.0, 1.5, 2.0, 2.1])

    def failing(success: bool) -> None:
        with bus.span("vsm.s1.operation", {"unit_id": "u", "operation": "load"}, clock=lambda: next(seconds)) as span:
            span.success = success
            if not success:
                raise ValueError("no such file")

    failing(True)
    with pytest.raises(ValueError, match="no such file"):
        failing(False)
    bus.emit("vsm.s1.operation.stop", {"duration": -1, "success": True}, {"unit_id": "u", "operation": "load"})
    bus.emit("vsm.s1.operation.stop", {"duration": 5, "success": True}, {})

    load = recorders.get_metrics("u")["operations"]["load"]
    assert (load["count"], load["success_rate"]) == (2, 0.5)
    assert load["avg_duration"] == pytest.approx(255)
    assert load["recent_errors"] == ["ValueError: no such file"]
    assert recorders.refused == 1


@pytest.mark.parametrize(
    ("given", "indices"),
    [((40, 60, 100), (0.6667, 0.6, 0.4)), ((40, 45, 100), (0.8889, 0.45, 0.4)), ((0, 5, 10), (0.0, 0.5, 0.0))],
)
def test_the_three_indices(given: tuple[float, float, float], indices: tuple[float, float, float]) -> None:
    """Beer; appendix A."""
    found = achievement(*given)

    shown = (found.productivity, found.achievement_latency, found.performance)
    assert shown == pytest.approx(indices, abs=1e-4)
    assert found.performance == pytest.approx(found.productivity * found.achievement_latency)


def test_all_three_are_shown_or_named_unknown() -> None:
    """Productivity alone is how cost-cutting looks like success."""
    before, after = achievement(40, 60, 100), achievement(40, 45, 100)

    assert after.statement == "productivity 0.89, latency 0.45, performance 0.40"
    assert bought_by_cutting(before, after)
    assert not bought_by_cutting(after, before)
    assert not bought_by_cutting(before, achievement(50, 60, 100))
    wire = achievement(40, 60, None).to_wire()
    assert (wire["productivity"], wire["achievement_latency"], wire["performance"]) == (
        pytest.approx(2 / 3),
        None,
        None,
    )
    assert wire["statement"] == "productivity 0.67, latency unknown, performance unknown"


def test_where_less_is_better_the_ratios_are_turned_over() -> None:
    """It takes 100 ms, could take 60, ought to take 40."""
    found = achievement(100, 60, 40, less_is_better=True)

    shown = (found.productivity, found.achievement_latency, found.performance)
    assert shown == pytest.approx((0.6, 2 / 3, 0.4))


def test_an_outdated_capability_is_named() -> None:
    """More than it can do, it cannot do: the estimate is wrong."""
    assert achievement(70, 60, 100).findings == ("capability_exceeded",)
    assert achievement(70, 80, 60).findings == ("potentiality_exceeded",)


@pytest.mark.parametrize(
    ("name", "given"), [("capability", (1, 0, 1)), ("actuality", (-1, 1, 1)), ("potentiality", (1, 1, float("inf")))]
)
def test_impossible_measures_are_refused_by_name(name: str, given: Any) -> None:
    """A capability of nothing divides by zero."""
    with pytest.raises(Invalid) as error:
        achievement(*given)

    assert error.value.field == name


def test_an_index_is_judged_by_its_own_history() -> None:
    """No fixed limit fits two units (requirements 3.4)."""
    usual = [0.60, 0.61, 0.59, 0.60, 0.62, 0.58, 0.60, 0.61]

    assert is_unusual(usual, 0.60) is False
    assert is_unusual(usual, 0.40) is True
    assert is_unusual(usual[:3], 0.40) is None
    assert deviation([0.5] * 8, 0.5) == 0.0
    assert deviation([0.5] * 8, 0.4) == float("-inf")
