"""The rules of the configuration audit: each with what it finds, why that matters, and what to do.

A rule's check yields one finding for each subject that breaks it. A rule that does not apply to a fleet (Redis rules on
RabbitMQ) finds nothing and is not counted as kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from subsystems.s3_control.audit.facts import FleetFacts, QueueFacts, WorkerFacts

CELERY = "https://docs.celeryq.dev/en/stable/"
SETTINGS = f"{CELERY}userguide/configuration.html#"
RABBITMQ = "https://www.rabbitmq.com/docs/"
CONSUMER_TIMEOUT = 1800.0  # RabbitMQ's default, seconds; a queue's own is among its arguments
VISIBILITY_TIMEOUT = 3600.0  # kombu's default for Redis
CODE_RUNNING = {"pickle", "yaml", "application/x-python-serialize", "application/x-yaml"}
MUST_AGREE = ("task_serializer", "accept_content", "result_backend", "timezone", "enable_utc", "task_default_queue")
WORKERS_NAMED = 20


class Severity(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


WEIGHTS = {Severity.CRITICAL: 25, Severity.HIGH: 15, Severity.MEDIUM: 8, Severity.LOW: 3}
Found = tuple[str, dict[str, Any]]  # who breaks the rule, and by what


@dataclass(frozen=True)
class Rule:
    """One rule: its check yields (subject, evidence) for whatever breaks it."""

    id: str
    severity: Severity
    title: str
    reason: str
    fix: str
    link: str
    check: Callable[[FleetFacts], Iterable[Found]]
    applies: Callable[[FleetFacts], bool] = lambda facts: True


@dataclass(frozen=True)
class Finding:
    """One rule broken by one subject."""

    rule: Rule
    subject: str
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Judgement:
    """What one audit found; *unknown* when no worker answered, and then there is no score."""

    findings: tuple[Finding, ...]
    kept: tuple[str, ...]  # rules that apply and are not broken
    not_applicable: tuple[str, ...]
    unknown: bool = False


def judge(facts: FleetFacts) -> Judgement:
    """Hold *facts* against every rule."""
    if not facts.workers:
        return Judgement((), (), (), unknown=True)
    findings: list[Finding] = []
    kept, skipped = [], []
    for rule in RULES:
        if not rule.applies(facts):
            skipped.append(rule.id)
            continue
        broken = [Finding(rule, subject, evidence) for subject, evidence in rule.check(facts)]
        findings += broken
        if not broken:
            kept.append(rule.id)
    return Judgement(tuple(findings), tuple(kept), tuple(skipped))


def compliance(severities: Iterable[str]) -> float:
    """Return the compliance score of what is open: max(0, 1 - sum of weights / 100) (requirements §3)."""
    return max(0.0, 1 - sum(WEIGHTS[Severity(severity)] for severity in severities) / 100)


# --- Checks -----------------------------------------------------------------------------------------------------------
def _by_setting(facts: FleetFacts, breaks: Callable[[WorkerFacts], dict[str, Any] | None]) -> Iterator[Found]:
    """Yield one finding for all workers that break a rule alike: a hundred of one kind are one thing to mend."""
    alike: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for worker in facts.workers:
        evidence = breaks(worker)
        if evidence is not None:
            alike.setdefault(repr(sorted(evidence.items())), (evidence, []))[1].append(worker.name)
    for number, (evidence, names) in enumerate(alike.values()):
        workers = {"workers": names[:WORKERS_NAMED], "worker_count": len(names)}
        yield ("workers" if number == 0 else f"workers-{number + 1}"), {**evidence, **workers}


def _of_workers(breaks: Callable[[WorkerFacts], dict[str, Any] | None]) -> Callable[[FleetFacts], Iterable[Found]]:
    return lambda facts: _by_setting(facts, breaks)


def _of_queues(
    breaks: Callable[[FleetFacts, WorkerFacts, QueueFacts], dict[str, Any] | None],
) -> Callable[[FleetFacts], Iterable[Found]]:
    def check(facts: FleetFacts) -> Iterator[Found]:
        seen: set[str] = set()
        for worker, queue in facts.queues():
            evidence = None if queue.name in seen else breaks(facts, worker, queue)
            if evidence is not None:
                seen.add(queue.name)
                yield f"queue:{queue.name}", {**evidence, "worker": worker.name}

    return check


def _at_least(facts: FleetFacts, *version: int) -> bool:
    return facts.broker.version is not None and facts.broker.version >= version


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _unlimited(worker: WorkerFacts, longest: float) -> list[str]:
    """Return the late-acknowledged tasks of *worker* that may run for longer than *longest* seconds."""
    general = _number(worker.get("task_time_limit"))
    late = worker.late_tasks if worker.tasks else []
    return sorted(task.name for task in late if (limit := task.time_limit or general) is None or limit > longest)


def _over(worker: WorkerFacts, longest: float) -> dict[str, Any] | None:
    """Return what lets a late-acknowledged task of *worker* outlast *longest* seconds, or None when nothing does."""
    if not worker.acks_late:
        return None
    limit = _number(worker.get("task_time_limit"))
    names = _unlimited(worker, longest)
    if worker.tasks:
        return {"task_time_limit": limit, "tasks": names[:20], "task_count": len(names)} if names else None
    return {"task_time_limit": limit} if limit is None or limit > longest else None


def _consumer_timeout(facts: FleetFacts, worker: WorkerFacts, queue: QueueFacts) -> dict[str, Any] | None:
    if _at_least(facts, 4, 3) and not queue.quorum:
        return None
    told = _number(queue.arguments.get("x-consumer-timeout"))
    longest = CONSUMER_TIMEOUT if told is None else told / 1000
    over = _over(worker, longest)
    return over and {**over, "consumer_timeout_seconds": longest, "assumed_default": told is None}


def _lost_with_its_worker(worker: WorkerFacts) -> dict[str, Any] | None:
    if not (worker.prefork and worker.acks_late):
        return None
    general = bool(worker.get("task_reject_on_worker_lost"))
    names = sorted(task.name for task in worker.late_tasks if not (task.reject_on_worker_lost or general))
    if general or (worker.tasks and not names):
        return None
    return {"task_reject_on_worker_lost": False, "tasks": names[:20], "task_count": len(names)}


def _prefetched_priority(facts: FleetFacts, worker: WorkerFacts, queue: QueueFacts) -> dict[str, Any] | None:
    multiplier = _number(worker.get("worker_prefetch_multiplier", 4))
    late = bool(worker.get("task_acks_late"))
    if not queue.arguments.get("x-max-priority") or (multiplier == 1 and late):
        return None
    return {"worker_prefetch_multiplier": multiplier, "task_acks_late": late}


def _quorum_autoscale(facts: FleetFacts, worker: WorkerFacts, queue: QueueFacts) -> dict[str, Any] | None:
    return {"autoscale": True, "x-queue-type": "quorum"} if queue.quorum and worker.autoscales else None


def _quorum_detection(facts: FleetFacts, worker: WorkerFacts, queue: QueueFacts) -> dict[str, Any] | None:
    found = worker.get("worker_detect_quorum_queues")
    return {"worker_detect_quorum_queues": found} if queue.quorum and not found else None


def _transient_control(worker: WorkerFacts) -> dict[str, Any] | None:
    names = ("control_queue_exclusive", "event_queue_exclusive")
    wrong = {name: worker.get(name) for name in names if not worker.get(name)}
    return wrong or None


def _transient_queue(facts: FleetFacts, worker: WorkerFacts, queue: QueueFacts) -> dict[str, Any] | None:
    return None if queue.durable or queue.exclusive else {"durable": False, "exclusive": False}


def _visibility(worker: WorkerFacts) -> dict[str, Any] | None:
    options = worker.get("broker_transport_options") or {}
    visible = _number(options.get("visibility_timeout")) or VISIBILITY_TIMEOUT
    over = _over(worker, visible)
    return over and {**over, "visibility_timeout": visible}


def _results_for_ever(worker: WorkerFacts) -> dict[str, Any] | None:
    expires = worker.get("result_expires", 86_400)
    keeps = worker.get("result_backend") and not worker.get("task_ignore_result")
    return {"result_expires": expires} if keeps and expires in (None, 0, 0.0) else None


def _off(name: str) -> Callable[[WorkerFacts], dict[str, Any] | None]:
    return lambda worker: None if worker.get(name) else {name: worker.get(name)}


def _code_accepted(worker: WorkerFacts) -> dict[str, Any] | None:
    accepted = worker.get("accept_content") or ()
    found = sorted({str(each) for each in accepted} & CODE_RUNNING)
    return {"accept_content": sorted(map(str, accepted))} if found else None


def _no_heartbeat(worker: WorkerFacts) -> dict[str, Any] | None:
    beat = worker.get("broker_heartbeat", 120)
    return {"broker_heartbeat": beat} if not beat else None


def _no_limit(worker: WorkerFacts) -> dict[str, Any] | None:
    if _number(worker.get("task_time_limit")) is not None or not worker.prefork:
        return None
    free = sorted(task.name for task in worker.tasks if task.time_limit is None)
    if worker.tasks and not free:
        return None
    return {"task_time_limit": None, "tasks": free[:20], "task_count": len(free)}


def _never_recycled(worker: WorkerFacts) -> dict[str, Any] | None:
    names = ("worker_max_tasks_per_child", "worker_max_memory_per_child")
    return dict.fromkeys(names) if worker.prefork and not any(worker.get(name) for name in names) else None


def _gives_up(worker: WorkerFacts) -> dict[str, Any] | None:
    retries = worker.get("broker_connection_max_retries", 100)
    if worker.get("broker_connection_retry", True) and retries in (None, 0):
        return None
    return {
        "broker_connection_retry": worker.get("broker_connection_retry", True),
        "broker_connection_max_retries": retries,
    }


def _runs_on(worker: WorkerFacts) -> dict[str, Any] | None:
    name = "worker_cancel_long_running_tasks_on_connection_loss"
    return {name: worker.get(name)} if worker.acks_late and not worker.get(name) else None


def _in_clear(facts: FleetFacts) -> Iterator[Found]:
    if not facts.broker.encrypted:
        yield "broker", {"encrypted": False}


def _disagree(facts: FleetFacts) -> Iterator[Found]:
    for name in MUST_AGREE:
        values = {repr(worker.get(name)): worker.name for worker in facts.workers}
        if len(values) > 1:
            yield f"setting:{name}", {"values": dict(sorted(values.items())[:10])}


def _on_rabbitmq(facts: FleetFacts) -> bool:
    return facts.rabbitmq


def _on_redis(facts: FleetFacts) -> bool:
    return facts.broker.kind == "redis"


RULES: tuple[Rule, ...] = (
    Rule(
        "code-accepted", Severity.CRITICAL, "Workers accept messages that can run code",
        "Whoever can put a message on the broker can run any code in the workers: pickle and yaml build any object.",
        "Set accept_content and result_accept_content to ['json'], and task_serializer to 'json'.",
        f"{CELERY}userguide/security.html#serializers", _of_workers(_code_accepted),
    ),
    Rule(
        "transient-control-queues", Severity.CRITICAL, "The broker refuses the workers' control and event queues",
        "RabbitMQ 4.3 refuses transient queues that are not exclusive; workers then end at their start.",
        "Set control_queue_exclusive and event_queue_exclusive to True (Celery 5.7 has them on).",
        f"{RABBITMQ}queues#durability", _of_workers(_transient_control),
        lambda facts: facts.rabbitmq and _at_least(facts, 4, 3),
    ),
    Rule(
        "transient-queues", Severity.HIGH, "A queue of tasks is transient",
        "A restart of the broker forgets it with all its messages; RabbitMQ 4.3 refuses to declare it.",
        "Declare it durable. An existing queue must be deleted or named anew first.",
        f"{RABBITMQ}queues#durability", _of_queues(_transient_queue), _on_rabbitmq,
    ),
    Rule(
        "consumer-timeout", Severity.HIGH, "A task may outlast the broker's patience",
        "RabbitMQ closes the channel of a consumer that has not acknowledged for its consumer_timeout (30 minutes"
        " unless changed): every task of that worker is delivered again, and the worker may end.",
        "Give late-acknowledged tasks a time limit below it, or raise consumer_timeout for the queue.",
        f"{RABBITMQ}consumers#acknowledgement-timeout", _of_queues(_consumer_timeout), _on_rabbitmq,
    ),
    Rule(
        "lost-with-worker", Severity.HIGH, "A killed worker's task is lost in spite of late acknowledgement",
        "When a child process is killed (out of memory, for one), Celery acknowledges its task as failed: with"
        " task_acks_late alone it does not run again.",
        "Set task_reject_on_worker_lost for tasks that may run twice, with a delivery limit on the queue.",
        f"{SETTINGS}task-reject-on-worker-lost", _of_workers(_lost_with_its_worker),
    ),
    Rule(
        "quorum-autoscale", Severity.HIGH, "Autoscaling does nothing on quorum queues",
        "Autoscale follows the prefetch count, and quorum queues have no global QoS: it never grows.",
        "Scale by the number of workers, or use a classic queue.",
        f"{CELERY}getting-started/backends-and-brokers/rabbitmq.html#using-quorum-queues",
        _of_queues(_quorum_autoscale), _on_rabbitmq,
    ),
    Rule(
        "visibility-timeout", Severity.HIGH, "A task may outlast the visibility timeout and run twice",
        "Redis gives a message to another worker when it was not acknowledged for so long, though the first works.",
        "Set visibility_timeout in broker_transport_options above the longest task, ETA and countdown, or limit them.",
        f"{CELERY}getting-started/backends-and-brokers/redis.html#visibility-timeout", _of_workers(_visibility),
        _on_redis,
    ),
    Rule(
        "quorum-detection", Severity.MEDIUM, "Quorum queues are not detected",
        "Without it the worker asks for a global QoS, which quorum queues refuse, and ETA tasks block it.",
        "Set worker_detect_quorum_queues to True (Celery 5.5 or later).",
        f"{SETTINGS}worker-detect-quorum-queues", _of_queues(_quorum_detection), _on_rabbitmq,
    ),
    Rule(
        "prefetched-priority", Severity.MEDIUM, "Prefetched tasks pass urgent ones",
        "Priority orders what waits in the broker; what a worker has reserved runs first, however urgent the rest.",
        "Set worker_prefetch_multiplier to 1 and task_acks_late to True, or give urgent tasks a queue and worker of"
        " their own.",
        f"{CELERY}userguide/optimizing.html#reserve-one-task-at-a-time", _of_queues(_prefetched_priority),
    ),
    Rule(
        "runs-on-after-loss", Severity.MEDIUM, "A task runs on after the connection was lost, and again elsewhere",
        "The broker delivers an unacknowledged task again when the connection breaks, and this worker goes on with it.",
        "Set worker_cancel_long_running_tasks_on_connection_loss, or make the tasks safe to run twice.",
        f"{SETTINGS}worker-cancel-long-running-tasks-on-connection-loss", _of_workers(_runs_on),
        lambda facts: facts.broker.kind != "process",
    ),
    Rule(
        "no-time-limit", Severity.MEDIUM, "Tasks may hang for ever",
        "A task that waits for something without a timeout holds its slot until somebody restarts the worker.",
        "Set task_time_limit and task_soft_time_limit, for single tasks where they need longer.",
        f"{CELERY}userguide/workers.html#time-limits", _of_workers(_no_limit),
    ),
    Rule(
        "events-off", Severity.MEDIUM, "Workers send no task events",
        "Failures, retries and runtimes are invisible to whoever watches the fleet.",
        "Start workers with -E, or set worker_send_task_events to True.",
        f"{SETTINGS}worker-send-task-events", _of_workers(_off("worker_send_task_events")),
    ),
    Rule(
        "no-heartbeat", Severity.MEDIUM, "The broker connection has no heartbeat",
        "A half-open connection goes unnoticed: the worker looks alive and takes no task.",
        "Set broker_heartbeat to 10 to 60 seconds.",
        f"{SETTINGS}broker-heartbeat", _of_workers(_no_heartbeat), _on_rabbitmq,
    ),
    Rule(
        "results-for-ever", Severity.MEDIUM, "Results never expire",
        "They fill the backend until it stops.",
        "Set result_expires to what callers need, or task_ignore_result to True.",
        f"{SETTINGS}result-expires", _of_workers(_results_for_ever),
    ),
    Rule(
        "broker-in-clear", Severity.MEDIUM, "The way to the broker is not encrypted",
        "Passwords and arguments can be read, and messages changed, by whoever is on the network.",
        "Use amqps:// or rediss://, and broker_use_ssl in the workers.",
        f"{SETTINGS}broker-use-ssl", _in_clear,
        lambda facts: facts.broker.kind in {"rabbitmq", "redis"} and not facts.broker.local,
    ),
    Rule(
        "settings-disagree", Severity.MEDIUM, "Workers of one fleet disagree",
        "A task then works or fails by which worker takes it: often a deployment that was left halfway.",
        "Give all workers the same release and settings.",
        f"{CELERY}userguide/application.html#configuration", _disagree,
    ),
    Rule(
        "gives-up-on-broker", Severity.LOW, "Workers give up on a broker that is away",
        "After that many attempts the process ends, and somebody must start it again.",
        "Set broker_connection_max_retries to None, or let a supervisor restart them.",
        f"{SETTINGS}broker-connection-max-retries", _of_workers(_gives_up),
    ),
    Rule(
        "sent-events-off", Severity.LOW, "Nobody tells when a task was sent",
        "Without task-sent events the wait in the queue is unknown, and a task that was lost there is never missed.",
        "Set task_send_sent_event to True in the applications that send.",
        f"{SETTINGS}task-send-sent-event", _of_workers(_off("task_send_sent_event")),
    ),
    Rule(
        "never-recycled", Severity.LOW, "Child processes are never renewed",
        "Memory that libraries leak is kept until the machine runs out of it.",
        "Set worker_max_tasks_per_child or worker_max_memory_per_child.",
        f"{SETTINGS}worker-max-tasks-per-child", _of_workers(_never_recycled),
    ),
)  # fmt: skip
BY_ID = {rule.id: rule for rule in RULES}
