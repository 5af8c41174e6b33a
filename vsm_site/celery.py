"""The Celery application: queues, routes and the beat schedule."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
from contextlib import suppress

from celery import Celery, signals
from celery.apps.worker import Worker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vsm_site.settings")

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection, connections

from subsystems.messaging.channels import Channel
from subsystems.messaging.topology import CONSUMED, declare, queue_of
from subsystems.s1_operations.adapters.host import HostStep
from vsm_site import transport
from vsm_site.schedules import every

logger = logging.getLogger(__name__)
AHEAD_OF_ALL, BEHIND_PAIN = -5, 5  # as in nice(1)
SWITCH_SECONDS = 0.0005  # a thread that shows dashboards what was heard must not hold up what comes next
_looked = threading.local()  # when this thread last looked after its connections
_serves_pain = False
transport.register()
app = Celery("vsm", task_cls="vsm_site.beat:ScheduledTask")
app.set_default()  # each thread has a current app of its own: without this, threads of the web server get a stranger

app.conf.update(
    CELERY_DB_REUSE_MAX=sys.maxsize,  # else each task opens a connection of its own to the database; see below
    broker_url=settings.BROKER_URL,
    broker_read_url=settings.BROKER_URL,  # said, or every answer about the configuration warns that they are not
    broker_write_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_heartbeat=10,
    worker_consumer="vsm_site.consumer:Consumer",
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
        "fleets.detect": {"queue": "vsm.collect.v1", "routing_key": "collect"},
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
    beat_scheduler="vsm_site.beat:LedScheduler",  # the core jobs are code; slots make a second beat harmless
    beat_max_loop_interval=1,
    beat_schedule={
        "collect": {"task": "s1_operations.collect", "schedule": every(5), "options": {"expires": 5}},
        "detect": {"task": "fleets.detect", "schedule": every(10), "options": {"expires": 10}},
        "assess": {"task": "health.assess", "schedule": every(30), "options": {"expires": 30}},
        "escalate": {"task": "algedonic.escalate", "schedule": every(1), "options": {"expires": 5}},
        "tidy-signals": {"task": "algedonic.tidy", "schedule": every(60), "options": {"expires": 60}},
        "expire-requests": {"task": "messaging.expire_requests", "schedule": every(5), "options": {"expires": 5}},
        "roll-up": {"task": "telemetry.roll_up", "schedule": every(60), "options": {"expires": 60}},
        "export": {"task": "vsm_site.export", "schedule": every(10), "options": {"expires": 10}},
        "evict": {"task": "telemetry.evict", "schedule": every(300), "options": {"expires": 300}},
        "archive": {"task": "telemetry.archive", "schedule": every(3600), "options": {"expires": 3600}},
        "merge-operations": {"task": "variety.merge", "schedule": every(10), "options": {"expires": 10}},
        "read-variety": {"task": "variety.read", "schedule": every(30), "options": {"expires": 30}},
        "forget-variety": {"task": "variety.forget", "schedule": every(3600), "options": {"expires": 3600}},
        "look": {"task": "s4_intelligence.look", "schedule": every(60), "options": {"expires": 60}},
        "scan": {"task": "s4_intelligence.scan", "schedule": every(10), "options": {"expires": 10}},
        "foresee": {"task": "s4_intelligence.foresee", "schedule": every(300), "options": {"expires": 300}},
        "forget-findings": {"task": "s4_intelligence.forget", "schedule": every(3600), "options": {"expires": 3600}},
        "forget-messages": {"task": "messaging.forget_old", "schedule": every(600), "options": {"expires": 600}},
        "forget-history": {"task": "health.forget_history", "schedule": every(3600), "options": {"expires": 3600}},
        "tidy-runs": {"task": "s3_control.tidy", "schedule": every(60), "options": {"expires": 60}},
        "forget-gone": {"task": "s1_operations.forget_gone", "schedule": every(3600), "options": {"expires": 3600}},
        "steer": {"task": "s3_control.steer", "schedule": every(1), "options": {"expires": 5}},
        "advise": {"task": "s3_control.advise", "schedule": every(30), "options": {"expires": 30}},
        "bargain": {"task": "s3_control.bargain", "schedule": every(10), "options": {"expires": 10}},
        "scale": {"task": "s3_control.scale", "schedule": every(10), "options": {"expires": 10}},
        "tend": {"task": "s3_control.tend", "schedule": every(5), "options": {"expires": 5}},
        "forget-failures": {
            "task": "s1_operations.forget_failures",
            "schedule": every(3600),
            "options": {"expires": 3600},
        },
        "forget-tasks": {"task": "fleets.forget_old", "schedule": every(60), "options": {"expires": 60}},
        "patterns": {"task": "s4_intelligence.patterns", "schedule": every(5), "options": {"expires": 5}},
        "forget-detections": {
            "task": "s4_intelligence.forget_detections",
            "schedule": every(3600),
            "options": {"expires": 3600},
        },
        "audit": {"task": "s3_control.audit", "schedule": every(60), "options": {"expires": 60}},
        "forget-schedule-runs": {
            "task": "s2_coordination.forget_runs",
            "schedule": every(3600),
            "options": {"expires": 3600},
        },
        "coordinate": {"task": "s2_coordination.look", "schedule": every(60), "options": {"expires": 60}},
        "forget-coordination": {
            "task": "s2_coordination.forget_findings",
            "schedule": every(3600),
            "options": {"expires": 3600},
        },
        "evaluate-late": {"task": "alerts.catch_up", "schedule": every(5), "options": {"expires": 5}},
        "notify": {"task": "alerts.tick", "schedule": every(5), "options": {"expires": 5}},
        "heartbeat": {"task": "alerts.heartbeat", "schedule": every(60), "options": {"expires": 60}},
        "forget-alerts": {"task": "alerts.forget_alerts", "schedule": every(3600), "options": {"expires": 3600}},
    },
)
app.autodiscover_tasks()
app.steps["worker"].add(HostStep)


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _keep_django_logging(**_: object) -> None:
    """Celery must not replace the logging that Django set up."""


@signals.celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _let_pain_go_first(instance: Worker, **_: object) -> None:
    """Where processors are short, the worker of the lane steps forward if it may, others step back; a pool inherits."""
    global _serves_pain
    if instance.app is not app or settings.EMBEDDED:
        return
    _serves_pain = queue_of(Channel.ALGEDONIC) in instance.app.amqp.queues.consume_from
    if not _serves_pain:
        os.nice(BEHIND_PAIN)
        return
    sys.setswitchinterval(SWITCH_SECONDS)
    with suppress(PermissionError):
        os.nice(AHEAD_OF_ALL)


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def _forget_garbage(**_: object) -> None:
    """Leave what a process of a pool was born with out of collections: each would take a tenth of a second."""
    gc.collect()
    gc.freeze()


@signals.task_postrun.connect  # type: ignore[untyped-decorator]
def _keep_connection(**_: object) -> None:
    """Keep a thread's database connection for its next task unless it broke or is old, as between two requests.

    Looking costs the next task a question to the database, so it is done once a second, or when something broke.
    """
    broken = any(connection.errors_occurred for connection in connections.all(initialized_only=True))
    if broken or time.monotonic() - getattr(_looked, "at", 0.0) >= 1:
        _looked.at = time.monotonic()
        close_old_connections()
        if _serves_pain:
            _be_ready()


def _be_ready() -> None:
    """Look now whether the connection works, and open another: the next pain must not wait for that."""
    with suppress(DatabaseError, InterfaceError), connection.cursor():
        pass


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _declare_topology(**_: object) -> None:
    """A worker declares only what it consumes; dead letters need their queue all the same."""
    with app.connection_for_write() as connection:
        for misfit in declare(connection):
            logger.error("%s", misfit)
