"""Batches, slowness and panels, without a database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.crdt import GCounter
from subsystems.telemetry.recorders import OperationRecorder, Totals
from subsystems.telemetry.requisite import Outside, Position
from subsystems.variety import batches, measuring, slowness
from subsystems.variety.measuring import PAIRS, Watch, Windows
from subsystems.variety.rules import Rules
from subsystems.variety.slowness import Basis, Expectation

NOON = 1_800_000_000.0


def body(**changes: Any) -> bytes:
    operation = {
        "operation": "charge", "total": 3, "total_ok": 2, "ends": [[NOON, "ok", 2], [NOON, "ValueError", 1]],
        "durations_ms": [[10, 2], [30.5, 1]], "total_ms": 50.5, "errors": [[NOON, "ValueError: no"]],
    }  # fmt: skip
    told = {"source": "shop", "replica": "abcdefgh", "since": NOON - 60, "number": 1, "operations": [operation]}
    operation |= {name: value for name, value in changes.items() if name in operation}
    told |= {name: value for name, value in changes.items() if name in told}
    return json.dumps(told).encode()


def test_a_batch_becomes_the_record_of_what_is_new() -> None:
    """Counts, durations, errors and the last minutes."""
    (ended,) = batches.pushed(body(), now=NOON).operations

    recorder = batches.recorder_of(ended)

    assert recorder.totals == Totals(3, 2, 50.5)
    assert recorder.durations.quantile(1) == pytest.approx(30.5, rel=0.01)
    assert list(recorder.errors) == [(NOON, "ValueError: no")]
    assert recorder.recent(NOON) == Totals(3, 2, 50.5)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source": ""}, "source"),
        ({"source": 7}, "source"),
        ({"replica": "short"}, "replica"),
        ({"since": NOON - 14 * 3600}, "since"),
        ({"since": NOON + 120}, "since"),
        ({"number": -1}, "number"),
        ({"operations": []}, "operations"),
        ({"operation": "a\nb"}, "operations[0].operation"),
        ({"total": 2}, "operations[0].total"),
        ({"total_ok": 4}, "operations[0].total"),
        ({"ends": []}, "operations[0].ends"),
        ({"ends": [[NOON, "ok", 0]]}, "operations[0].ends[0][2]"),
        ({"ends": [[NOON - 7200, "ok", 3]]}, "operations[0].ends"),
        ({"ends": [[NOON + 120, "ok", 3]]}, "operations[0].ends"),
        ({"durations_ms": [[-1, 3]]}, "operations[0].durations_ms[0][0]"),
        ({"durations_ms": [[1, 2]]}, "operations[0].durations_ms"),
        ({"total_ms": "1"}, "operations[0].total_ms"),
    ],
)
def test_a_batch_that_cannot_be_true_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    """Whoever writes a client of their own needs to know what is wrong."""
    with pytest.raises(Invalid) as caught:
        batches.pushed(body(**changes), now=NOON)

    assert caught.value.field.replace("[...]", "[0]").split("[")[0] == field.split("[")[0]


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b'{"source": "shop"}', b"[" * 5_000])
def test_what_is_no_batch_is_refused(raw: bytes) -> None:
    """Strangers send anything."""
    with pytest.raises(Invalid):
        batches.pushed(raw, now=NOON)


def test_nobody_speaks_for_another_source() -> None:
    """The same replica name of two sources is two replicas."""
    mine, theirs = (batches.pushed(body(source=source), now=NOON) for source in ("shop", "bank"))

    assert batches.replica_of(mine) != batches.replica_of(theirs)


def test_replicas_long_dead_share_one_name() -> None:
    """Counters do not grow with every restart of every process, and lose nothing."""
    counter = GCounter({batches.named(f"w/{n}", NOON - 40 * 3600): 5 for n in range(100)})

    counter = batches.counted(counter, batches.named("w/new", NOON), 7, now=NOON)

    assert counter.value == 507
    assert len(counter.counts) == 2


def test_very_many_replicas_are_bounded() -> None:
    """A source whose processes live for a second each."""
    counter = GCounter()
    for n in range(700):
        counter = batches.counted(counter, batches.named(f"w/{n}", NOON + n), 1, now=NOON + n)

    assert counter.value == 700
    assert len(counter.counts) <= batches.MAX_LIVING + 2


@pytest.mark.parametrize(
    ("operation", "declared", "count", "expected"),
    [
        ("process", None, 0, Expectation(50.0, Basis.DOCUMENTED)),
        ("process", 9.0, 0, Expectation(9.0, Basis.DECLARED)),
        ("charge", None, 99, Expectation(None, Basis.UNKNOWN)),
        ("charge", None, 100, Expectation(200.0, Basis.LEARNT)),
    ],
)
def test_an_expectation_is_declared_documented_or_learnt(
    operation: str, declared: float | None, count: int, expected: Expectation
) -> None:
    """In this order; nobody guesses."""
    assert slowness.expectation_of(operation, declared=declared, count=count, p95=200.0) == expected


def test_a_learnt_expectation_is_at_least_the_documented_one() -> None:
    """Work of a millisecond does not hurt at three."""
    assert slowness.expectation_of("charge", declared=None, count=100, p95=1.0).ms == 75.0


def test_slow_ones_are_counted_and_the_worst_is_exact() -> None:
    """Three of ten are above 100 ms."""
    fresh = OperationRecorder()
    fresh.durations.add_many([20.0] * 7 + [150.0, 200.0, 333.0])

    slow = slowness.judge("shop", "process", fresh, Expectation(50.0, Basis.DOCUMENTED))

    assert slow is not None
    assert (slow.count, slow.worst_ms) == (3, 333.0)


# --- Windows and panels -----------------------------------------------------------------------------------------------
def windows(**seen: list[tuple[str, float, int]]) -> dict[str, Windows]:
    made = {name: measuring.fresh(name) for name in (*measuring.SUBJECTS, PAIRS)}
    for name, states in seen.items():
        made[name].take(states, until=NOON)
    return made


def test_windows_hold_what_was_before_their_end() -> None:
    """What came later is kept for the next reading, across a restart."""
    kept = measuring.fresh("environment")
    kept.take([("a", NOON - 1, 2), ("b", NOON, 3)], until=NOON)
    again = Windows.from_wire(measuring.unpacked(measuring.packed(kept.to_wire())))
    first = again.recent(now=NOON)
    again.take([], until=NOON + 10)

    assert first == {"a": 2}
    assert again.recent(now=NOON + 10) == {"a": 2, "b": 3}


def test_a_failure_is_one_answer_whatever_failed() -> None:
    """To fail is not to answer."""
    sides = measuring.sides_of("charge", True, [(NOON, "ok", 2), (NOON, "ValueError", 1), (NOON, "KeyError", 1)])
    subjects = measuring.subjects_of(sides)

    assert [(name, n) for name, _, n in subjects["operation"]] == [("charge", 2), ("(failed)", 1), ("(failed)", 1)]
    assert [name for name, _, _ in subjects["outcome"]] == ["ok", "ValueError", "KeyError"]
    assert sum(n for _, _, n in subjects["environment"]) == 4


def test_nothing_seen_is_unknown_in_every_figure() -> None:
    """Never zero, never adequate."""
    found = measuring.read(windows(), Watch(), Rules(), now=NOON)

    numbers = {name: value for name, value in found.figures.items() if not name.endswith("band") and name != "samples"}
    assert set(numbers.values()) == {None}
    assert found.figures["band"] == "insufficient_data"
    assert found.imbalances == []


def test_what_is_watched_survives_being_written() -> None:
    """Patience is over three readings, which may be made by three processes."""
    watch = Watch({"s1": Outside(Position.BELOW, 2, False)}, 2)

    assert Watch.from_wire(json.loads(json.dumps(watch.to_wire()))) == watch


def test_s3_and_s4_are_weighed_against_each_other() -> None:
    """Beer's second axiom."""
    seen = {"s3": [("a", NOON - 1, 5), ("b", NOON - 1, 5)], "s4": [(name, NOON - 1, 5) for name in "abcd"]}

    found = measuring.read(windows(**seen), Watch(), Rules(), now=NOON)

    assert (found.body["s3_s4_balance"], found.body["s3_s4"]) == (0.5, "s4_leads")
    assert found.body["management"]["bits"] == pytest.approx(1.9183, abs=1e-3)  # the metasystem as a whole
