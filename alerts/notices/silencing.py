"""What silences and maintenance windows hide, and for how long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from alerts.notices.matchers import Matcher, all_match
from subsystems.kernel.errors import Invalid

LONGEST_SILENCE = timedelta(days=90)
LONGEST_WINDOW = timedelta(days=14)
REMIND_BEFORE = timedelta(minutes=15)
MAX_RECURRENCE = 300  # characters
MAX_PREVIEW = 100
_FREQUENCIES = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}  # a rule of seconds would have to be counted through
_PARTS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "WKST"}
_HORIZON = timedelta(days=366 * 5)  # of an occurrence that is looked for


class Cause(StrEnum):
    """Why nobody is told of an alert just now."""

    SILENCE = "silence"
    MAINTENANCE = "maintenance"
    INHIBITED = "inhibited"
    PARENT = "parent"
    COOLDOWN = "cooldown"
    HOURLY_LIMIT = "hourly_limit"
    FLAPPING = "flapping"
    ACKNOWLEDGED = "acknowledged"  # only what would have been said again
    SNOOZED = "snoozed"
    QUIET_HOURS = "quiet_hours"  # this and all below: of an escalation
    CONDITION = "condition"
    NOBODY_ON_CALL = "nobody_on_call"
    NO_CONTACT = "no_contact"
    GONE = "gone"
    NO_RECEIVER = "no_receiver"


@dataclass(frozen=True, slots=True)
class Muted:
    """A cause, and which silence, window or alert it is; *detail* in words."""

    cause: Cause
    id: int | None = None
    detail: str = ""

    def hides(self, *, firing: bool) -> bool:
        """Return whether this hides an alert in this state: that it is over passes through maintenance and a snooze."""
        return firing or self.cause not in (Cause.MAINTENANCE, Cause.SNOOZED)


@dataclass(frozen=True, slots=True)
class Hiding:
    """A silence or a window that is active now."""

    id: int
    matchers: tuple[Matcher, ...]
    muted: Muted

    def hides(self, labels: Mapping[str, str]) -> bool:
        return all_match(self.matchers, labels)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When a window is open: from its start for its duration, and again as *rule* (RFC 5545) says, in its zone."""

    starts_at: datetime
    duration: timedelta
    zone: str = "UTC"
    rule: str = ""

    def occurrence(self, moment: datetime) -> tuple[datetime, datetime] | None:
        """Return the start and the end of the occurrence that *moment* lies in."""
        return next((each for each in self.between(moment, moment + timedelta(microseconds=1))), None)

    def upcoming(self, moment: datetime) -> tuple[datetime, datetime] | None:
        """Return the first occurrence that starts after *moment*."""
        zone = ZoneInfo(self.zone)
        if not self.rule:
            found = self.starts_at if self.starts_at > moment else None
        else:
            local = _rule(self.rule, _wall(self.starts_at, zone)).after(_wall(moment, zone))
            found = _moment(local, zone) if local else None
        return (found, found + self.duration) if found else None

    def between(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """Return the occurrences that overlap *start* to *end*, at most a hundred."""
        zone = ZoneInfo(self.zone)
        if not self.rule:
            starts = [self.starts_at]
        else:
            # A day around: a clock that is put back or forward moves an occurrence against the wall.
            earliest = _wall(start, zone) - self.duration - timedelta(days=1)
            walls = _rule(self.rule, _wall(self.starts_at, zone)).xafter(earliest, count=MAX_PREVIEW, inc=True)
            latest = _wall(end, zone) + timedelta(days=1)
            starts = []
            for wall in walls:
                if wall > latest:
                    break
                starts.append(_moment(wall, zone))
        return [(each, each + self.duration) for each in starts if each < end and each + self.duration > start]


def check_recurrence(recurrence: Recurrence) -> None:
    """Raise Invalid naming the field with which no window could be kept."""
    if not timedelta(0) < recurrence.duration <= LONGEST_WINDOW:
        raise Invalid("A window lasts a minute to 14 days.", field="duration_seconds")
    try:
        ZoneInfo(recurrence.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(f"There is no time zone {recurrence.zone[:60]!r}.", field="time_zone") from None
    if recurrence.rule:
        _check_rule(recurrence)


def first_hiding(hidings: Iterable[Hiding], labels: Mapping[str, str], *, firing: bool = True) -> Muted | None:
    """Return what hides an alert with *labels*."""
    return next((each.muted for each in hidings if each.muted.hides(firing=firing) and each.hides(labels)), None)


def check_hiding(matchers: tuple[Matcher, ...]) -> None:
    """Raise Invalid for matchers that would hide everything."""
    if not matchers or all(matcher.matches({}) for matcher in matchers):
        raise Invalid(
            "At least one matcher must want a label that is not empty: this would hide all.", field="matchers"
        )


def _check_rule(recurrence: Recurrence) -> None:
    parts: dict[str, str] = {}
    for part in recurrence.rule.removeprefix("RRULE:").split(";"):
        name, _, value = part.partition("=")
        parts[name.upper()] = value.upper()
    if len(recurrence.rule) > MAX_RECURRENCE or not set(parts) <= _PARTS or parts.get("FREQ") not in _FREQUENCIES:
        raise Invalid("A recurrence is like FREQ=WEEKLY;BYDAY=TU, daily at the most often.", field="recurrence")
    interval, count = parts.get("INTERVAL", "1"), parts.get("COUNT", "1")
    if not (interval.isdecimal() and 1 <= int(interval[:6]) <= 1000 and count.isdecimal() and int(count[:9]) <= 10_000):
        raise Invalid("INTERVAL is 1 to 1,000, COUNT at most 10,000.", field="recurrence")
    try:
        start = _wall(recurrence.starts_at, ZoneInfo(recurrence.zone))
        first = _rule(recurrence.rule, start).after(start - timedelta(seconds=1))
    except (ValueError, TypeError, OverflowError) as error:
        raise Invalid(f"This is no recurrence: {error}.", field="recurrence") from None
    if first is None or first - start > _HORIZON:
        raise Invalid("This recurrence never comes.", field="recurrence")


@lru_cache(maxsize=256)
def _rule(text: str, start: datetime) -> Any:
    """Return the rule; it remembers what it has counted through."""
    from dateutil.rrule import rrulestr

    return rrulestr(text, dtstart=start, cache=True)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return what clocks on the wall show: recurrences are counted by those, so that ten o'clock stays ten o'clock."""
    return moment.astimezone(zone).replace(tzinfo=None)


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=zone).astimezone(UTC)
