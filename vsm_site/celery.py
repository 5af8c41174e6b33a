"""The Celery application: queues, routes and the beat schedule."""

from __future__ import annotations

import os
from collections.abc import Mapping

from celery import Celery, signals
from kombu import Exchange, Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vsm_site.settings")

from django.conf import settings

from subsystems.s1_operations.adapters.host import HostStep
from vsm_site import transport
from vsm_site.schedules import every

transport.register()
app = Celery("vsm")
app.set_default()  # each thread has a current app of its own: without this, threads of the web server get a stranger

EXCHANGE = Exchange("vsm", type="topic")
DEAD = {"x-dead-letter-exchange": "vsm", "x-dead-letter-routing-key": "dead"}


def _queue(name: str, arguments: Mapping[str, object] | None = None) -> Queue:
    return Queue(f"vsm.{name}.v1", EXCHANGE, routing_key=name, durable=True, queue_arguments=arguments)


QUEUES = [
    _queue("default", DEAD),
    _queue("collect", DEAD),
    _queue("algedonic", {"x-max-priority": 10, **DEAD}),
    _queue("command", DEAD),
    _queue("coordination", DEAD),
    _queue("audit", DEAD),
    _queue("resource_bargain", DEAD),
    _queue("dead"),
]
CONSUMED = [queue for queue in QUEUES if queue.routing_key != "dead"]

app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_heartbeat=10,
    broker_transport_options=transport.options(settings.BROKER_URL),
    task_queues=QUEUES,
    task_default_queue="vsm.default.v1",
    task_default_exchange="vsm",
    task_default_exchange_type="topic",
    task_default_routing_key="default",
    task_create_missing_queues=False,
    task_routes={
        "s1_operations.*": {"queue": "vsm.collect.v1", "routing_key": "collect"},
        "alerts.receive_viability": {"queue": "vsm.algedonic.v1", "routing_key": "algedonic", "priority": 8},
        "s3_control.*": {"queue": "vsm.command.v1", "routing_key": "command"},
        "s2_coordination.*": {"queue": "vsm.coordination.v1", "routing_key": "coordination"},
    },
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
    task_send_sent_event=True,
    worker_hijack_root_logger=False,
    worker_soft_shutdown_timeout=10,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    timezone="UTC",
    enable_utc=True,
    beat_scheduler="celery.beat:Scheduler",  # the schedule is code; slots make a second beat harmless
    beat_max_loop_interval=1,
    beat_schedule={
        "collect": {"task": "s1_operations.collect", "schedule": every(5), "options": {"expires": 5}},
        "assess": {"task": "health.assess", "schedule": every(30), "options": {"expires": 30}},
        "sweep-outbox": {"task": "messaging.sweep", "schedule": every(5), "options": {"expires": 5}},
        "roll-up": {"task": "telemetry.roll_up", "schedule": every(60), "options": {"expires": 60}},
        "evict": {"task": "telemetry.evict", "schedule": every(300), "options": {"expires": 300}},
        "forget-slots": {"task": "messaging.forget_old_slots", "schedule": every(600), "options": {"expires": 600}},
        "forget-history": {"task": "health.forget_history", "schedule": every(3600), "options": {"expires": 3600}},
        "tidy-runs": {"task": "s3_control.tidy", "schedule": every(60), "options": {"expires": 60}},
        "forget-failures": {
            "task": "s1_operations.forget_failures",
            "schedule": every(3600),
            "options": {"expires": 3600},
        },
        "forget-alerts": {"task": "alerts.forget_alerts", "schedule": every(3600), "options": {"expires": 3600}},
    },
)
app.autodiscover_tasks()
app.steps["worker"].add(HostStep)


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _keep_django_logging(**_: object) -> None:
    """Celery must not replace the logging that Django set up."""


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _declare_dead_letters(**_: object) -> None:
    """Nobody consumes the dead letters, so nobody else would make their queue, and they would be dropped."""
    with app.connection_for_write() as connection:
        QUEUES[-1](connection.default_channel).declare()
