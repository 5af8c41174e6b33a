"""`manage.py receive_events`: listens to the events of every watched fleet, to StatsD and to the queue of samples."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from subsystems.s1_operations import receiver
from vsm_site import embedded, statsd_server
from vsm_site.amqp_ingest import AmqpIngest


class Command(BaseCommand):
    help = "Receive the events of all fleets, StatsD lines and batches from the broker, until told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        listeners: list[embedded.Part] = [AmqpIngest(), *statsd_server.configured()]
        receiver.start_all()
        for listener in listeners:
            listener.start()
        stopped.wait()
        for listener in listeners:
            listener.stop()
        receiver.stop_all()
        os._exit(os.EX_OK)  # a connection that hangs in a thread must not keep the process
