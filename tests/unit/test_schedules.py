"""Beat's schedule of slots: none missed, none doubled, no drift."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import pytest

from vsm_site.schedules import SlotSchedule, every

START = datetime(2026, 11, 20, 9, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def is_due(now: datetime, last_run_at: datetime) -> tuple[bool, float]:
    schedule = SlotSchedule(5)
    schedule.nowfun = lambda: now
    state = schedule.is_due(last_run_at)
    return state.is_due, state.next


@pytest.mark.parametrize(
    ("now", "last", "due", "wait"),
    [
        pytest.param(4.99, 0.0, False, 0.01, id="the slot has not begun"),
        pytest.param(5.0, 0.0, True, 5.0, id="the slot begins"),
        pytest.param(5.8, 4.9, True, 4.2, id="late, and the next wait makes up for it"),
        pytest.param(5.8, 5.1, False, 4.2, id="this slot was done"),
        pytest.param(31.0, 0.0, True, 4.0, id="six slots were missed, and only the present one is done"),
    ],
)
def test_a_slot_is_due_once_from_its_start(now: float, last: float, due: bool, wait: float) -> None:
    """A tick that is late must not push all later ones."""
    assert is_due(at(now), at(last)) == (due, pytest.approx(wait))


def test_a_slow_publisher_neither_misses_nor_doubles_a_slot() -> None:
    """Publishing takes time; the stock schedule drifts by it at every tick."""
    now, last, slots = at(0.3), at(0), []
    while now < at(60):
        due, wait = is_due(now, last)
        if due:
            slots.append(int(now.timestamp()) // 5)
            last, now = now, now + timedelta(seconds=0.7)
            wait = is_due(now, last)[1]
        now += timedelta(seconds=wait)

    first = int(START.timestamp()) // 5
    assert slots == list(range(first + 1, first + 12))


def test_the_schedule_survives_beats_shelf() -> None:
    """Beat may store its entries."""
    assert pickle.loads(pickle.dumps(every(30))).period_seconds == 30
