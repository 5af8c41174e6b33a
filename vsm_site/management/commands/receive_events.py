"""`manage.py receive_events`: listens to the events of every watched fleet, in a process of its own."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from subsystems.s1_operations import receiver


class Command(BaseCommand):
    help = "Receive the events of all fleets until told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        receiver.start_all()
        stopped.wait()
        receiver.stop_all()
        os._exit(os.EX_OK)  # a connection that hangs in a thread must not keep the process
