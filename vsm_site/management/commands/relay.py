"""`manage.py relay`: the relay in a process of its own, for the services profile."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

from django.core.management.base import BaseCommand

from subsystems.algedonic.canary import Watch
from subsystems.messaging.inbound import Inbound
from subsystems.messaging.relay import Relay
from vsm_site.celery import app

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = (
        "Send waiting messages, keep the event log, read dead letters and messages from outside, and watch the"
        " algedonic lane, until told to stop."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        relay, inbound, watch = Relay(app), Inbound(), Watch()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: relay.stop())
        relay.start()
        inbound.start()
        watch.start()
        relay.wait()
        watch.stop()
        inbound.stop()
        os._exit(os.EX_OK)  # a broker that hangs in a thread must not keep the process
