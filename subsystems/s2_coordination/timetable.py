"""When a schedule is due, through every change of the clock.

A crontab names local times. Where the clock is put forward some of them do not exist, where it is put back some come
twice. Those of a schedule with fixed hours run exactly once all the same: a skipped one at the moment the clock jumps
to, a repeated one the first time. A schedule of every hour follows real time: it leaves skipped times out and runs at
both of the repeated ones. (Vixie cron does the same.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import islice
from zoneinfo import ZoneInfo

SEARCHED_DAYS = 366 * 9  # from one 29 February to the next, across a year like 2100
ALL_HOURS = frozenset(range(24))


class Shift(StrEnum):
    """What a change of the clock did to a local time."""

    NONE = ""
    SKIPPED = "skipped"  # it did not exist: the run is at the moment the clock jumped to
    REPEATED = "repeated"  # it came twice, and the run is at the first
    FIRST = "first"  # it came twice, and so does the run
    SECOND = "second"


@dataclass(frozen=True)
class Occurrence:
    """One moment (UTC) at which a schedule is due, and the local time it stands for."""

    at: datetime
    local: datetime  # naive
    shift: Shift = Shift.NONE


@dataclass(frozen=True)
class Interval:
    """Due at *anchor* and at each multiple of *every* after it, without drift."""

    every: timedelta
    anchor: datetime


@dataclass(frozen=True)
class Cron:
    """Due at the local times that match all five fields; days of the week count from Sunday, 0."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days_of_month: frozenset[int]
    months: frozenset[int]
    days_of_week: frozenset[int]
    zone: ZoneInfo


@dataclass(frozen=True)
class Once:
    """Due at one moment."""

    at: datetime


Timetable = Interval | Cron | Once


@dataclass(frozen=True)
class ClockChange:
    """A moment at which a zone's clock is put forward or back: local times from *starts* to *ends* are concerned."""

    at: datetime
    forward: bool
    starts: datetime  # naive, the first local time that is skipped or repeated
    ends: datetime  # naive, the first that is not any more


@dataclass(frozen=True)
class Backlog:
    """The newest due times of a span, oldest first, and how many older ones there were beside them."""

    times: list[datetime]
    older: int = 0


def occurrences(table: Timetable, after: datetime) -> Iterator[Occurrence]:
    """Yield what is due after the moment *after*, in order; ends when nothing will ever be due again."""
    if isinstance(table, Interval):
        yield from _multiples(table, after)
    elif isinstance(table, Once):
        if table.at > after:
            yield Occurrence(table.at, table.at.astimezone(UTC).replace(tzinfo=None))
    else:
        yield from _local_times(table, after)


def next_due(table: Timetable, after: datetime) -> datetime | None:
    """Return the first moment after *after* at which it is due."""
    return next((found.at for found in occurrences(table, after)), None)


def upcoming(table: Timetable, after: datetime, count: int) -> list[Occurrence]:
    """Return the next *count* occurrences after *after*."""
    return list(islice(occurrences(table, after), count))


def backlog(table: Timetable, after: datetime, until: datetime, *, keep: int) -> Backlog:
    """Return what was due after *after* and not later than *until*: the newest *keep*, and the number of the others."""
    if isinstance(table, Interval):
        return _interval_backlog(table, after, until, keep)
    kept: deque[datetime] = deque(maxlen=keep)
    count = 0
    for found in occurrences(table, after):
        if found.at > until:
            break
        kept.append(found.at)
        count += 1
    return Backlog(list(kept), count - len(kept))


def clock_changes(zone: ZoneInfo, after: datetime, until: datetime) -> list[ClockChange]:
    """Return each moment between *after* and *until* at which the clock of *zone* jumps."""
    found, moment = [], after
    while moment < until:
        then = min(moment + timedelta(days=1), until)
        if _offset(zone, moment) != _offset(zone, then):
            found.append(_change(zone, moment, then))
        moment = then
    return found


# --- Intervals --------------------------------------------------------------------------------------------------------
def _multiples(table: Interval, after: datetime) -> Iterator[Occurrence]:
    number = max((after - table.anchor) // table.every + 1, 0)
    while True:
        at = (table.anchor + number * table.every).astimezone(UTC)
        yield Occurrence(at, at.replace(tzinfo=None))
        number += 1


def _interval_backlog(table: Interval, after: datetime, until: datetime, keep: int) -> Backlog:
    first = max((after - table.anchor) // table.every + 1, 0)
    last = (until - table.anchor) // table.every
    begin = max(first, last - keep + 1)
    times = [(table.anchor + number * table.every).astimezone(UTC) for number in range(begin, last + 1)]
    return Backlog(times, max(begin - first, 0) if times else 0)


# --- Crontabs ---------------------------------------------------------------------------------------------------------
def _local_times(cron: Cron, after: datetime) -> Iterator[Occurrence]:
    last = after
    for day in _days(cron, after.astimezone(cron.zone).date() - timedelta(days=1)):
        for found in sorted(_of_day(cron, day), key=lambda one: one.at):
            if found.at > last:  # several skipped times fall on one moment, and it may be that of a time of its own
                last = found.at
                yield found


def _days(cron: Cron, first: date) -> Iterator[date]:
    for number in range(SEARCHED_DAYS):
        try:
            day = first + timedelta(days=number)
        except OverflowError:
            return
        if (
            day.month in cron.months
            and day.day in cron.days_of_month
            and day.isoweekday() % 7 in cron.days_of_week
        ):  # fmt: skip
            yield day


def _of_day(cron: Cron, day: date) -> Iterator[Occurrence]:
    every_hour = cron.hours >= ALL_HOURS
    for hour in sorted(cron.hours):
        for minute in sorted(cron.minutes):
            yield from _resolved(datetime.combine(day, time(hour, minute)), cron.zone, every_hour)


def _resolved(local: datetime, zone: ZoneInfo, every_hour: bool) -> Iterator[Occurrence]:
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        yield Occurrence(first, local)
    elif first < second:  # the local time comes twice
        yield Occurrence(first, local, Shift.FIRST if every_hour else Shift.REPEATED)
        if every_hour:
            yield Occurrence(second, local, Shift.SECOND)
    elif not every_hour:  # it does not exist
        yield Occurrence(_jump(zone, second, first), local, Shift.SKIPPED)


# --- Changes of the clock ---------------------------------------------------------------------------------------------
def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _jump(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first whole second after *before* that has the offset of *after*."""
    low, high = int(before.timestamp()), int(after.timestamp())
    target = _offset(zone, after)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, datetime.fromtimestamp(middle, UTC)) == target:
            high = middle
        else:
            low = middle
    return datetime.fromtimestamp(high, UTC)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> ClockChange:
    at = _jump(zone, before, after)
    reached = at.astimezone(zone).replace(tzinfo=None)
    left = at.replace(tzinfo=None) + _offset(zone, before)
    forward = reached > left
    return ClockChange(at, forward, min(left, reached), max(left, reached))
