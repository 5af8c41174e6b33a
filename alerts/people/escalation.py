"""The steps of an escalation policy: wait, notify, repeat, stop, each perhaps only under a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from alerts.limits import RANK
from alerts.notices.durations import duration_text, read_duration
from alerts.people.hours import Hours, holds, read_hours, read_zone
from subsystems.kernel.errors import Invalid

MAX_STEPS, MOST_REPEATS = 50, 5
LONGEST_WAIT = 24 * 3600.0
WHOM = ("user", "team", "rota", "target")


class Do(StrEnum):
    WAIT = "wait"
    NOTIFY = "notify"
    REPEAT = "repeat"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Condition:
    """Only if the worst alert that nobody looks after is at least so severe, and only at these hours."""

    severity: str = ""
    hours: tuple[Hours, ...] = ()
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def met(self, severity: str, at: datetime) -> bool:
        if self.severity and RANK[severity] < RANK[self.severity]:
            return False
        return not self.hours or holds(self.hours, at, self.zone)


@dataclass(frozen=True, slots=True)
class Step:
    """One step. *seconds* to wait; *whom* to notify and who that is; how many *times* to begin anew."""

    do: Do
    seconds: float = 0.0
    whom: str = ""
    who: Any = None  # the number of the user, team, rota or target; its name, as people write it
    times: int = 0
    condition: Condition = Condition()

    @property
    def words(self) -> str:
        """Return the step as people say it."""
        if self.do is Do.WAIT:
            return f"wait {duration_text(self.seconds)}"
        if self.do is Do.REPEAT:
            return f"begin anew, {self.times} times"
        return f"notify {self.whom}" if self.do is Do.NOTIFY else "stop"


def read_steps(given: object) -> tuple[Step, ...]:
    """Read steps as they are written or stored. Raises Invalid naming the place.

    >>> [step.words for step in read_steps([{"notify": {"rota": "primary"}}, {"wait": "5m"}, {"repeat": 3}])]
    ['notify rota', 'wait 5m', 'begin anew, 3 times']
    """
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= MAX_STEPS:
        raise Invalid(f"A policy has 1 to {MAX_STEPS} steps.", field="steps")
    steps = tuple(_read(each, f"steps[{number}]") for number, each in enumerate(given))
    if not any(step.do is Do.NOTIFY for step in steps):
        raise Invalid("No step notifies anybody.", field="steps")
    _check_repeats(steps)
    return steps


def _check_repeats(steps: Sequence[Step]) -> None:
    """What is repeated must wait somewhere, or everybody hears everything at once."""
    for number, step in enumerate(steps):
        if step.do is Do.REPEAT and not any(each.seconds >= 60 for each in steps[:number]):
            raise Invalid("What is repeated must wait for a minute at least.", field=f"steps[{number}].repeat")


def _read(given: object, place: str) -> Step:
    if not isinstance(given, Mapping) or not set(given) <= {*Do, "only_if"}:
        raise Invalid(f"A step is one of {', '.join(Do)}, perhaps with only_if.", field=place)
    kinds = [do for do in Do if do in given]
    if len(kinds) != 1:
        raise Invalid(f"A step does one thing of {', '.join(Do)}.", field=place)
    condition = _read_condition(given["only_if"], f"{place}.only_if") if "only_if" in given else Condition()
    value, field_ = given[kinds[0]], f"{place}.{kinds[0]}"
    if kinds[0] is Do.WAIT:
        return Step(Do.WAIT, seconds=_read_wait(value, field_), condition=condition)
    if kinds[0] is Do.REPEAT:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_REPEATS:
            raise Invalid(f"1 to {MOST_REPEATS} times.", field=field_)
        return Step(Do.REPEAT, times=value, condition=condition)
    if kinds[0] is Do.STOP:
        if value is not True:
            raise Invalid("This is true.", field=field_)
        return Step(Do.STOP, condition=condition)
    return _read_notify(value, field_, condition)


def _read_notify(given: object, place: str, condition: Condition) -> Step:
    if not isinstance(given, Mapping) or len(given) != 1 or not set(given) <= set(WHOM):
        raise Invalid(f"Say whom: one of {', '.join(WHOM)}.", field=place)
    ((whom, who),) = given.items()
    if isinstance(who, bool) or not isinstance(who, int | str) or who == "":
        raise Invalid("This is a name.", field=f"{place}.{whom}")
    return Step(Do.NOTIFY, whom=whom, who=who, condition=condition)


def _read_wait(given: object, place: str) -> float:
    seconds = read_duration(given, place)
    if not 1 <= seconds <= LONGEST_WAIT:
        raise Invalid("A second to a day.", field=place)
    return seconds


def _read_condition(given: object, place: str) -> Condition:
    if not isinstance(given, Mapping) or not set(given) <= {"severity", "hours", "time_zone"}:
        raise Invalid("A condition has severity, hours and time_zone.", field=place)
    severity = given.get("severity", "")
    if severity not in ("", *RANK):
        raise Invalid(f"Severities are {', '.join(RANK)}.", field=f"{place}.severity")
    hours = read_hours(given.get("hours", []), f"{place}.hours")
    return Condition(severity, hours, read_zone(given.get("time_zone", "UTC"), f"{place}.time_zone"))
