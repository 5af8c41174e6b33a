"""When schedules are due, through every change of the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.s2_coordination.timetable import (
    Cron,
    Interval,
    Once,
    Shift,
    Timetable,
    backlog,
    clock_changes,
    next_due,
    occurrences,
    upcoming,
)

BERLIN = ZoneInfo("Europe/Berlin")
# Jumps of an hour at night, of half an hour, at midnight, of a whole day, and none at all.
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Africa/Cairo", "Asia/Kolkata"]
DAYS, MONTHS, WEEK = frozenset(range(1, 32)), frozenset(range(1, 13)), frozenset(range(7))
EVERY_HOUR = frozenset(range(24))


def cron(zone: str = "Europe/Berlin", *, minutes: set[int], hours: set[int] | frozenset[int], **given: object) -> Cron:
    fields = {"days_of_month": DAYS, "months": MONTHS, "days_of_week": WEEK, **given}
    return Cron(frozenset(minutes), frozenset(hours), zone=ZoneInfo(zone), **fields)  # type: ignore[arg-type]


def moments_until(table: Timetable, start: datetime, end: datetime) -> list[datetime]:
    return [found.at for found in takewhile(lambda one: one.at <= end, occurrences(table, start))]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "after", "expected"),
    [
        pytest.param(
            cron(minutes={30}, hours={2}), utc(2026, 3, 28, 12), [(utc(2026, 3, 29, 1), Shift.SKIPPED)],
            id="a fixed time that is skipped runs at the jump",
        ),
        pytest.param(
            cron(minutes={0, 15, 30}, hours={2, 3}), utc(2026, 3, 29, 0, 30),
            [(utc(2026, 3, 29, 1), Shift.SKIPPED), (utc(2026, 3, 29, 1, 15), Shift.NONE)],
            id="all that is skipped, and what is due at the jump itself, is one run",
        ),
        pytest.param(
            cron(minutes={30}, hours={2}), utc(2026, 10, 24, 12),
            [(utc(2026, 10, 25, 0, 30), Shift.REPEATED), (utc(2026, 10, 26, 1, 30), Shift.NONE)],
            id="a fixed time that comes twice runs the first time",
        ),
        pytest.param(
            cron(minutes={30}, hours=EVERY_HOUR), utc(2026, 10, 25, 0),
            [(utc(2026, 10, 25, 0, 30), Shift.FIRST), (utc(2026, 10, 25, 1, 30), Shift.SECOND)],
            id="what runs every hour runs both times",
        ),
        pytest.param(
            cron(minutes={30}, hours=EVERY_HOUR), utc(2026, 3, 29, 0, 0),
            [(utc(2026, 3, 29, 0, 30), Shift.NONE), (utc(2026, 3, 29, 1, 30), Shift.NONE)],
            id="what runs every hour leaves the skipped hour out",
        ),
        pytest.param(
            cron("Pacific/Apia", minutes={0}, hours={10}), utc(2011, 12, 29, 21),
            [(utc(2011, 12, 30, 10), Shift.SKIPPED), (utc(2011, 12, 30, 20), Shift.NONE)],
            id="a day that a country skipped",
        ),
        pytest.param(
            cron("UTC", minutes={0}, hours={0}, days_of_month=frozenset({29}), months=frozenset({2})),
            utc(2026, 1, 1), [(utc(2028, 2, 29), Shift.NONE), (utc(2032, 2, 29), Shift.NONE)], id="leap days",
        ),
        pytest.param(
            cron("UTC", minutes={0}, hours={0}, days_of_month=frozenset({13}), days_of_week=frozenset({5})),
            utc(2026, 1, 1), [(utc(2026, 2, 13), Shift.NONE), (utc(2026, 3, 13), Shift.NONE)],
            id="both days must match, as Celery has it",
        ),
        pytest.param(
            cron("UTC", minutes={0}, hours={0}, days_of_month=frozenset({31}), months=frozenset({2})),
            utc(2026, 1, 1), [], id="a day that never comes",
        ),
        pytest.param(
            Interval(timedelta(minutes=7), utc(2026, 1, 1)), utc(2026, 1, 1, 0, 7),
            [(utc(2026, 1, 1, 0, 14), Shift.NONE), (utc(2026, 1, 1, 0, 21), Shift.NONE)], id="an interval",
        ),
        pytest.param(
            Interval(timedelta(minutes=7), utc(2026, 1, 1)), utc(2025, 1, 1), [(utc(2026, 1, 1), Shift.NONE)],
            id="an interval that has not begun",
        ),
        pytest.param(Once(utc(2026, 1, 1)), utc(2025, 1, 1), [(utc(2026, 1, 1), Shift.NONE)], id="once"),
        pytest.param(Once(utc(2026, 1, 1)), utc(2026, 1, 1), [], id="once, and it was"),
    ],
)  # fmt: skip
def test_due_times(table: Timetable, after: datetime, expected: list[tuple[datetime, Shift]]) -> None:
    """Nobody should have to know at which hour of which night a zone's clock jumps."""
    found = upcoming(table, after, max(len(expected), 1))

    assert [(one.at, one.shift) for one in found][: len(expected)] == expected
    assert bool(found) == bool(expected)


@given(
    zone=st.sampled_from(ZONES),
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4),
    start=st.datetimes(datetime.fromisoformat("2024-01-01"), datetime.fromisoformat("2027-12-01")),
)
def test_what_runs_every_hour_follows_real_time(zone: str, minutes: set[int], start: datetime) -> None:
    """Each minute of real time whose local minute matches is due, once, whatever the clock does."""
    after = start.replace(tzinfo=UTC, second=0, microsecond=0)
    end = after + timedelta(days=1)
    every = [after + timedelta(minutes=number) for number in range(1, 24 * 60 + 1)]
    expected = [at for at in every if at.astimezone(ZoneInfo(zone)).minute in minutes]

    assert moments_until(cron(zone, minutes=minutes, hours=EVERY_HOUR), after, end) == expected


@given(
    zone=st.sampled_from(ZONES),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    month=st.integers(0, 35),
)
def test_a_fixed_time_runs_once_on_each_day(zone: str, hour: int, minute: int, month: int) -> None:
    """A nightly job must neither be left out nor run twice in the night when the clock changes."""
    first = date(2024 + month // 12, month % 12 + 1, 1)
    start = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(hours=2)
    found = upcoming(cron(zone, minutes={minute}, hours={hour}), start, 35)
    own_days = [one.local.date() for one in found]

    assert all(later.at > earlier.at for earlier, later in pairwise(found))
    assert all((later - earlier).days == 1 for earlier, later in pairwise(own_days))
    for one in found:
        shown = one.at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert (shown == one.local) == (one.shift is not Shift.SKIPPED)
        assert one.shift is not Shift.SKIPPED or one.local < shown < one.local + timedelta(hours=1, seconds=1)


@given(
    zone=st.sampled_from(ZONES),
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=3),
    hours=st.sets(st.integers(0, 23), min_size=1, max_size=24),
    start=st.datetimes(datetime.fromisoformat("2024-01-01"), datetime.fromisoformat("2027-01-01")),
    cut=st.integers(1, 72 * 3600),
)
def test_looking_from_anywhere_shows_the_same_times(
    zone: str, minutes: set[int], hours: set[int], start: datetime, cut: int
) -> None:
    """A beat that took over, or a page that was opened later, must expect the very same moments."""
    table, after = cron(zone, minutes=minutes, hours=hours), start.replace(tzinfo=UTC)
    middle, end = after + timedelta(seconds=cut), after + timedelta(days=3)

    whole = moments_until(table, after, end)

    assert whole == moments_until(table, after, middle) + moments_until(table, middle, end)


def test_a_backlog_keeps_the_newest_and_counts_the_others() -> None:
    """A month of outage of a schedule of every second is two million due times."""
    table = Interval(timedelta(seconds=1), utc(2026, 1, 1))
    hourly = cron("UTC", minutes={0}, hours=EVERY_HOUR)

    found = backlog(table, utc(2026, 1, 1), utc(2026, 2, 1), keep=3)
    hours = backlog(hourly, utc(2026, 1, 1), utc(2026, 1, 2), keep=3)

    assert found.times == [utc(2026, 1, 31, 23, 59, 58), utc(2026, 1, 31, 23, 59, 59), utc(2026, 2, 1)]
    assert found.older == 31 * 86_400 - 3
    assert (hours.times[-1], len(hours.times), hours.older) == (utc(2026, 1, 2), 3, 21)
    assert backlog(table, utc(2026, 2, 1), utc(2026, 2, 1), keep=3).times == []


def test_an_interval_does_not_drift() -> None:
    """A third of a second is no binary fraction, and a schedule may run for years."""
    every, anchor, after = timedelta(microseconds=1_333_333), utc(2026, 1, 1), utc(2036, 1, 1)

    found = next_due(Interval(every, anchor), after)

    assert found is not None
    assert (found - anchor) % every == timedelta()
    assert timedelta() < found - after <= every


def test_the_changes_of_a_clock_are_told() -> None:
    """The preview names the hours to think about."""
    spring, autumn = clock_changes(BERLIN, utc(2026, 1, 1), utc(2027, 1, 1))

    assert (spring.at, spring.forward) == (utc(2026, 3, 29, 1), True)
    assert (spring.starts, spring.ends) == (
        datetime.fromisoformat("2026-03-29T02:00"),
        datetime.fromisoformat("2026-03-29T03:00"),
    )
    assert (autumn.at, autumn.forward) == (utc(2026, 10, 25, 1), False)
    assert (autumn.starts, autumn.ends) == (
        datetime.fromisoformat("2026-10-25T02:00"),
        datetime.fromisoformat("2026-10-25T03:00"),
    )
    assert clock_changes(ZoneInfo("Asia/Kolkata"), utc(2026, 1, 1), utc(2027, 1, 1)) == []
