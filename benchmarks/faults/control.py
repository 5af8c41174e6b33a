"""The same work in the common way: commit, then send the task with its payload; late acks, nothing more.

Only its connections to the database are kept from task to task: opening one for each, as Celery does unless told, took
half the machine, and nothing is lost by it.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from celery import Celery

QUEUE = "control"
app = Celery("control", broker=os.environ["VSM_BROKER_URL"])
app.conf.update(
    CELERY_DB_REUSE_MAX=sys.maxsize,
    task_acks_late=True,
    task_default_queue=QUEUE,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # so that it at least comes back
    worker_hijack_root_logger=False,
)


@app.task(name="control.handle")  # type: ignore[untyped-decorator]
def handle(key: str, payload: dict[str, Any]) -> None:
    """Record the effect."""
    from benchmarks.faults.effects.models import Effect  # models can be loaded only once Django is up

    Effect.objects.create(side="control", key=key, channel=payload["channel"], at=time.time())
