"""The state machine, and which series a rule watches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import machine
from alerts.conditions.ragged import held_since, rows_of
from alerts.evaluation import COMPARISONS, base_metric, subject_of
from alerts.limits import Told, suppression
from alerts.machine import Memory, State, Terms, Verdict
from alerts.selecting import Row, Scope, Selector, Table, UnitRef, Units
from subsystems.telemetry.selection import matchers

NOW = 1_000_000.0
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEEP, ALERT, OK = 0, 1, 2


def terms(**given: Any) -> Terms:
    """Return the terms of one pair."""
    fields = {
        "comparison": 0, "threshold": 0.9, "for_seconds": 0.0, "keep_firing_seconds": 0.0, "stale_seconds": 30.0,
        "no_data": KEEP, "steps": [np.nan, np.nan], **given,
    }  # fmt: skip
    fields.setdefault("recover", fields["threshold"])
    whole = {"comparison", "no_data"}
    return Terms(**{k: np.array([v], np.int8 if k in whole else np.float64) for k, v in fields.items()})


def memory(
    state: State = State.NORMAL, since: float = np.nan, recovering: float = np.nan, held: bool = False
) -> Memory:
    return Memory(np.array([state], np.int8), np.array([since]), np.array([recovering]), np.array([held]))


# --- The same by hand: one pair, plain Python ---
def judged_by_hand(value: float | None, at: float | None, asked: Terms, state: State, *, now: float) -> Verdict:
    if value is None or at is None or now - at > asked.stale_seconds[0]:
        return Verdict.NO_DATA
    told = state in (State.FIRING, State.RECOVERING, State.NO_DATA)
    limit = asked.recover[0] if told else asked.threshold[0]
    compare = COMPARISONS[machine.COMPARISONS[asked.comparison[0]]]
    return Verdict.HOLDS if compare(value, limit) else Verdict.CLEAR


def advanced_by_hand(
    verdict: Verdict, at: float, heard: float | None, asked: Terms, known: Memory, *, now: float
) -> tuple[State, bool]:
    state, since, recovering = State(int(known.state[0])), known.since[0], known.recovering_since[0]
    if verdict == Verdict.NO_DATA and asked.no_data[0] == OK:
        verdict = Verdict.CLEAR
    if known.held[0]:
        return State.NORMAL, verdict == Verdict.CLEAR
    if verdict == Verdict.NO_DATA:
        silent = heard is not None and now - heard >= asked.stale_seconds[0] + asked.for_seconds[0]
        return (State.NO_DATA if asked.no_data[0] == ALERT and silent else state), False
    told = state in (State.FIRING, State.RECOVERING, State.NO_DATA)
    if verdict == Verdict.HOLDS:
        began = at if np.isnan(since) else since
        return (State.FIRING if told or round(at - began, 3) >= asked.for_seconds[0] else State.PENDING), False
    if state in (State.FIRING, State.RECOVERING):
        began = now if np.isnan(recovering) else recovering
        if round(now - began, 3) < asked.keep_firing_seconds[0]:
            return State.RECOVERING, False
    return State.NORMAL, False


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.sampled_from([0.0, 0.5, 0.8, 0.9, 1.0])),  # value
            st.sampled_from([0.0, 5.0, 29.0, 31.0, 95.0]),  # age of the sample
            st.sampled_from(list(State)),
            st.sampled_from([0.0, 10.0, 60.0]),  # how long ago it became pending, and began to recover
            st.booleans(),
            st.tuples(st.integers(0, 3), st.sampled_from([0.5, 0.9]), st.sampled_from([0.0, 10.0, 60.0])),
            st.tuples(st.sampled_from([0.0, 60.0]), st.sampled_from([KEEP, ALERT, OK]), st.booleans()),
        ),
        min_size=1, max_size=30,
    )
)  # fmt: skip
def test_all_pairs_at_once_are_what_each_is_alone(cases: list[Any]) -> None:
    """The whole machine against the same written for one pair in plain Python."""
    asked, known, values, ages = [], [], [], []
    for value, age, state, ago, held, (comparison, limit, duration), (keep, policy, hysteresis) in cases:
        recover = limit + (-0.2 if comparison < 2 else 0.2) * hysteresis
        asked.append(terms(comparison=comparison, threshold=limit, recover=recover, for_seconds=duration,
                           keep_firing_seconds=keep, no_data=policy))  # fmt: skip
        since = NOW - age - ago if state != State.NORMAL else np.nan
        known.append(memory(state, since, NOW - ago if state == State.RECOVERING else np.nan, held))
        values.append(value)
        ages.append(age)
    all_terms = Terms(*(np.concatenate([getattr(each, name) for each in asked]) for name in Terms.__slots__))
    all_known = Memory(*(np.concatenate([getattr(each, name) for each in known]) for name in Memory.__slots__))
    numbers = np.array([np.nan if value is None else value for value in values])
    at = NOW - np.array(ages)

    verdicts = machine.judged(numbers, at, all_terms, all_known, now=NOW)
    step = machine.advance(verdicts, at, np.full(len(at), np.nan), all_terms, all_known, now=NOW, heard=at)

    for place, (one, mine) in enumerate(zip(asked, known, strict=True)):
        state = State(int(mine.state[0]))
        verdict = judged_by_hand(values[place], float(at[place]), one, state, now=NOW)
        assert verdicts[place] == verdict
        after = advanced_by_hand(verdict, float(at[place]), float(at[place]), one, mine, now=NOW)
        assert (State(int(step.state[place])), bool(step.released[place])) == after


@given(
    st.lists(st.lists(st.tuples(st.sampled_from([1.0, 5.0, 31.0]), st.booleans()), max_size=12), min_size=1, max_size=8)
)
def test_runs_are_found_as_by_hand(series: list[list[tuple[float, bool]]]) -> None:
    """The last unbroken run of each series; silence for over 30 s breaks it."""
    ids, at, holds = [], [], []
    expected = []
    for number, steps in enumerate(series):
        moment, began, whole = NOW, None, True
        for place, (gap, held) in enumerate(steps):
            moment += gap
            broken = place > 0 and gap > 30
            if not held:
                began, whole = None, False
            elif began is None or broken:
                whole = whole and not broken
                began = moment
            ids.append(number)
            at.append(moment)
            holds.append(held)
        expected.append((began, whole))
    columns = np.array(ids, np.int64), np.array(at, np.float64)
    rows = rows_of(*columns, np.zeros(len(ids)), np.arange(len(series)))

    since, _ = held_since(rows, np.array(holds, np.bool_), 30.0)

    assert [None if np.isnan(each) else each for each in since.tolist()] == [began for began, _ in expected]


@pytest.mark.parametrize(
    ("comparison", "below", "at", "above"),
    [(0, False, False, True), (1, False, True, True), (2, True, False, False), (3, True, True, False)],
)
def test_a_comparison_is_exact_at_its_threshold(comparison: int, below: bool, at: bool, above: bool) -> None:
    """Above and at least differ in one value only."""
    met = machine.meets(np.array([4.9, 5.0, 5.1]), np.full(3, comparison, np.int8), np.full(3, 5.0))

    assert met.tolist() == [below, at, above]


def test_a_worse_step_is_found_and_an_unknown_value_meets_none() -> None:
    """Warning at 80, critical at 95."""
    asked = terms(threshold=80.0, steps=[95.0, np.nan])
    four = Terms(*(np.repeat(getattr(asked, name), 4, axis=0) for name in Terms.__slots__))

    assert machine.levels(np.array([70.0, 90.0, 96.0, np.nan]), four).tolist() == [0, 0, 1, 0]


def test_it_fires_at_one_threshold_and_recovers_at_another() -> None:
    """A value that wavers about the threshold is one alert, not many."""
    asked, states = terms(threshold=0.9, recover=0.7), []
    known = memory()
    for value in (0.8, 0.95, 0.8, 0.71, 0.7, 0.8):
        at = np.array([NOW])
        verdict = machine.judged(np.array([value]), at, asked, known, now=NOW)
        step = machine.advance(verdict, at, np.array([np.nan]), asked, known, now=NOW)
        known = Memory(step.state, step.since, step.recovering_since, known.held)
        states.append(State(int(step.state[0])).name)

    assert states == ["NORMAL", "FIRING", "FIRING", "FIRING", "NORMAL", "NORMAL"]


def test_it_keeps_firing_for_as_long_as_asked() -> None:
    """What comes back within a minute was never over."""
    asked, states = terms(keep_firing_seconds=60.0), []
    known = memory()
    for seconds, value in [(0, 1.0), (5, 0.1), (60, 0.1), (62, 1.0), (65, 0.1), (125, 0.1)]:
        now = NOW + seconds
        at = np.array([now])
        verdict = machine.judged(np.array([value]), at, asked, known, now=now)
        step = machine.advance(verdict, at, np.array([np.nan]), asked, known, now=now)
        known = Memory(step.state, step.since, step.recovering_since, known.held)
        states.append(State(int(step.state[0])).name)

    assert states == ["FIRING", "RECOVERING", "RECOVERING", "FIRING", "RECOVERING", "NORMAL"]


# --- Which series ---
UNITS = Units.of(
    [
        UnitRef(1, "web-1", "host", system_id=1),
        UnitRef(2, "web-2", "host", watched=False, system_id=1),
        UnitRef(3, "web-1", "agent", system_id=1),
        UnitRef(4, "far", "host", system_id=2),
    ]
)
ROWS = [
    Row(1, "web-1", "cpu"), Row(1, "web-2", "cpu"), Row(1, "stranger", "cpu"), Row(2, "far", "cpu"),
    Row(1, "web-1", "disk", {"path": "/"}), Row(1, "web-1", "disk", {"path": "/var"}), Row(1, "web-1", "disk"),
]  # fmt: skip
TABLE = Table(np.arange(len(ROWS), dtype=np.int64), ROWS)


@pytest.mark.parametrize(
    ("metric", "scope", "match", "places"),
    [
        pytest.param("cpu", Scope((1,)), "", [0, 2], id="the system, without what is paused"),
        pytest.param("cpu", Scope((1, 2)), "", [0, 2, 3], id="and those below"),
        pytest.param("cpu", Scope((1,), 1), "", [0], id="one unit"),
        pytest.param("cpu", Scope((1,), 2), "", [], id="one that is paused"),
        pytest.param("cpu", Scope((1,), None, "host"), "", [0], id="a type: strangers have none"),
        pytest.param("cpu", Scope((2,)), "", [3], id="another system alone"),
        pytest.param("disk", Scope((1,)), "", [4, 5, 6], id="with and without labels"),
        pytest.param('disk{path="/"}', Scope((1,)), "", [4], id="one series"),
        pytest.param("disk", Scope((1,)), "path=/v*", [5], id="a pattern"),
        pytest.param("disk", Scope((1,)), "path!=/", [5, 6], id="not a value"),
        pytest.param("disk", Scope((1,)), "path=", [6], id="without the label"),
        pytest.param("cpu", Scope((1,)), "source=str*", [2], id="a source"),
        pytest.param("cpu", Scope((1,)), "path=/", [], id="a label that none has"),
        pytest.param("cpu", Scope((1,)), "path!=/", [0, 2], id="not a label that none has"),
        pytest.param("none", Scope((1,)), "", [], id="no such metric"),
    ],
)
def test_a_rule_watches_what_is_in_its_scope(metric: str, scope: Scope, match: str, places: list[int]) -> None:
    """Neither another tenant's series nor those of units that somebody paused."""
    assert TABLE.chosen(Selector(scope, metric, tuple(matchers(match))), UNITS).tolist() == places


def test_series_are_named_by_source_and_labels() -> None:
    """People read the subject; two labelled series of one source must differ in it."""
    assert subject_of("web-1", 'disk{path="/"}') == 'web-1{path="/"}'
    assert subject_of("web-1", "cpu") == "web-1"
    assert base_metric('disk{path="/"}') == "disk"


MINUTE_AGO = Told(NOON - timedelta(minutes=1), "warning")


@pytest.mark.parametrize(
    ("severity", "before", "told", "expected"),
    [
        pytest.param("warning", None, 0, "", id="first"),
        pytest.param("warning", MINUTE_AGO, 0, "cooldown", id="again within the cooldown"),
        pytest.param("warning", Told(NOON - timedelta(minutes=5), "warning"), 0, "", id="at the end of the cooldown"),
        pytest.param("warning", None, 19, "", id="the twentieth"),
        pytest.param("warning", None, 20, "hourly_limit", id="the twenty-first"),
        pytest.param("critical", Told(MINUTE_AGO.at, "critical"), 99, "", id="critical is never held back"),
        pytest.param("warning", Told(MINUTE_AGO.at, "info"), 0, "", id="worse than before"),
        pytest.param("warning", Told(MINUTE_AGO.at, "critical"), 0, "cooldown", id="better than before"),
    ],
)
def test_whom_to_spare(severity: str, before: Told | None, told: int, expected: str) -> None:
    """Five minutes between similar ones, twenty an hour, and none of it for what is critical."""
    spared = suppression(
        severity, now=NOON, cooldown=timedelta(minutes=5), before=before, told_last_hour=told, max_per_hour=20
    )

    assert spared == expected
