"""How one person is reached: by which of their methods after how many minutes, and not in their quiet hours."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.people.hours import Hours, over_at, read_hours, read_zone
from subsystems.kernel.errors import Invalid

CRITICAL, OTHER = "critical", "other"
MAX_STEPS, LONGEST_MINUTES = 20, 24 * 60


@dataclass(frozen=True, slots=True)
class ContactStep:
    """After so many minutes, by this method: the number of a target."""

    after: timedelta
    method: int


@dataclass(frozen=True)
class Contact:
    """What one person said of how to reach them."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    quiet: tuple[Hours, ...] = ()
    critical: tuple[ContactStep, ...] = ()
    other: tuple[ContactStep, ...] = ()

    def steps(self, severity: str, methods: Sequence[int]) -> tuple[ContactStep, ...]:
        """Return by what to reach them, of the *methods* that work; who said nothing is told by all of them at once."""
        said = self.critical if severity == CRITICAL else self.other
        usable = tuple(step for step in said if step.method in methods)
        return usable or tuple(ContactStep(timedelta(0), method) for method in methods)

    def quiet_until(self, severity: str, at: datetime) -> datetime | None:
        """Return when they may be told of something of *severity*, where that is not now. Critical is never quiet."""
        if severity == CRITICAL or not self.quiet:
            return None
        return over_at(self.quiet, at, self.zone)


def read_contact(zone: object, quiet: object, critical: object, other: object) -> Contact:
    """Read what is stored, or what somebody gave. Raises Invalid naming the place."""
    hours = read_hours(quiet, "quiet_hours")
    read = read_zone(zone)
    if _always(hours):
        raise Invalid("These hours never end: nothing would ever be told.", field="quiet_hours")
    return Contact(read, hours, read_steps(critical, CRITICAL), read_steps(other, OTHER))


def read_steps(given: object, place: str) -> tuple[ContactStep, ...]:
    """Read a list of `{"after_minutes": 5, "method": 7}`, sorted by time. Raises Invalid naming the place."""
    if not isinstance(given, list | tuple) or len(given) > MAX_STEPS:
        raise Invalid(f"This is a list of at most {MAX_STEPS} steps.", field=place)
    steps = [_read(each, f"{place}[{number}]") for number, each in enumerate(given)]
    return tuple(sorted(steps, key=lambda step: step.after))


def _read(given: object, place: str) -> ContactStep:
    if not isinstance(given, Mapping) or not set(given) <= {"after_minutes", "method"}:
        raise Invalid("A step has after_minutes and a method.", field=place)
    minutes, method = given.get("after_minutes", 0), given.get("method")
    if isinstance(minutes, bool) or not isinstance(minutes, int) or not 0 <= minutes <= LONGEST_MINUTES:
        raise Invalid(f"0 to {LONGEST_MINUTES} minutes.", field=f"{place}.after_minutes")
    if isinstance(method, bool) or not isinstance(method, int):
        raise Invalid("Name one of your contact methods.", field=f"{place}.method")
    return ContactStep(timedelta(minutes=minutes), method)


def _always(hours: Collection[Hours]) -> bool:
    """Return whether *hours* leave no minute of the week."""
    quiet: set[int] = set()
    for each in hours:
        begins, ends = each.begins.hour * 60 + each.begins.minute, each.ends.hour * 60 + each.ends.minute
        length = (ends - begins) % 1440 or 1440
        for day in each.days:
            quiet.update((day * 1440 + begins + minute) % 10_080 for minute in range(length))
    return len(quiet) == 10_080
