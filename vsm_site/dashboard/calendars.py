"""Silences and maintenance windows by day, on the clocks of one time zone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.urls import reverse

from alerts.models import MaintenanceWindow, Silence
from alerts.notices.queries import recurrence_of
from subsystems.recursion.models import System
from vsm_site.dashboard import zones

MOST = 500  # silences, and windows, of one view


@dataclass(frozen=True)
class Wanted:
    """A month or a week; *first* and *last* are the days shown, whole weeks."""

    view: str
    at: date
    zone: ZoneInfo
    mistake: str = ""

    @property
    def first(self) -> date:
        begins = self.at.replace(day=1) if self.view == "month" else self.at
        return begins - timedelta(days=begins.weekday())

    @property
    def last(self) -> date:
        ends = (self.at.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        ends = ends if self.view == "month" else self.at
        return ends + timedelta(days=6 - ends.weekday())

    @property
    def before(self) -> date:
        return self.at.replace(day=1) - timedelta(days=1) if self.view == "month" else self.at - timedelta(days=7)

    @property
    def after(self) -> date:
        return (self.at.replace(day=28) + timedelta(days=4)).replace(day=1) if self.view == "month" else (
            self.at + timedelta(days=7)
        )  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One silence, or one occurrence of a window; on *zone*'s clocks."""

    kind: str
    title: str
    starts: datetime
    ends: datetime
    link: str
    recurs: bool = False

    @property
    def clock(self) -> str:
        """Return when it begins, on the clocks that the calendar is of."""
        return f"{self.starts:%H:%M}"


@dataclass
class Day:
    day: date
    within: bool  # the month that is shown
    today: bool
    entries: list[Entry] = field(default_factory=list)


def read(given: Mapping[str, str], *, now: datetime) -> Wanted:
    """Return what is asked for; what cannot be read is replaced, and said."""
    view = "week" if given.get("view") == "week" else "month"
    mistake = ""
    zone = zones.zone_named(given.get("zone") or zones.here())
    if zone is None:
        zone, mistake = ZoneInfo("UTC"), "There is no such time zone; this is UTC."
    try:
        at = date.fromisoformat(given.get("at") or now.astimezone(zone).date().isoformat())
    except ValueError:
        at, mistake = now.astimezone(zone).date(), "That is no day; this is today."
    at = min(max(at, date(1971, 1, 1)), date(2999, 1, 1))
    return Wanted(view, at, zone, mistake)


def days(system: System, wanted: Wanted, *, now: datetime) -> list[Day]:
    """Return each day with what begins, goes on or ends in it, in two queries."""
    today = now.astimezone(wanted.zone).date()
    count = (wanted.last - wanted.first).days + 1
    dates = [wanted.first + timedelta(days=at) for at in range(count)]
    month = wanted.at.month if wanted.view == "month" else None
    found = {each: Day(each, month in (None, each.month), each == today) for each in dates}
    for entry in sorted(_entries(system, wanted), key=lambda each: each.starts):
        day, last = max(entry.starts.date(), wanted.first), min(_last_day(entry), wanted.last)
        while day <= last:
            found[day].entries.append(entry)
            day += timedelta(days=1)
    return list(found.values())


def _last_day(entry: Entry) -> date:
    """Return the last day that *entry* is in; one that ends at midnight is not in the day that begins then."""
    return max(entry.starts.date(), (entry.ends - timedelta(microseconds=1)).date())


def _entries(system: System, wanted: Wanted) -> Iterator[Entry]:
    zone = wanted.zone
    start = datetime.combine(wanted.first, time(), zone)
    end = datetime.combine(wanted.last + timedelta(days=1), time(), zone)
    silences = Silence.objects.filter(system=system, starts_at__lt=end, ends_at__gt=start).order_by("starts_at")
    for silence in silences[:MOST]:
        begins, ends = silence.starts_at.astimezone(zone), silence.ends_at.astimezone(zone)
        yield Entry("silence", silence.comment or silence.matchers, begins, ends, reverse("dashboard:silences"))
    windows = MaintenanceWindow.objects.filter(system=system, enabled=True, starts_at__lt=end)
    for window in windows[:MOST]:
        link = reverse("dashboard:maintenance-window", args=[window.pk])
        for begins, ends in recurrence_of(window).between(start, end):
            times = begins.astimezone(zone), ends.astimezone(zone)
            yield Entry("maintenance", window.name, *times, link, bool(window.recurrence))
