"""When a condition holds, for how long, what is in a rule's scope, and whom to spare."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.evaluation import Condition, Verdict, base_metric, judge, matches_series, subject_of
from alerts.limits import Told, suppression
from alerts.plan import RuleSpec, UnitRef, Units, cases, matches, wanted_windows

NOW = 1_000_000.0
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ABOVE = Condition("gt", 0.9)
ABOVE_FOR_A_MINUTE = Condition("gt", 0.9, 60)


@pytest.mark.parametrize(
    ("comparison", "below", "at", "above"),
    [("gt", False, False, True), ("gte", False, True, True), ("lt", True, False, False), ("lte", True, True, False)],
)
def test_a_comparison_is_exact_at_its_threshold(comparison: str, below: bool, at: bool, above: bool) -> None:
    """Above and at least differ in one value only."""
    condition = Condition(comparison, 5.0)

    assert [condition.matches(value) for value in (4.9, 5.0, 5.1)] == [below, at, above]


@pytest.mark.parametrize(
    ("latest", "verdict"),
    [
        pytest.param((NOW, 0.95), Verdict.HOLDS, id="holds"),
        pytest.param((NOW, 0.5), Verdict.CLEAR, id="clear"),
        pytest.param((NOW - 30, 0.95), Verdict.HOLDS, id="half a minute old"),
        pytest.param((NOW - 31, 0.95), Verdict.NO_DATA, id="stale while it held"),
        pytest.param((NOW - 31, 0.5), Verdict.NO_DATA, id="stale while it was clear"),
        pytest.param(None, Verdict.NO_DATA, id="never heard"),
    ],
)
def test_silence_is_neither_holding_nor_clear(latest: tuple[float, float] | None, verdict: Verdict) -> None:
    """A series that fell silent must not resolve its alert, and must not fire one."""
    assert judge(ABOVE, latest, now=NOW).verdict is verdict


def series(*values: float, step: float = 5.0) -> list[tuple[float, float]]:
    """Return samples that end now."""
    return [(NOW - step * (len(values) - 1 - n), value) for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("samples", "due"),
    [
        pytest.param(series(*[1.0] * 13), True, id="held for exactly a minute"),
        pytest.param(series(*[1.0] * 12), False, id="5 s short of it"),
        pytest.param(series(*[1.0] * 10, 0.5, *[1.0] * 10), False, id="with a dip"),
        pytest.param([(NOW - 70, 1.0), (NOW - 35, 1.0), (NOW, 1.0)], False, id="with silences"),
        pytest.param([(NOW - 60, 1.0), (NOW - 30, 1.0), (NOW, 1.0)], True, id="with few but steady samples"),
    ],
)
def test_a_duration_is_measured_on_the_times_of_the_samples(samples: list[tuple[float, float]], due: bool) -> None:
    """A burst that arrives late is judged by when it was measured; a dip between two looks counts."""
    judged = judge(ABOVE_FOR_A_MINUTE, samples[-1], now=NOW, window=samples[:-1])

    assert (judged.verdict, judged.due) == (Verdict.HOLDS, due)


def test_a_window_without_a_break_goes_on_from_when_it_was_first_seen() -> None:
    """A duration as long as the hot tier could otherwise never come to its end."""
    samples = series(1.0, 1.0)

    judged = judge(ABOVE_FOR_A_MINUTE, samples[-1], now=NOW, window=samples[:-1], pending_since=NOW - 80)

    assert (judged.since, judged.due) == (NOW - 80, True)


def test_a_broken_window_starts_again() -> None:
    """What was pending before the dip is no evidence."""
    samples = series(1.0, 0.1, 1.0)

    judged = judge(ABOVE_FOR_A_MINUTE, samples[-1], now=NOW, window=samples[:-1], pending_since=NOW - 80)

    assert (judged.since, judged.due) == (NOW, False)


@pytest.mark.parametrize(
    ("metric", "name", "expected"),
    [
        ("size", "size", True),
        ("size", 'size{queue="a"}', True),
        ('size{queue="a"}', 'size{queue="a"}', True),
        ('size{queue="a"}', 'size{queue="b"}', False),
        ("size", "size_total", False),
    ],
)
def test_a_metric_without_labels_means_all_its_series(metric: str, name: str, expected: bool) -> None:
    """One rule for all queues, or for one."""
    assert matches_series(metric, name) is expected


def test_a_series_is_named_by_its_source_and_labels() -> None:
    """People must see which of several series is meant."""
    assert subject_of("web", 'size{queue="a"}') == 'web{queue="a"}'
    assert subject_of("web", "cpu") == "web"
    assert base_metric('size{queue="a"}') == "size"


UNITS = Units.of(
    [
        UnitRef(1, "a", "agent"),
        UnitRef(2, "b", "host"),
        UnitRef(3, "p", "agent", watched=False),
        UnitRef(4, "b", "agent"),
    ]
)


@pytest.mark.parametrize(
    ("unit_id", "kind", "expected"),
    [
        pytest.param(None, "", {("a", 1), ("b", 2), ("stray", None)}, id="the whole system"),
        pytest.param(None, "agent", {("a", 1), ("b", 4)}, id="one type"),
        pytest.param(2, "", {("b", 2)}, id="one unit"),
        pytest.param(2, "agent", set(), id="a unit of another type"),
        pytest.param(3, "", set(), id="a paused unit"),
    ],
)
def test_a_rule_watches_its_scope(unit_id: int | None, kind: str, expected: set[tuple[str, int | None]]) -> None:
    """Paused units raise nothing; sources without a unit belong to the system as a whole."""
    latest = {source: {"cpu": (NOW, 1.0)} for source in ("a", "b", "p", "stray")}

    found = matches([RuleSpec(1, "cpu", ABOVE, unit_id, kind)], latest, UNITS)

    assert {(match.source, match.unit_id) for match in found} == expected


def test_only_what_holds_and_must_last_is_read_back() -> None:
    """One window per metric, for the sources in question: not one per rule and series."""
    rules = [
        RuleSpec(1, "cpu", ABOVE_FOR_A_MINUTE),
        RuleSpec(2, "cpu", Condition("gt", 0.9, 10)),
        RuleSpec(3, "ram", ABOVE),
    ]
    latest = {"a": {"cpu": (NOW, 1.0), "ram": (NOW, 1.0)}, "b": {"cpu": (NOW, 0.1)}}

    assert wanted_windows(matches(rules, latest, Units()), latest) == {"cpu": (120.0, {"a"})}


def test_cases_judge_each_series_by_its_own_window() -> None:
    """Two sources, one of which has only just begun."""
    rule = RuleSpec(1, "cpu", ABOVE_FOR_A_MINUTE)
    latest = {"a": {"cpu": (NOW, 1.0)}, "b": {"cpu": (NOW, 1.0)}}
    windows = {("a", "cpu"): series(*[1.0] * 20), ("b", "cpu"): series(0.1, 1.0)}

    found = cases(matches([rule], latest, Units()), latest, windows, {}, now=NOW)

    assert {case.match.source: case.judgement.due for case in found} == {"a": True, "b": False}


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
