"""The picture of a rota: a row per week, a bar per shift, on one scale. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.people.rotas import Shift

WIDTH, COLOURS = 1000.0, 6
WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class Bar:
    """One shift, or the part of it that lies in one week."""

    x: float
    width: float
    colour: int
    user: str
    words: str
    override: bool


@dataclass(frozen=True)
class Week:
    """One row: from Monday, or from now, for seven days."""

    title: str
    bars: tuple[Bar, ...]
    days: tuple[float, ...]  # where each day begins


@dataclass(frozen=True)
class Picture:
    weeks: tuple[Week, ...]
    people: tuple[tuple[str, int], ...]  # who takes part, and in which colour


def picture(
    shifts: Sequence[Shift], names: Mapping[int, str], start: datetime, zone: ZoneInfo, *, weeks: int = 4
) -> Picture:
    """Place *shifts* on rows of a week each, from *start*; moments are told by the clocks of *zone*."""
    order = sorted({shift.user for shift in shifts}, key=lambda user: names.get(user, ""))
    colours = {user: number % COLOURS + 1 for number, user in enumerate(order)}
    rows = [_week(shifts, names, colours, start + number * WEEK, zone) for number in range(weeks)]
    return Picture(tuple(rows), tuple((names.get(user, "(gone)"), colours[user]) for user in order))


def _week(
    shifts: Sequence[Shift], names: Mapping[int, str], colours: Mapping[int, int], start: datetime, zone: ZoneInfo
) -> Week:
    end = start + WEEK
    bars = []
    for shift in shifts:
        begins, ends = max(shift.starts_at, start), min(shift.ends_at, end)
        if begins < ends:
            user = names.get(shift.user, "(gone)")
            said = f"{user} from {_said(shift.starts_at, zone)} until {_said(shift.ends_at, zone)}"
            words = said + (", an override" if shift.overridden else f", {shift.layer}")
            place = _place(begins, start)
            bars.append(
                Bar(place, _place(ends, start) - place, colours[shift.user], user, words, shift.overridden)
            )  # fmt: skip
    midnight = start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [_place(midnight + timedelta(days=day), start) for day in range(1, 8)]
    title = f"{start.astimezone(zone):%a %-d %b} – {end.astimezone(zone):%a %-d %b}"
    return Week(title, tuple(bars), tuple(each for each in days if 0 < each < WIDTH))


def _place(at: datetime, start: datetime) -> float:
    return round((at - start) / WEEK * WIDTH, 2)


def _said(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %-d %b %H:%M}"
