"""`manage.py receive_events`: listens to the events of every watched fleet, to StatsD and to the queue of samples."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from subsystems.fleets import receiver
from subsystems.variety import gathering
from vsm_site import amqp_ingest, embedded, statsd_server


class Command(BaseCommand):
    help = "Receive the events of all fleets, StatsD lines and batches from the broker, until told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        listeners: list[embedded.Part] = [amqp_ingest.reader(), *statsd_server.configured()]
        receiver.start_all()
        for listener in listeners:
            listener.start()
        stopped.wait()
        for listener in listeners:
            listener.stop()
        receiver.stop_all()
        gathering.stop()
        os._exit(os.EX_OK)  # a connection that hangs in a thread must not keep the process
