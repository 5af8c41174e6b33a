"""The cell rate algorithm: how many, how long to wait, and never more than promised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.messaging.gcra import Limit, step, step_all

PER_MINUTE = Limit(10, 60, 10)
PER_SECOND = Limit(100, 1, 5)


def accepted(arrivals: list[float], limit: Limit) -> list[float]:
    due_at, taken = 0.0, []
    for now in arrivals:
        found = step(due_at, limit, now=now)
        due_at = found.due_at
        taken += [now] if found.allowed else []
    return taken


@pytest.mark.parametrize(
    ("limit", "arrivals", "expected"),
    [
        pytest.param(PER_MINUTE, [0.0] * 12, 10, id="a burst after a pause, and no more"),
        pytest.param(PER_MINUTE, [6.0 * n for n in range(50)], 50, id="the steady rate for ever"),
        pytest.param(PER_MINUTE, [0.0] * 10 + [5.9], 10, id="a moment before one is earned"),
        pytest.param(PER_MINUTE, [0.0] * 10 + [6.0], 11, id="at the moment when one is earned"),
        pytest.param(PER_MINUTE, [0.0] * 10 + [60.0] * 12, 20, id="twice the limit around a full period (2-39)"),
        pytest.param(PER_SECOND, [n / 1000 for n in range(1000)], 104, id="ten times too fast for a second"),
        pytest.param(Limit(2, 60, 1), [0.0, 0.0, 30.0, 59.0], 2, id="no burst at all"),
    ],
)
def test_so_many_are_accepted(limit: Limit, arrivals: list[float], expected: int) -> None:
    """The documented numbers, by hand."""
    assert len(accepted([1000 + at for at in arrivals], limit)) == expected


@pytest.mark.parametrize(
    ("taken", "wait"),
    [
        pytest.param(10, 6.0, id="a full burst just now"),
        pytest.param(13, 6.0, id="refused ones cost nothing"),
    ],
)
def test_a_refusal_says_how_long_to_wait(taken: int, wait: float) -> None:
    """`Retry-After` must be neither a lie nor a guess."""
    due_at = 0.0
    for _ in range(taken):
        due_at = step(due_at, PER_MINUTE, now=500).due_at

    refused = step(due_at, PER_MINUTE, now=500)

    assert refused.wait_seconds == pytest.approx(wait)
    assert step(due_at, PER_MINUTE, now=500 + refused.wait_seconds).allowed


def test_a_clock_set_back_blocks_no_longer_than_an_empty_bucket() -> None:
    """A server that starts with a wrong clock must not silence anybody for a year."""
    due_at = step(0.0, PER_MINUTE, now=1e9).due_at

    assert step(due_at, PER_MINUTE, now=5.0).wait_seconds == pytest.approx(6.0)


def test_what_one_layer_refuses_no_layer_spends() -> None:
    """Nothing is kept, and the first that refuses is told, the most specific one."""
    full = step(0.0, Limit(1, 60, 1), now=100).due_at

    steps, refused = step_all([(0.0, PER_MINUTE), (full, Limit(1, 60, 1)), (full, Limit(1, 60, 1))], now=100)

    assert refused == 1
    assert [found.allowed for found in steps] == [True, False, False]


def test_a_share_is_a_part_of_the_rate_and_at_least_one_at_once() -> None:
    """A fourth of 2 a minute is one in two minutes, not nothing."""
    assert Limit(2, 60, 2).share(0.25) == Limit(0.5, 60, 1.0)
    assert Limit(2, 60, 2).share(0.25).interval_seconds == 120


@given(
    rate=st.integers(1, 1000),
    period=st.sampled_from([1, 60, 3600]),
    burst=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=200),
    window=st.floats(0, 10),
)
def test_no_window_sees_more_than_burst_and_rate(
    rate: int, period: int, burst: int, gaps: list[float], window: float
) -> None:
    """The promise, for any arrivals and any window; gaps are in intervals of the limit."""
    limit = Limit(rate, period, burst)
    arrivals, now = [], 10_000.0
    for gap in gaps:
        now += gap * limit.interval_seconds
        arrivals.append(now)

    taken = accepted(arrivals, limit)

    width = window * limit.interval_seconds
    most = max((sum(start <= at <= start + width for at in taken) for start in taken), default=0)
    assert most <= burst + window + 1e-3


@given(burst=st.integers(1, 20), gaps=st.lists(st.floats(1, 3), min_size=1, max_size=50))
def test_who_keeps_to_the_rate_is_never_refused(burst: int, gaps: list[float]) -> None:
    """A limit must not punish those who hold it."""
    limit = Limit(10, 60, burst)
    arrivals = [1000 + 6 * sum(gaps[: n + 1]) for n in range(len(gaps))]

    assert accepted(arrivals, limit) == arrivals
