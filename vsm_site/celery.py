"""The Celery application: queues, routes and the beat schedule."""

from __future__ import annotations

import logging
import os

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vsm_site.settings")

from django.conf import settings

from subsystems.messaging.topology import CONSUMED, declare
from subsystems.s1_operations.adapters.host import HostStep
from vsm_site import transport
from vsm_site.schedules import every

logger = logging.getLogger(__name__)
transport.register()
app = Celery("vsm")
app.set_default()  # each thread has a current app of its own: without this, threads of the web server get a stranger

app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_heartbeat=10,
    broker_transport_options=transport.options(settings.BROKER_URL),
    task_queues=CONSUMED,
    task_default_queue="vsm.default.v1",
    task_default_exchange="vsm",
    task_default_exchange_type="topic",
    task_default_routing_key="default",
    task_create_missing_queues=False,
    task_routes={
        "s1_operations.*": {"queue": "vsm.collect.v1", "routing_key": "collect"},
        # Beside the lane that they look after, and not behind whatever waits in the default queue.
        "algedonic.*": {"queue": "vsm.collect.v1", "routing_key": "collect"},
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
        "escalate": {"task": "algedonic.escalate", "schedule": every(1), "options": {"expires": 5}},
        "canary": {"task": "algedonic.canary", "schedule": every(10), "options": {"expires": 10}},
        "tidy-signals": {"task": "algedonic.tidy", "schedule": every(60), "options": {"expires": 60}},
        "expire-requests": {"task": "messaging.expire_requests", "schedule": every(5), "options": {"expires": 5}},
        "roll-up": {"task": "telemetry.roll_up", "schedule": every(60), "options": {"expires": 60}},
        "evict": {"task": "telemetry.evict", "schedule": every(300), "options": {"expires": 300}},
        "archive": {"task": "telemetry.archive", "schedule": every(3600), "options": {"expires": 3600}},
        "forget-messages": {"task": "messaging.forget_old", "schedule": every(600), "options": {"expires": 600}},
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
def _declare_topology(**_: object) -> None:
    """A worker declares only what it consumes; dead letters need their queue all the same."""
    with app.connection_for_write() as connection:
        for misfit in declare(connection):
            logger.error("%s", misfit)
