"""`manage.py relay`: the relay in a process of its own, for the services profile."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

from django.core.management.base import BaseCommand

from subsystems.algedonic.canary import Watch
from subsystems.messaging import inbound
from subsystems.messaging.relay import Relay
from subsystems.s2_coordination import services as schedules
from vsm_site.celery import app

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = (
        "Send waiting messages, keep the event log, read dead letters and messages from outside, and watch the"
        " algedonic lane, until told to stop."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        relay, reader, watch = Relay(app), inbound.reader(), Watch(schedules.watch)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: relay.stop())
        relay.start()
        reader.start()
        watch.start()
        relay.wait()
        watch.stop()
        reader.stop()
        os._exit(os.EX_OK)  # a broker that hangs in a thread must not keep the process
