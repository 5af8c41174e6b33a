"""What an audit knows of a fleet: its workers' settings as they run, its queues, its broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Version = tuple[int, ...]


@dataclass(frozen=True)
class QueueFacts:
    """One queue as a worker declares it."""

    name: str
    durable: bool = True
    exclusive: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def quorum(self) -> bool:
        return self.arguments.get("x-queue-type") == "quorum"


@dataclass(frozen=True)
class TaskFacts:
    """One registered task as its worker runs it. None is unknown or not said."""

    name: str
    acks_late: bool | None = None
    reject_on_worker_lost: bool | None = None
    time_limit: float | None = None


@dataclass(frozen=True)
class WorkerFacts:
    """One worker: its settings with their defaults, its pool, the queues it reads and the tasks it knows."""

    name: str
    settings: Mapping[str, Any]
    pool: str = ""
    autoscales: bool = False
    queues: tuple[QueueFacts, ...] = ()
    tasks: tuple[TaskFacts, ...] = ()

    def get(self, name: str, default: Any = None) -> Any:
        """Return a setting; *default* where this version of Celery does not have it."""
        return self.settings.get(name, default)

    @property
    def prefork(self) -> bool:
        return "prefork" in self.pool

    @property
    def late_tasks(self) -> list[TaskFacts]:
        """Return the tasks that are acknowledged when they end."""
        return [task for task in self.tasks if task.acks_late]

    @property
    def acks_late(self) -> bool:
        return bool(self.late_tasks) if self.tasks else bool(self.get("task_acks_late"))


@dataclass(frozen=True)
class BrokerFacts:
    """The broker: its kind (rabbitmq, redis, process or other), version, and how the watcher reaches it."""

    kind: str
    version: Version | None = None
    encrypted: bool = False
    local: bool = False


@dataclass(frozen=True)
class FleetFacts:
    """Everything that one audit judges."""

    broker: BrokerFacts
    workers: tuple[WorkerFacts, ...]

    @property
    def rabbitmq(self) -> bool:
        return self.broker.kind == "rabbitmq"

    def queues(self) -> Iterable[tuple[WorkerFacts, QueueFacts]]:
        """Return each queue with a worker that reads it."""
        return ((worker, queue) for worker in self.workers for queue in worker.queues)


def parsed_version(text: object) -> Version | None:
    """Return a version's numbers: `4.1.0-beta.2` is (4, 1, 0)."""
    numbers: list[int] = []
    for part in str(text or "").split("-")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers) or None


def worker_facts(name: str, answers: Mapping[str, Any]) -> WorkerFacts:
    """Return what a worker's answers to `conf`, `stats`, `active_queues` and `registered` tell."""
    stats = answers.get("stats") or {}
    pool = stats.get("pool") or {}
    return WorkerFacts(
        name=name,
        settings=answers.get("conf") or {},
        pool=str(pool.get("implementation", "")),
        autoscales=bool(stats.get("autoscaler")),
        queues=tuple(_queue(each) for each in answers.get("active_queues") or () if isinstance(each, dict)),
        tasks=tuple(task for line in answers.get("registered") or () if (task := _task(str(line))) is not None),
    )


def _queue(body: Mapping[str, Any]) -> QueueFacts:
    arguments = {**(body.get("queue_arguments") or {})}
    if body.get("max_priority"):
        arguments["x-max-priority"] = body["max_priority"]
    return QueueFacts(
        str(body.get("name", "")), bool(body.get("durable", True)), bool(body.get("exclusive", False)), arguments
    )


def _task(line: str) -> TaskFacts | None:
    """Read one line of `registered`: `shop.pay [acks_late=True time_limit=30]`."""
    name, _, rest = line.partition(" [")
    if name.startswith("celery."):
        return None
    said = dict(pair.split("=", 1) for pair in rest.rstrip("]").split() if "=" in pair)
    return TaskFacts(
        name,
        _flag(said.get("acks_late")),
        _flag(said.get("reject_on_worker_lost")),
        _number(said.get("time_limit")),
    )


def _flag(text: str | None) -> bool | None:
    return {"True": True, "False": False}.get(text or "")


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
