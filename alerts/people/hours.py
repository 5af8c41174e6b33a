"""Times of day on days of the week, by the clocks of a zone: ten o'clock stays ten o'clock when they change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from subsystems.kernel.errors import Invalid

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(7))
MAX_HOURS = 20
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
Interval = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Hours:
    """From *begins* until *ends* on *days* (Monday is 0); into the next day where it ends no later than it begins."""

    begins: time
    ends: time
    days: frozenset[int] = EVERY_DAY

    def between(self, start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[Interval]:
        """Yield the intervals that overlap *start* to *end*, oldest first."""
        day = start.astimezone(zone).date() - timedelta(days=2)
        last = end.astimezone(zone).date() + timedelta(days=1)
        while day <= last:
            if day.weekday() in self.days:
                begins, ends = self._on(day, zone)
                if begins < end and ends > start and begins < ends:
                    yield begins, ends
            day += timedelta(days=1)

    def _on(self, day: date, zone: ZoneInfo) -> Interval:
        until = day + timedelta(days=1) if self.ends <= self.begins else day
        return moment(datetime.combine(day, self.begins), zone), moment(datetime.combine(until, self.ends), zone)

    def to_wire(self) -> dict[str, Any]:
        days = [DAYS[each] for each in sorted(self.days)]
        return {"days": days, "from": f"{self.begins:%H:%M}", "until": f"{self.ends:%H:%M}"}


def covered(hours: Iterable[Hours], start: datetime, end: datetime, zone: ZoneInfo) -> list[Interval]:
    """Return when any of *hours* holds between *start* and *end*: apart from one another, oldest first."""
    found: list[Interval] = []
    for begins, ends in sorted(each for one in hours for each in one.between(start, end, zone)):
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ends))
        else:
            found.append((begins, ends))
    return [(max(begins, start), min(ends, end)) for begins, ends in found]


def holds(hours: Sequence[Hours], at: datetime, zone: ZoneInfo) -> bool:
    """Return whether any of *hours* holds at a moment."""
    return bool(covered(hours, at, at + timedelta(microseconds=1), zone))


def over_at(hours: Sequence[Hours], at: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when those of *hours* that hold at a moment are over; None when none holds, or when they never are."""
    horizon = at + timedelta(days=9)
    found = covered(hours, at, horizon, zone)
    if not found or found[0][0] > at or found[0][1] >= horizon:
        return None
    return found[0][1]


def wall(at: datetime, zone: ZoneInfo) -> datetime:
    """Return what clocks on the wall show."""
    return at.astimezone(zone).replace(tzinfo=None)


def moment(shown: datetime, zone: ZoneInfo) -> datetime:
    """Return when clocks on the wall show this: the first time, where they do twice."""
    return shown.replace(tzinfo=zone).astimezone(UTC)


def read_zone(given: object, field: str = "time_zone") -> ZoneInfo:
    """Return the zone of this name. Raises Invalid."""
    try:
        return ZoneInfo(given if isinstance(given, str) and given else "/")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(f"There is no time zone {str(given)[:60]!r}.", field=field) from None


def read_clock(given: object, field: str) -> time:
    """Read a time of day like 09:30. Raises Invalid."""
    found = _CLOCK.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise Invalid("A time of day is like 09:30.", field=field)
    return time(int(found[1]), int(found[2]))


def read_days(given: object, field: str) -> frozenset[int]:
    """Read days of the week, by their first three letters; none at all means every day. Raises Invalid."""
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given) or len(given) > 7:
        raise Invalid(f"Days are a list of {', '.join(DAYS)}.", field=field)
    unknown = [each for each in given if each.lower()[:3] not in DAYS or len(each) > 9]
    if unknown:
        raise Invalid(f"There is no day {unknown[0][:20]!r}; days are {', '.join(DAYS)}.", field=field)
    return frozenset(DAYS.index(each.lower()[:3]) for each in given) or EVERY_DAY


def read_hours(given: object, field: str) -> tuple[Hours, ...]:
    """Read a list of `{"days": ["mon"], "from": "22:00", "until": "07:00"}`. Raises Invalid naming the place."""
    if not isinstance(given, list | tuple) or len(given) > MAX_HOURS:
        raise Invalid(f"This is a list of at most {MAX_HOURS}.", field=field)
    return tuple(_read(each, f"{field}[{number}]") for number, each in enumerate(given))


def _read(given: object, field: str) -> Hours:
    if not isinstance(given, Mapping) or not set(given) <= {"days", "from", "until"}:
        raise Invalid("This is an object with days, from and until.", field=field)
    begins, ends = read_clock(given.get("from"), f"{field}.from"), read_clock(given.get("until"), f"{field}.until")
    return Hours(begins, ends, read_days(given.get("days", []), f"{field}.days"))
