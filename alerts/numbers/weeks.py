"""Alerts as numbers: by week, by hour, and how long an answer took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FALSE_ALARM = "false_alarm"


@dataclass(frozen=True, slots=True)
class Fired:
    """One alert that fired."""

    severity: str
    fired_at: datetime
    acknowledged_at: datetime | None
    resolved_at: datetime | None
    resolution: str


@dataclass
class Week:
    """The alerts that fired in one week, which begins on a Monday (UTC); times are in seconds."""

    begins: date
    severities: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    acknowledged: list[float] = field(default_factory=list)
    resolved: list[float] = field(default_factory=list)
    false_alarms: int = 0

    @property
    def total(self) -> int:
        return sum(self.severities.values())

    @property
    def false_rate(self) -> float | None:
        """Return the share of false alarms; None without alerts."""
        return self.false_alarms / self.total if self.total else None


@dataclass
class Told:
    """All weeks, oldest first, and how many alerts fired by weekday and hour (UTC)."""

    weeks: list[Week]
    hours: list[list[int]]


def told(alerts: Iterable[Fired], first: date, last: date) -> Told:
    """Return *alerts* as numbers, with a week for each from *first* to *last*, empty ones too."""
    monday = first - timedelta(days=first.weekday())
    weeks: dict[date, Week] = {}
    while monday <= last:
        weeks[monday] = Week(monday)
        monday += timedelta(days=7)
    hours = [[0] * 24 for _ in DAYS]
    for each in alerts:
        day = each.fired_at.date()
        week = weeks.get(day - timedelta(days=day.weekday()))
        if week is not None:
            hours[day.weekday()][each.fired_at.hour] += 1
            _count(week, each)
    return Told(list(weeks.values()), hours)


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value that *share* of *values* do not exceed (nearest rank); None without values."""
    if not values:
        return None
    rank = max(1, -(-len(values) * round(share * 100) // 100))
    return sorted(values)[rank - 1]


def _count(week: Week, each: Fired) -> None:
    week.severities[each.severity] += 1
    week.false_alarms += each.resolution == FALSE_ALARM
    if each.acknowledged_at is not None:
        week.acknowledged.append(max(0.0, (each.acknowledged_at - each.fired_at).total_seconds()))
    if each.resolved_at is not None:
        week.resolved.append(max(0.0, (each.resolved_at - each.fired_at).total_seconds()))
