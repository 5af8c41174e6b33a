"""The Celery application of the demo: a shop that takes orders, sends e-mails and builds reports."""

from __future__ import annotations

import os
import random
import time

from celery import Celery, Task
from kombu import Queue

PREFIX = os.environ.get("DEMO_QUEUE_PREFIX", "")  # set where the broker is shared with others
app = Celery("shop", broker=os.environ.get("DEMO_BROKER_URL", "amqp://guest:guest@127.0.0.1:5672//"))
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_heartbeat=10,
    task_queues=[
        Queue(f"{PREFIX}orders", routing_key=f"{PREFIX}orders", queue_arguments={"x-max-priority": 10}),
        Queue(f"{PREFIX}emails", routing_key=f"{PREFIX}emails"),
        Queue(f"{PREFIX}reports", routing_key=f"{PREFIX}reports"),
    ],
    task_default_queue=f"{PREFIX}orders",
    task_routes={
        "shop.place_order": {"queue": f"{PREFIX}orders"},
        "shop.send_email": {"queue": f"{PREFIX}emails"},
        "shop.build_report": {"queue": f"{PREFIX}reports"},
    },
    task_ignore_result=True,
    task_acks_late=True,
    task_send_sent_event=True,
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
)


class PaymentRefused(Exception):
    """The card of an order did not work: a failure that stays one."""


class MailServerBusy(Exception):
    """A failure that goes away by itself."""


@app.task(name="shop.place_order")
def place_order(number: int) -> None:
    """Quick, and one in thirty fails."""
    time.sleep(random.uniform(0.02, 0.15))
    if random.random() < 1 / 30:
        raise PaymentRefused(f"order {number}")
    send_email.delay(number)


@app.task(name="shop.send_email", bind=True, max_retries=3)
def send_email(self: Task, number: int) -> None:
    """One in ten meets a busy server and is tried again."""
    time.sleep(random.uniform(0.05, 0.4))
    if random.random() < 0.1:
        raise self.retry(exc=MailServerBusy(f"order {number}"), countdown=2)


@app.task(name="shop.build_report")
def build_report(number: int) -> None:
    """Slow."""
    time.sleep(random.uniform(1, 6))
