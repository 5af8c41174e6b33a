"""When a check is expected, and what becomes of it when something is heard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from subsystems.s2_coordination.timetable import Cron, next_due


class Heard(StrEnum):
    """What a job may say of itself."""

    SUCCESS = "success"
    START = "start"
    FAIL = "fail"
    LOG = "log"


class Shown(StrEnum):
    """What people see of a check."""

    NEW = "new"
    UP = "up"
    LATE = "late"  # due, and within its grace
    DOWN = "down"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Plan:
    """When something is to be heard: *every* so long after a success, or as *cron* says."""

    grace: timedelta
    every: timedelta | None = None
    cron: Cron | None = None

    def expected(self, after: datetime) -> datetime | None:
        """Return when the next success is due. None for a crontab that never comes."""
        if self.cron is not None:
            return next_due(self.cron, after)
        return after + self.every if self.every is not None else None


@dataclass(frozen=True, slots=True)
class Course:
    """How a check stands; *reason* says why it is down."""

    status: str = "new"
    reason: str = ""
    started_at: datetime | None = None
    expected_at: datetime | None = None
    down_at: datetime | None = None
    duration_seconds: float | None = None


def after(course: Course, plan: Plan, heard: Heard, exit_code: int | None, *, now: datetime) -> Course:
    """Return how a check stands once *heard* was said at *now*. What is only logged changes nothing."""
    if heard is Heard.LOG:
        return course
    if heard is Heard.START:
        ends = now + plan.grace
        down_at: datetime | None = min(ends, course.down_at) if course.down_at and course.status == "up" else ends
        if course.status == "down":
            down_at = None  # it stays down until a success
        return Course(course.status, course.reason, now, course.expected_at, down_at, course.duration_seconds)
    took = (now - course.started_at).total_seconds() if course.started_at else course.duration_seconds
    expected = plan.expected(now)
    if heard is Heard.FAIL or exit_code:
        reason = f"exit code {exit_code}" if exit_code else "it said that it failed"
        return Course("down", reason, None, expected, None, took)
    return Course("up", "", None, expected, expected + plan.grace if expected else None, took)


def missed(course: Course, plan: Plan) -> str:
    """Return why a check whose time is over is down, in words."""
    if course.started_at is not None and course.down_at == course.started_at + plan.grace:
        return "it started and did not finish in time"
    return "nothing was heard in time"


def shown(course: Course, *, enabled: bool, now: datetime) -> Shown:
    """Return what people see: what is late is not down yet."""
    if not enabled:
        return Shown.PAUSED
    if course.status == "up" and course.expected_at is not None and now > course.expected_at:
        return Shown.LATE
    return Shown(course.status)


def labels_of(tags: list[str]) -> dict[str, str]:
    """Return the labels that *tags* make: `name=value` its own, the plain words together."""
    named = dict(tag.split("=", 1) for tag in tags if "=" in tag)
    plain = " ".join(tag for tag in tags if "=" not in tag)
    return {**named, **({"tags": plain} if plain else {})}
