"""Each rule of the configuration audit with a fleet that breaks it and one that keeps it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from subsystems.s3_control.audit.facts import (
    BrokerFacts,
    FleetFacts,
    QueueFacts,
    TaskFacts,
    WorkerFacts,
    parsed_version,
    worker_facts,
)
from subsystems.s3_control.audit.pace import next_audit
from subsystems.s3_control.audit.rules import BY_ID, RULES, WEIGHTS, Severity, compliance, judge

PREFORK, THREADS = "celery.concurrency.prefork:TaskPool", "celery.concurrency.thread:TaskPool"
RABBIT, RABBIT_43 = BrokerFacts("rabbitmq", (3, 13, 2), True), BrokerFacts("rabbitmq", (4, 3, 0), True)
REDIS, PROCESS = BrokerFacts("redis", None, True), BrokerFacts("process", local=True)
# What a careful team runs: no rule may find anything in it.
SOUND: dict[str, Any] = {
    "accept_content": ["json"], "task_acks_late": True, "task_reject_on_worker_lost": True, "task_time_limit": 600,
    "worker_prefetch_multiplier": 1, "worker_detect_quorum_queues": True, "control_queue_exclusive": True,
    "event_queue_exclusive": True, "worker_send_task_events": True, "task_send_sent_event": True,
    "broker_heartbeat": 30, "broker_connection_retry": True, "broker_connection_max_retries": None,
    "result_backend": "redis://", "result_expires": "1 day, 0:00:00", "worker_max_tasks_per_child": 1000,
    "worker_cancel_long_running_tasks_on_connection_loss": True, "timezone": "UTC", "task_serializer": "json",
    "broker_transport_options": {},
}  # fmt: skip
NOT_LATE, FOR_EVER = {"task_acks_late": False}, {"broker_connection_max_retries": 0}
CLASSIC, PRIORITY = QueueFacts("jobs"), QueueFacts("jobs", arguments={"x-max-priority": 10})
QUORUM = QueueFacts("jobs", arguments={"x-queue-type": "quorum"})


def worker(*queues: QueueFacts, pool: str = PREFORK, name: str = "w1", **given: Any) -> WorkerFacts:
    facts = {key: given.pop(key) for key in ("autoscales", "tasks") if key in given}
    return WorkerFacts(name, {**SOUND, **given}, pool, queues=queues or (CLASSIC,), **facts)


def fleet(*workers: WorkerFacts, broker: BrokerFacts = RABBIT) -> FleetFacts:
    return FleetFacts(broker, workers)


LATE_HOUR = (TaskFacts("shop.report", acks_late=True, time_limit=7200), TaskFacts("shop.ping", acks_late=False))
SHORT = (TaskFacts("shop.report", acks_late=True, time_limit=60), TaskFacts("shop.slow", acks_late=False))
CASES: list[tuple[str, FleetFacts, FleetFacts]] = [
    ("code-accepted", fleet(worker(accept_content=["json", "pickle"])), fleet(worker())),
    (
        "code-accepted", fleet(worker(accept_content=["application/x-python-serialize"])),
        fleet(worker(accept_content=["json", "msgpack"])),
    ),
    (
        "transient-control-queues", fleet(worker(control_queue_exclusive=False), broker=RABBIT_43),
        fleet(worker(), broker=RABBIT_43),
    ),
    (
        "transient-queues", fleet(worker(QueueFacts("jobs", durable=False))),
        fleet(worker(QueueFacts("jobs", durable=False, exclusive=True))),
    ),
    ("consumer-timeout", fleet(worker(task_time_limit=None)), fleet(worker(**NOT_LATE, task_time_limit=None))),
    ("consumer-timeout", fleet(worker(task_time_limit=3600)), fleet(worker(task_time_limit=1700))),
    ("consumer-timeout", fleet(worker(tasks=LATE_HOUR)), fleet(worker(task_time_limit=None, tasks=SHORT))),
    (
        "consumer-timeout", fleet(worker(QUORUM, task_time_limit=None), broker=RABBIT_43),
        fleet(worker(CLASSIC, task_time_limit=None), broker=RABBIT_43),
    ),
    (
        "consumer-timeout", fleet(worker(QueueFacts("jobs", arguments={"x-consumer-timeout": 60_000}))),
        fleet(worker(QueueFacts("jobs", arguments={"x-consumer-timeout": 7_200_000}), task_time_limit=3600)),
    ),
    ("lost-with-worker", fleet(worker(task_reject_on_worker_lost=None)), fleet(worker(pool=THREADS))),
    (
        "lost-with-worker", fleet(worker(task_reject_on_worker_lost=None, tasks=LATE_HOUR)),
        fleet(worker(task_reject_on_worker_lost=None, tasks=(TaskFacts("a", True, True), TaskFacts("b", False)))),
    ),
    ("quorum-autoscale", fleet(worker(QUORUM, autoscales=True)), fleet(worker(CLASSIC, autoscales=True))),
    ("quorum-detection", fleet(worker(QUORUM, worker_detect_quorum_queues=False)), fleet(worker(QUORUM))),
    ("prefetched-priority", fleet(worker(PRIORITY, worker_prefetch_multiplier=4)), fleet(worker(PRIORITY))),
    ("prefetched-priority", fleet(worker(PRIORITY, task_acks_late=False)), fleet(worker(CLASSIC, **NOT_LATE))),
    (
        "visibility-timeout", fleet(worker(task_time_limit=None), broker=REDIS),
        fleet(worker(task_time_limit=None, broker_transport_options={"visibility_timeout": 10}), broker=RABBIT),
    ),
    (
        "visibility-timeout",
        fleet(worker(task_time_limit=600, broker_transport_options={"visibility_timeout": 300}), broker=REDIS),
        fleet(worker(task_time_limit=600), broker=REDIS),
    ),
    (
        "runs-on-after-loss", fleet(worker(worker_cancel_long_running_tasks_on_connection_loss=False)),
        fleet(worker(worker_cancel_long_running_tasks_on_connection_loss=False, task_acks_late=False)),
    ),
    ("no-time-limit", fleet(worker(task_time_limit=None)), fleet(worker(task_time_limit=None, pool=THREADS))),
    (
        "no-time-limit", fleet(worker(task_time_limit=None, tasks=(TaskFacts("a"),))),
        fleet(worker(task_time_limit=None, tasks=(TaskFacts("a", time_limit=5),))),
    ),
    ("events-off", fleet(worker(worker_send_task_events=False)), fleet(worker())),
    ("sent-events-off", fleet(worker(task_send_sent_event=False)), fleet(worker())),
    ("no-heartbeat", fleet(worker(broker_heartbeat=0)), fleet(worker(broker_heartbeat=0), broker=REDIS)),
    ("results-for-ever", fleet(worker(result_expires=None)), fleet(worker(result_expires=None, result_backend=None))),
    ("results-for-ever", fleet(worker(result_expires=0)), fleet(worker(result_expires=0, task_ignore_result=True))),
    (
        "broker-in-clear", fleet(worker(), broker=BrokerFacts("redis")),
        fleet(worker(), broker=BrokerFacts("redis", local=True)),
    ),
    (
        "settings-disagree", fleet(worker(), worker(name="w2", timezone="Europe/Berlin")),
        fleet(worker(), worker(name="w2", worker_prefetch_multiplier=4)),
    ),
    ("gives-up-on-broker", fleet(worker(broker_connection_max_retries=100)), fleet(worker())),
    ("gives-up-on-broker", fleet(worker(broker_connection_retry=False)), fleet(worker(**FOR_EVER))),
    (
        "never-recycled", fleet(worker(worker_max_tasks_per_child=None)),
        fleet(worker(worker_max_tasks_per_child=None, worker_max_memory_per_child=400_000)),
    ),
]  # fmt: skip


def found(facts: FleetFacts, rule: str) -> list[str]:
    return [finding.subject for finding in judge(facts).findings if finding.rule.id == rule]


@pytest.mark.parametrize(("rule", "failing", "passing"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_finds_what_breaks_it_and_nothing_else(rule: str, failing: FleetFacts, passing: FleetFacts) -> None:
    """An audit that cries over sound settings is switched off, and then it finds nothing at all."""
    assert found(failing, rule) != []
    assert found(passing, rule) == []


def test_every_rule_has_a_failing_and_a_passing_fleet_and_says_what_to_do() -> None:
    """A rule that was never seen to find anything proves nothing; one without a remedy helps nobody."""
    assert {rule.id for rule in RULES} == {case[0] for case in CASES} == set(BY_ID)
    assert len(RULES) >= 12
    for rule in RULES:
        assert rule.reason
        assert rule.fix
        assert rule.link.startswith("https://")


@pytest.mark.parametrize("broker", [RABBIT, RABBIT_43, REDIS, PROCESS], ids=["3.13", "4.3", "redis", "in process"])
def test_a_careful_fleet_passes_every_rule(broker: BrokerFacts) -> None:
    """The recommended settings must be reachable: all of them, together."""
    judged = judge(fleet(worker(tasks=SHORT), worker(QUORUM, name="w2"), broker=broker))

    assert [finding.rule.id for finding in judged.findings] == []
    assert len(judged.kept) + len(judged.not_applicable) == len(RULES)


def test_workers_that_break_a_rule_alike_are_one_finding() -> None:
    """A hundred containers of one image are one thing to mend."""
    many = [worker(name=f"w{number}", worker_send_task_events=False) for number in range(100)]

    finding = next(one for one in judge(fleet(*many)).findings if one.rule.id == "events-off")

    assert (finding.evidence["worker_count"], len(finding.evidence["workers"])) == (100, 20)


def test_a_fleet_that_does_not_answer_is_unknown() -> None:
    """Silence must never score as compliant."""
    assert judge(fleet()).unknown


@pytest.mark.parametrize(
    ("severities", "score"),
    [([], 1.0), (["critical"], 0.75), (["high", "medium", "low"], 0.74), (["critical"] * 5, 0.0)],
)
def test_the_compliance_score(severities: list[str], score: float) -> None:
    """Requirements, section 3: weights 25, 15, 8 and 3."""
    assert compliance(severities) == pytest.approx(score)
    assert [WEIGHTS[each] for each in Severity] == [25, 15, 8, 3]


@pytest.mark.parametrize(
    ("score", "critical", "hours"),
    [(None, False, 0.25), (1.0, False, 24), (0.8, False, 6), (0.5, False, 1), (0.75, True, 1)],
)
def test_what_is_badly_set_up_is_looked_at_more_often(score: float | None, critical: bool, hours: float) -> None:
    """And who did not answer is asked again soon."""
    now = datetime(2026, 11, 20, tzinfo=UTC)

    assert next_audit(score, critical=critical, now=now) - now == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("text", "version"),
    [("3.10.8", (3, 10, 8)), ("4.1.0-beta.2", (4, 1, 0)), ("", None), (None, None), ("dev", None)],
)
def test_versions_are_read(text: str | None, version: tuple[int, ...] | None) -> None:
    """What cannot be read is unknown, and then no rule that needs it applies."""
    assert parsed_version(text) == version


def test_the_answers_of_a_worker_are_read() -> None:
    """As Celery's inspection words them, and as little of them as there may be."""
    answers = {
        "conf": {"task_acks_late": True},
        "stats": {"pool": {"implementation": PREFORK}, "autoscaler": {"min": 1}},
        "active_queues": [{"name": "jobs", "durable": False, "queue_arguments": None, "max_priority": 5}],
        "registered": [
            "shop.pay [acks_late=True time_limit=30 reject_on_worker_lost=True]",
            "shop.ping",
            "celery.chord [acks_late=True]",
        ],
    }  # fmt: skip

    read = worker_facts("w1", answers)

    assert (read.prefork, read.autoscales, read.get("task_acks_late")) == (True, True, True)
    assert read.queues == (QueueFacts("jobs", durable=False, arguments={"x-max-priority": 5}),)
    assert read.tasks == (TaskFacts("shop.pay", True, True, 30.0), TaskFacts("shop.ping"))
    assert worker_facts("w1", {}).queues == ()
