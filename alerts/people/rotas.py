"""Who is on call when: layers of people who take turns, and overrides above them. Higher layers win over lower ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from alerts.people.hours import DAYS, Hours, covered, moment, read_clock, read_hours, read_zone, wall
from subsystems.kernel.errors import Invalid

UNITS = {"hours": timedelta(hours=1), "days": timedelta(days=1), "weeks": timedelta(weeks=1)}
LONGEST_TURN = {"hours": 24 * 28, "days": 366, "weeks": 52}
MAX_LAYERS, MAX_PARTICIPANTS = 10, 100
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 1, 1)
LONGEST_LOOK = timedelta(days=92)
_DOUBT = 3  # turns by which clocks that change may put a count of turns off


@dataclass(frozen=True, slots=True)
class Layer:
    """People who take turns of one length, from *starts* (by clocks on the wall) on, perhaps only at some hours."""

    name: str
    participants: tuple[int, ...]
    turn: timedelta
    starts: datetime
    hours: tuple[Hours, ...] = ()  # none: always

    def shifts(self, start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[Shift]:
        """Yield who holds this layer between *start* and *end*, oldest first."""
        for begins, ends, holder in self._turns(start, end, zone):
            if not self.hours:
                yield Shift(begins, ends, holder, self.name)
                continue
            for first, last in covered(self.hours, begins, ends, zone):
                yield Shift(first, last, holder, self.name)

    def _turns(self, start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime, int]]:
        number, begins = self._turn_at(start, zone), start
        while begins < end and self.participants:
            ends = min(self._begin(number + 1, zone), end)
            if number >= 0 and ends > begins:
                yield begins, ends, self.participants[number % len(self.participants)]
            begins, number = max(begins, ends), number + 1

    def _turn_at(self, at: datetime, zone: ZoneInfo) -> int:
        """Return the number of the turn at a moment: the last that has begun; below zero before the first."""
        about = (wall(at, zone) - self.starts) // self.turn
        candidates = range(about + _DOUBT, about - _DOUBT - 1, -1)
        return next((each for each in candidates if self._begin(each, zone) <= at), about)

    def _begin(self, number: int, zone: ZoneInfo) -> datetime:
        return moment(self.starts + number * self.turn, zone)


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody takes the place of whoever it would be."""

    user: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Shift:
    """From when until when somebody is on call, and by which layer; an empty name means by an override."""

    starts_at: datetime
    ends_at: datetime
    user: int
    layer: str = ""

    @property
    def overridden(self) -> bool:
        return not self.layer


@dataclass(frozen=True, slots=True)
class Rota:
    """Layers, the lowest first, in one time zone; of overrides, the later ones win."""

    zone: ZoneInfo
    layers: tuple[Layer, ...]
    overrides: tuple[Override, ...] = ()


def shifts(rota: Rota, start: datetime, end: datetime) -> list[Shift]:
    """Return who is on call between two moments, oldest first; where nobody is, there is no shift."""
    planes = [list(layer.shifts(start, end, rota.zone)) for layer in rota.layers]
    planes += [_clipped(override, start, end) for override in rota.overrides]
    found: list[Shift] = []
    for plane in planes:
        found = _laid_over(found, plane)
    return _joined(found)


def on_call(rota: Rota, at: datetime) -> int | None:
    """Return who is on call at a moment; None for nobody."""
    found = shifts(rota, at, at + timedelta(microseconds=1))
    return found[0].user if found else None


def handover_after(rota: Rota, at: datetime, *, within: timedelta = LONGEST_LOOK) -> datetime | None:
    """Return when somebody else, or nobody, is on call next."""
    holder = on_call(rota, at)
    reached = at
    for shift in shifts(rota, at, at + within):
        if shift.starts_at > reached:
            return shift.starts_at if holder is None else reached
        if shift.user != holder:
            return shift.starts_at
        reached = shift.ends_at
    return reached if at < reached < at + within else None


def _clipped(override: Override, start: datetime, end: datetime) -> list[Shift]:
    begins, ends = max(override.starts_at, start), min(override.ends_at, end)
    return [Shift(begins, ends, override.user)] if begins < ends else []


def _laid_over(below: Sequence[Shift], above: Sequence[Shift]) -> list[Shift]:
    """Return *below* with *above* cut into it; both are sorted, and none of them overlaps another of its own."""
    if not above:
        return list(below)
    found = list(above)
    position = 0
    for shift in below:
        while position < len(above) and above[position].ends_at <= shift.starts_at:
            position += 1
        begins = shift.starts_at
        for cover in above[position:]:
            if cover.starts_at >= shift.ends_at:
                break
            if cover.starts_at > begins:
                found.append(Shift(begins, cover.starts_at, shift.user, shift.layer))
            begins = max(begins, cover.ends_at)
        if begins < shift.ends_at:
            found.append(Shift(begins, shift.ends_at, shift.user, shift.layer))
    return sorted(found, key=lambda each: each.starts_at)


def _joined(found: Sequence[Shift]) -> list[Shift]:
    """Return *found* with neighbours of the same person and layer as one."""
    joined: list[Shift] = []
    for shift in found:
        last = joined[-1] if joined else None
        if last and last.ends_at == shift.starts_at and (last.user, last.layer) == (shift.user, shift.layer):
            joined[-1] = Shift(last.starts_at, shift.ends_at, shift.user, shift.layer)
        else:
            joined.append(shift)
    return joined


# --- As it is written ---


def read_layers(given: object) -> tuple[Layer, ...]:
    """Read the layers of a rota, whose participants are numbers of users. Raises Invalid naming the place."""
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= MAX_LAYERS:
        raise Invalid(f"A rota has 1 to {MAX_LAYERS} layers.", field="layers")
    layers = tuple(_read_layer(each, f"layers[{number}]") for number, each in enumerate(given))
    if len({layer.name for layer in layers}) < len(layers):
        raise Invalid("Two layers have one name.", field="layers")
    return layers


def _read_layer(given: object, place: str) -> Layer:
    known = {"name", "participants", "turn", "unit", "handover", "weekday", "starts_on", "hours"}
    if not isinstance(given, Mapping) or not set(given) <= known:
        raise Invalid(f"A layer has {', '.join(sorted(known))}.", field=place)
    name, people = given.get("name"), given.get("participants")
    if not isinstance(name, str) or not name.strip() or len(name) > 60 or "\0" in name:
        raise Invalid("A name has 1 to 60 characters.", field=f"{place}.name")
    if not isinstance(people, list | tuple) or not 1 <= len(people) <= MAX_PARTICIPANTS:
        raise Invalid(f"1 to {MAX_PARTICIPANTS} people take turns.", field=f"{place}.participants")
    unit = given.get("unit", "weeks")
    turn = _read_turn(given.get("turn", 1), unit, place)
    handover = read_clock(given.get("handover", "09:00"), f"{place}.handover")
    starts = _read_start(given, unit, handover, place)
    return Layer(name.strip(), tuple(people), turn, starts, read_hours(given.get("hours", []), f"{place}.hours"))


def _read_turn(length: Any, unit: Any, place: str) -> timedelta:
    if not isinstance(unit, str) or unit not in UNITS:
        raise Invalid(f"Turns are counted in {', '.join(UNITS)}.", field=f"{place}.unit")
    if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= LONGEST_TURN[unit]:
        raise Invalid(f"A turn is 1 to {LONGEST_TURN[unit]} {unit}.", field=f"{place}.turn")
    return length * UNITS[unit]


def _read_start(given: Mapping[str, Any], unit: str, handover: time, place: str) -> datetime:
    """Return when the first turn begins: turns of weeks on their weekday, the last one before the date given."""
    try:
        day = date.fromisoformat(given.get("starts_on") or "")
    except (TypeError, ValueError):
        raise Invalid("A date is like 2026-11-23.", field=f"{place}.starts_on") from None
    if not EARLIEST <= day <= LATEST:
        raise Invalid("This date is too far away.", field=f"{place}.starts_on")
    weekday = given.get("weekday", "")
    if weekday not in ("", None, *DAYS):
        raise Invalid(f"Days are {', '.join(DAYS)}.", field=f"{place}.weekday")
    if weekday and unit == "weeks":
        day -= timedelta(days=(day.weekday() - DAYS.index(weekday)) % 7)
    return datetime.combine(day, handover)


def read_rota(zone: str, layers: object, overrides: Sequence[Override] = ()) -> Rota:
    """Read a rota as it is stored."""
    return Rota(read_zone(zone), read_layers(layers), tuple(overrides))
