"""Every act of steering by hand: what it is called, what it takes, what it acts on, and what undoes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from subsystems.s3_control import shares

MAX_IDS = 100_000
MAX_PAYLOAD = 20_000  # characters of JSON
PARKED = ".parked"  # what a queue's parking queue is called after it
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
TaskId = Annotated[str, Field(min_length=1, max_length=155, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Target(StrEnum):
    TASK = "task"
    TASKS = "tasks"
    WORKER = "worker"
    QUEUE = "queue"
    FLEET = "fleet"
    LAUNCHER = "launcher"
    WEBHOOK = "webhook"


class Parameters(BaseModel):
    """Base of an act's parameters: unknown names are refused."""

    model_config = ConfigDict(extra="forbid")


class TriggerTask(Parameters):
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    queue: Name

    @model_validator(mode="after")
    def _no_types(self) -> Self:
        if _has_type(self.args) or _has_type(self.kwargs):
            raise ValueError("a worker would take an object with the name `__type__` for something else")
        return self


class Which(Parameters):
    """Some tasks: by their ids, or by a filter over what was published."""

    ids: Annotated[list[TaskId], Field(max_length=MAX_IDS)] = []
    name: Annotated[str, Field(max_length=200)] = ""
    queue: Annotated[str, Field(max_length=200)] = ""
    state: Annotated[str, Field(max_length=20)] = ""
    since: datetime | None = None
    until: datetime | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.ids and not (self.name or self.queue or self.state):
            raise ValueError("give ids, or filter by name, queue or state")
        if self.ids and (self.name or self.queue or self.state or self.since or self.until):
            raise ValueError("give ids or a filter, not both")
        return self


class RetryTasks(Which):
    per_second: Annotated[float, Field(gt=0, le=1000)] = 10.0


class ResendTasks(Parameters):
    ids: Annotated[list[TaskId], Field(min_length=1, max_length=MAX_IDS)]
    per_second: Annotated[float, Field(gt=0, le=1000)] = 10.0


class RevokeTasks(Which):
    per_second: Annotated[float, Field(gt=0, le=10_000)] = 500.0
    terminate: bool = False
    hours: Annotated[float, Field(gt=0, le=24 * 30)] = 24.0


class RateLimit(Parameters):
    rate: Annotated[str, Field(max_length=20)]
    nodes: Annotated[list[Name], Field(max_length=1000)] = []

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if shares.per_second(self.rate) is None:
            raise ValueError("a rate is a number, or one like 10/s, 100/m or 1000/h; 0 is no limit")
        return self


class FleetRateLimit(Parameters):
    rate: Annotated[str, Field(max_length=20)]

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if not shares.per_second(self.rate):
            raise ValueError("a rate is a number above 0, or one like 10/s, 100/m or 1000/h")
        return self


class TimeLimit(Parameters):
    soft_seconds: Annotated[float | None, Field(gt=0, le=7 * 86_400)] = None
    hard_seconds: Annotated[float | None, Field(gt=0, le=7 * 86_400)] = None
    nodes: Annotated[list[Name], Field(max_length=1000)] = []


class Consume(Parameters):
    queue: Name


class Resize(Parameters):
    by: Annotated[int, Field(ge=1, le=200)] = 1


class Autoscale(Parameters):
    max: Annotated[int, Field(ge=1, le=1000)]
    min: Annotated[int, Field(ge=0, le=1000)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError("min is at most max")
        return self


class Drain(Parameters):
    wait_seconds: Annotated[float, Field(gt=0, le=7 * 86_400)] = 3600.0


class ScaleIn(Drain):
    workers: Annotated[int, Field(ge=1, le=1000)] = 1
    keep: Annotated[int, Field(ge=0, le=1000)] = 1
    queue: Annotated[str, Field(max_length=200)] = ""


class StartWorkers(Parameters):
    workers: Annotated[int, Field(ge=1, le=200)] = 1


class StopWorkers(Drain):
    workers: Annotated[int, Field(ge=1, le=200)] = 1


class CallWebhook(Parameters):
    payload: dict[str, Any] = {}

    @model_validator(mode="after")
    def _sendable(self) -> Self:
        try:
            size = len(json.dumps(self.payload, allow_nan=False))
        except (ValueError, RecursionError):
            raise ValueError("payload must be plain JSON") from None
        if size > MAX_PAYLOAD:
            raise ValueError(f"payload has at most {MAX_PAYLOAD:,} characters as JSON")
        return self


class Pause(Parameters):
    minutes: Annotated[float | None, Field(gt=0, le=60 * 24 * 30)] = None


class Park(Parameters):
    limit: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000_000
    per_second: Annotated[float, Field(gt=0, le=100_000)] = 1000.0


class Replay(Park):
    source: Annotated[str, Field(max_length=200)] = ""


Undo = tuple[str, dict[str, Any]]
Undoing = Callable[[Mapping[str, Any], Mapping[str, Any]], Undo | None]


@dataclass(frozen=True, slots=True)
class Act:
    """One kind of act. *undo* returns kind and parameters of what reverses it, from parameters and evidence before."""

    kind: str
    title: str
    target: Target
    parameters: type[Parameters] = Parameters
    undo: Undoing | None = None
    careful: bool = False  # may lose or stop work: a page asks twice


# Which way an act moves what it is about: more of it, or less. What is not here moves nothing up or down.
DIRECTIONS = {
    "worker.grow": 1, "worker.shrink": -1, "worker.add_consumer": 1, "worker.cancel_consumer": -1, "worker.drain": -1,
    "fleet.scale_in": -1, "queue.pause": -1, "queue.resume": 1, "worker.start": 1, "worker.stop": -1,
}  # fmt: skip


def direction(kind: str) -> int:
    """Return 1 for an act that gives more, -1 for one that takes away, 0 for others."""
    return DIRECTIONS.get(kind, 0)


def magnitude(kind: str, parameters: Mapping[str, Any]) -> float | None:
    """Return how far an act goes: slots of a pool, workers, or one queue; None for one that moves nothing."""
    if not direction(kind):
        return None
    return float(parameters.get("by") or parameters.get("workers") or 1)


def parking_queue(queue: str) -> str:
    """Return where the messages of *queue* are parked."""
    return f"{queue}{PARKED}"


def _swapped(kind: str) -> Undoing:
    return lambda parameters, before: (kind, dict(parameters))


def _nothing(kind: str) -> Undoing:
    return lambda parameters, before: (kind, {})


def _former_rate(parameters: Mapping[str, Any], before: Mapping[str, Any]) -> Undo | None:
    rates = {rate or "0" for rate in dict(before.get("rates", {})).values()}
    return ("task.rate_limit", {"rate": rates.pop(), "nodes": sorted(before["rates"])}) if len(rates) == 1 else None


def _second_address(parameters: Mapping[str, Any], before: Mapping[str, Any]) -> Undo | None:
    return ("webhook.undo", dict(parameters)) if before.get("undoable") else None


def _former_bounds(parameters: Mapping[str, Any], before: Mapping[str, Any]) -> Undo | None:
    workers: dict[str, dict[str, Any]] = before.get("workers", {})
    bounds = next((worker.get("autoscale") for worker in workers.values()), None)
    return ("worker.autoscale", {"max": bounds[0], "min": bounds[1]}) if bounds else None


ACTS: dict[str, Act] = {
    act.kind: act
    for act in (
        Act("task.trigger", "Trigger a task", Target.TASK, TriggerTask),
        Act("task.retry", "Retry tasks with their true arguments", Target.TASKS, RetryTasks),
        Act("task.resend", "Send lost tasks again, each once", Target.TASKS, ResendTasks),
        Act("task.revoke", "Revoke tasks", Target.TASKS, RevokeTasks, careful=True),
        Act("task.rate_limit", "Limit a task's rate on each worker", Target.TASK, RateLimit, _former_rate),
        Act(
            "task.fleet_rate_limit", "Limit a task's rate across the fleet", Target.TASK, FleetRateLimit,
            _nothing("task.end_fleet_rate_limit"),
        ),
        Act("task.end_fleet_rate_limit", "End a task's limit across the fleet", Target.TASK),
        Act("task.time_limit", "Limit a task's time", Target.TASK, TimeLimit),
        Act(
            "worker.add_consumer", "Let a worker read a queue", Target.WORKER, Consume,
            _swapped("worker.cancel_consumer"),
        ),
        Act(
            "worker.cancel_consumer", "Let a worker stop reading a queue", Target.WORKER, Consume,
            _swapped("worker.add_consumer"),
        ),
        Act("worker.grow", "Grow a worker's pool", Target.WORKER, Resize, _swapped("worker.shrink")),
        Act("worker.shrink", "Shrink a worker's pool", Target.WORKER, Resize, _swapped("worker.grow")),
        Act("worker.autoscale", "Move the bounds of a worker's autoscaler", Target.WORKER, Autoscale, _former_bounds),
        Act("worker.drain", "Drain a worker and stop it", Target.WORKER, Drain, careful=True),
        Act("fleet.scale_in", "Drain and stop the idlest workers", Target.FLEET, ScaleIn, careful=True),
        Act("worker.start", "Start workers", Target.LAUNCHER, StartWorkers, _swapped("worker.stop")),
        Act(
            "worker.stop", "Drain and stop workers", Target.LAUNCHER, StopWorkers, _swapped("worker.start"),
            careful=True,
        ),
        Act("webhook.call", "Call a webhook", Target.WEBHOOK, CallWebhook, _second_address, careful=True),
        Act(
            "webhook.undo", "Undo what a webhook did", Target.WEBHOOK, CallWebhook, _swapped("webhook.call"),
            careful=True,
        ),
        Act("queue.pause", "Pause a queue", Target.QUEUE, Pause, _nothing("queue.resume")),
        Act("queue.resume", "Resume a queue", Target.QUEUE, undo=_nothing("queue.pause")),
        Act("queue.purge", "Throw away what waits in a queue", Target.QUEUE, careful=True),
        Act("queue.park", "Park what waits in a queue", Target.QUEUE, Park, _nothing("queue.replay")),
        Act("queue.replay", "Put what is parked back into its queue", Target.QUEUE, Replay, _nothing("queue.park")),
    )
}  # fmt: skip


def _has_type(value: object) -> bool:
    if isinstance(value, dict):
        return "__type__" in value or any(_has_type(each) for each in value.values())
    return isinstance(value, list) and any(_has_type(each) for each in value)
