"""Rules to begin with, for what people most often watch. They are ordinary rules once they are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Pack:
    """A set of rules that is installed together."""

    name: str
    title: str
    about: str
    rules: tuple[dict[str, Any], ...]


def _rule(name: str, summary: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "annotations": {"summary": summary}, **fields}


PACKS: dict[str, Pack] = {
    pack.name: pack
    for pack in (
        Pack("celery", "Celery", "Workers and queues of every fleet", (
            _rule("Worker does not answer", "{{ unit }} answers neither questions nor sends heartbeats",
                  metric="worker_up", unit_kind="celery_worker", comparison="lt", threshold=1, for_seconds=60,
                  severity="critical"),
            _rule("Queue grows old", "The oldest message of {{ unit }} waits for {{ value | duration }}",
                  metric="oldest_age_seconds", unit_kind="celery_queue", threshold=300, for_seconds=60,
                  severity_steps=[{"severity": "critical", "threshold": 1800}]),
            _rule("Queue without consumers", "Nobody consumes {{ unit }}", metric="consumers",
                  unit_kind="celery_queue", comparison="lt", threshold=1, for_seconds=120, severity="critical"),
            _rule("Many tasks fail", "{{ value | percent }} of the tasks of {{ unit }} fail", metric="failure_rate",
                  unit_kind="celery_worker", threshold=0.1, recover_threshold=0.05, for_seconds=120,
                  severity_steps=[{"severity": "critical", "threshold": 0.5}]),
        )),
        Pack("rabbitmq", "RabbitMQ", "The broker's queues, also as its own exporter tells them", (
            _rule("Backlog", "{{ unit }} holds {{ value | humanize }} messages", metric="ready",
                  unit_kind="celery_queue", threshold=10000, recover_threshold=5000, for_seconds=300),
            _rule("Deliveries not acknowledged", "{{ unit }} waits for {{ value | humanize }} acknowledgements",
                  metric="unacked", unit_kind="celery_queue", threshold=1000, for_seconds=600),
            _rule("Broker's memory alarm", "{{ source }} blocks who publishes: no memory", stale_seconds=120,
                  metric="rabbitmq_alarms_memory_used_watermark", threshold=0, severity="critical"),
            _rule("Broker's disk alarm", "{{ source }} blocks who publishes: no disk", stale_seconds=120,
                  metric="rabbitmq_alarms_free_disk_space_watermark", threshold=0, severity="critical"),
        )),
        Pack("hosts", "Hosts", "Machines with the platform or an agent", (
            _rule("Processor busy", "{{ unit }} is {{ value | percent }} busy", metric="cpu_ratio", unit_kind="host",
                  threshold=0.9, aggregation="avg", window_seconds=300, recover_threshold=0.8),
            _rule("Memory short", "{{ unit }} uses {{ value | percent }} of its memory", metric="memory_ratio",
                  unit_kind="host", threshold=0.9, for_seconds=120, recover_threshold=0.85,
                  severity_steps=[{"severity": "critical", "threshold": 0.97}]),
            _rule("Disk nearly full", "The disk of {{ unit }} is {{ value | percent }} full", metric="disk_ratio",
                  unit_kind="host", threshold=0.85, severity_steps=[{"severity": "critical", "threshold": 0.95}]),
            _rule("Disk full within four hours", "At this pace the disk of {{ unit }} is full by then",
                  kind="forecast", metric="disk_ratio", unit_kind="host", comparison="gte", threshold=1,
                  window_seconds=3600, params={"horizon_seconds": 14400}, for_seconds=600),
            _rule("Host silent", "Nothing heard of {{ unit }} for {{ value | duration }}", kind="absence",
                  metric="cpu_ratio", unit_kind="host", threshold=60, severity="critical"),
        )),
        Pack("django", "Django", "Applications that are asked over HTTP, or show django-prometheus' metrics", (
            _rule("Application does not answer", "{{ unit }} does not answer", metric="http_up", unit_kind="http",
                  comparison="lt", threshold=1, for_seconds=30, severity="critical"),
            _rule("Application slow", "{{ unit }} takes {{ value | duration }}", metric="latency_seconds",
                  unit_kind="http", aggregation="p95", window_seconds=300, threshold=1),
            _rule("Certificate expires", "The certificate of {{ unit }} ends in {{ value }} days",
                  metric="certificate_days_left", unit_kind="http", comparison="lt", threshold=14,
                  severity_steps=[{"severity": "critical", "threshold": 3}]),
            _rule("Errors of the server", "{{ value }} errors a second on {{ source }}", kind="rate",
                  metric="django_http_responses_total_by_status_total", match="status=5??", window_seconds=300,
                  threshold=0.1, stale_seconds=120),
        )),
        Pack("vsm", "This platform", "The viable system itself", (
            _rule("Unit unhealthy", "{{ unit }} scores {{ value }}", kind="health", comparison="lt", threshold=0.4,
                  for_seconds=60),
            _rule("Viability low", "The viability of {{ system }} is {{ value }}", kind="viability", comparison="lt",
                  threshold=0.7, for_seconds=60, severity_steps=[{"severity": "critical", "threshold": 0.5}]),
            _rule("Much pain", "{{ value }} signals of pain in five minutes", kind="signals", threshold=10,
                  window_seconds=300),
            _rule("Messages refused", "{{ value }} messages were refused in five minutes", kind="events",
                  threshold=20, window_seconds=300, params={"type": "message.refused"}),
            _rule("Decision overdue", "{{ value }} decisions of {{ source }} wait for an answer past their time",
                  metric="decisions_overdue", threshold=0, stale_seconds=300),
            _rule("Review overdue", "The outcome of {{ value }} decisions of {{ source }} is not reviewed in time",
                  metric="reviews_overdue", threshold=0, stale_seconds=300, severity="info"),
        )),
    )
}  # fmt: skip
