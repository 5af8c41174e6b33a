"""What each kind of condition makes of samples, against the same written for one series in plain Python."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.conditions import KINDS, burn_rate, expression
from alerts.conditions.kind import Asked
from alerts.conditions.ragged import AGGREGATIONS, Rows, padded, rows_of
from subsystems.kernel.errors import Invalid
from subsystems.s4_intelligence.smoothing import holt, line

NOW = 1_000_000.0
Line = list[tuple[float, float]]
LINES = st.lists(
    st.lists(st.tuples(st.integers(1, 9), st.integers(-5, 9).map(float)), max_size=15), min_size=1, max_size=6
).map(lambda lines: [timed(line) for line in lines])


def timed(steps: list[tuple[int, float]]) -> Line:
    """Return samples, oldest first, that end before now."""
    at, line = NOW - 200, []
    for gap, value in steps:
        at += gap
        line.append((at, value))
    return line


def ragged(lines: list[Line]) -> Rows:
    series = [number for number, line in enumerate(lines) for _ in line]
    flat = [sample for line in lines for sample in line]
    at, values = [at for at, _ in flat], [value for _, value in flat]
    return rows_of(np.array(series, np.int64), np.array(at, float), np.array(values, float), np.arange(len(lines)))


def asked(kind: str, aggregation: str = "last", **params: Any) -> Asked:
    return Asked(kind, "m", 300.0, aggregation, tuple({**KINDS[kind].defaults, **params}.items()))


def measured(kind: str, lines: list[Line], aggregation: str = "last", **params: Any) -> list[float | None]:
    measure = KINDS[kind].measure
    assert measure is not None
    found = measure(ragged(lines), asked(kind, aggregation, **params), NOW)
    return [None if math.isnan(value) else pytest.approx(value, rel=1e-6, abs=1e-6) for value in found.tolist()]


def p95(values: list[float]) -> float:
    place = 0.95 * (len(values) - 1)
    low = math.floor(place)
    ordered = sorted(values)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)


BY_HAND: dict[str, Any] = {
    "last": lambda values: values[-1], "avg": statistics.fmean, "min": min, "max": max, "sum": math.fsum,
    "count": lambda values: float(len(values)), "p95": p95,
}  # fmt: skip


@pytest.mark.parametrize("how", list(AGGREGATIONS))
@given(lines=LINES)
def test_an_aggregate_of_many_is_that_of_each(how: str, lines: list[Line]) -> None:
    """A row of no samples has none."""
    assert measured("threshold", lines, how) == [BY_HAND[how]([v for _, v in line]) if line else None for line in lines]


@given(LINES, st.booleans())
def test_a_change_is_the_newest_less_the_oldest(lines: list[Line], relative: bool) -> None:
    """One sample is no change; a share of zero is unknown."""

    def by_hand(line: Line) -> float | None:
        if len(line) < 2 or (relative and line[0][1] == 0):
            return None
        return (line[-1][1] - line[0][1]) / (abs(line[0][1]) if relative else 1)

    assert measured("change", lines, relative=relative) == [by_hand(line) for line in lines]


@given(LINES)
def test_a_rate_counts_a_reset_from_zero(lines: list[Line]) -> None:
    """A counter that falls was restarted."""

    def by_hand(line: Line) -> float | None:
        if len(line) < 2:
            return None
        pairs = zip(line, line[1:], strict=False)
        rise = sum(b - a if b >= a else b for (_, a), (_, b) in pairs)
        return rise / (line[-1][0] - line[0][0])

    assert measured("rate", lines) == [by_hand(line) for line in lines]


@given(LINES)
def test_absence_is_the_age_of_the_newest(lines: list[Line]) -> None:
    """Of what was never heard there is no age."""
    assert measured("absence", lines) == [NOW - line[-1][0] if line else None for line in lines]


@given(LINES, st.sampled_from(["both", "up", "down"]))
def test_an_anomaly_is_a_distance_from_the_median(lines: list[Line], direction: str) -> None:
    """In deviations; a history that never moved has none, and leaving it is as far as it goes."""

    def by_hand(line: Line) -> float | None:
        history = [value for _, value in line[:-1]]
        if len(history) < 5:
            return None
        middle = statistics.median(history)
        away = [abs(value - middle) for value in history]
        spread = statistics.median(away) * 1.4826 or statistics.fmean(away) * 1.2533
        gap = line[-1][1] - middle
        z = max(-1000.0, min(1000.0, gap / spread)) if spread else math.copysign(1000.0, gap) if gap else 0.0
        return {"both": abs(z), "up": z, "down": -z}[direction]

    assert measured("anomaly", lines, direction=direction, min_samples=5) == [by_hand(line) for line in lines]


def test_a_straight_line_goes_on() -> None:
    """Both methods agree on what is straight; four samples are too few."""
    straight: Line = [(NOW - 50 + 10 * n, 3.0 * n) for n in range(6)]
    flat: Line = [(NOW - 50 + 10 * n, 7.0) for n in range(6)]

    assert measured("forecast", [straight, flat, straight[:4], []], horizon_seconds=100) == [45.0, 7.0, None, None]
    rows = ragged([straight * 1, flat])
    assert line(padded(rows, rows.at), padded(rows), NOW + 100).tolist() == pytest.approx([45.0, 7.0])
    assert holt(padded(rows, rows.at), padded(rows), NOW).tolist()[1] == pytest.approx(7.0)


def test_holt_follows_a_trend_over_uneven_steps() -> None:
    """It learns the slope; rows of unequal length go side by side."""
    long: Line = [(NOW - 400 + 4 * n, 0.5 * (4 * n)) for n in range(100)]
    uneven: Line = [(at, value) for n, (at, value) in enumerate(long) if n % 3]

    rows = ragged([long, uneven, long[:1]])
    predicted = holt(padded(rows, rows.at), padded(rows), NOW + 96)

    assert predicted[0] == pytest.approx(0.5 * 496, rel=0.05)
    assert predicted[1] == pytest.approx(0.5 * 496, rel=0.1)


def test_a_burn_needs_the_long_and_the_short_window() -> None:
    """What is over no longer pages, and a blip does not yet."""
    objective = 0.999
    share = np.array([0.02, 0.02, 0.0, np.nan])
    now = np.array([0.02, 0.0, 0.02, np.nan])
    long, short = (burn_rate.burn(each, np.ones(4), objective) for each in (share, now))

    worst = burn_rate.worst([(long, short, 14.4)])

    assert [bool(value > 1) for value in worst] == [True, False, False, False]
    assert np.isnan(worst[3])
    assert np.isnan(burn_rate.burn(np.array([0.0]), np.array([0.0]), objective)[0])


@pytest.mark.parametrize(
    ("text", "names", "value"),
    [
        ("value > 0.5 && metrics['load'] > 3.0", {"value": 0.6, "metrics": {"load": 4.0}}, 1.0),
        ("labels['queue'].startsWith('m')", {"labels": {"queue": "sms"}}, 0.0),
        ("value / 2.0", {"value": 3.0}, 1.5),
    ],
)
def test_an_expression_gives_a_number_or_yes(text: str, names: dict[str, Any], value: float) -> None:
    """CEL, with the names of the series."""
    assert expression.evaluated(text, names) == value


@pytest.mark.parametrize(
    ("kind", "params", "said"),
    [
        ("expression", {"expression": "value >"}, "cannot be read"),
        ("expression", {"expression": "valeu > 1"}, "does not work"),
        ("expression", {"expression": "'text'"}, "neither a number"),
        ("expression", {}, "a text of 1 to"),
        ("threshold", {"windows": 3}, "no setting"),
        ("anomaly", {"direction": "left"}, "one of both, up, down"),
        ("forecast", {"horizon_seconds": True}, "is a number"),
        ("burn_rate", {"total": "all", "objective": 1}, "between"),
        ("burn_rate", {"total": "all", "windows": [[60, 3600, 1]]}, "shorter than the long one"),
        ("burn_rate", {"total": "all", "windows": [[60]]}, "A pair of windows"),
        ("viability", {"of": "s9"}, "one of score"),
        ("signals", {"type": "joy"}, "one of"),
        ("change", {"relative": 1}, "true or false"),
        ("change", [], "a mapping"),
    ],
)
def test_settings_that_cannot_work_are_refused(kind: str, params: Any, said: str) -> None:
    """When the rule is saved."""
    with pytest.raises(Invalid, match=said) as caught:
        KINDS[kind].settle(params)

    assert caught.value.field == "params"


def test_only_what_uses_an_expression_loads_its_library() -> None:
    """It takes 30 MB, of 150 that the whole platform may have."""
    import subprocess
    import sys

    script = "import sys, alerts.conditions; assert 'cel' not in sys.modules"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
