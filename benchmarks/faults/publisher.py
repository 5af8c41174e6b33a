"""A publisher in a process of its own: `publisher SIDE NAME LEDGER SEED`, told on standard input how many it may send.

It goes on until the database has said yes to every message, asking it what became of those whose commit it did not
hear about, as a client with an idempotency key does.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import django

django.setup()

from django.db import DatabaseError, InterfaceError, connection, transaction  # noqa: E402
from kombu.exceptions import OperationalError  # noqa: E402

from benchmarks.faults.effects.handlers import PASSED_ON, TYPE  # noqa: E402
from benchmarks.faults.effects.models import Order  # noqa: E402
from benchmarks.faults.ledger import Ledger  # noqa: E402
from subsystems.kernel.errors import Refused  # noqa: E402
from subsystems.messaging import fast_lane  # noqa: E402
from subsystems.messaging.channels import FLOWS, Channel, Flow, Party  # noqa: E402
from subsystems.messaging.envelope import Envelope  # noqa: E402
from subsystems.messaging.models import Message  # noqa: E402
from subsystems.messaging.services import publish  # noqa: E402

MOST_AT_ONCE = 20  # messages in one transaction
PRIORITIES = (10, 8, 5, 2)
PAUSE_SECONDS = 0.2
_BY_CHANNEL = {
    channel: sorted((flow for flow in FLOWS if flow.channel == channel and not flow.only_as_reply), key=repr)
    for channel in Channel
}


def flow_of(number: int) -> Flow:
    """Return a permitted direction: the channels in turn, and in each its directions in turn."""
    channels = list(_BY_CHANNEL)
    flows = _BY_CHANNEL[channels[number % len(channels)]]
    return flows[number // len(channels) % len(flows)]


def envelope(key: str) -> Envelope:
    number = number_of(key)
    flow = flow_of(number)
    return Envelope(
        id=key, channel=flow.channel, sender=flow.sender, recipient=flow.recipient, type=TYPE,
        payload={"key": key, "text": "as a message of everyday has it"}, priority=PRIORITIES[number % len(PRIORITIES)],
    )  # fmt: skip


def number_of(key: str) -> int:
    return int(key.rpartition("-")[2])


def promised(keys: Sequence[str]) -> list[str]:
    """Return what must be done once *keys* are accepted: an order is passed on, too."""
    order = (Channel.COMMAND, Party.S5, Party.S3)
    passed = []
    for key in keys:
        flow = flow_of(number_of(key))
        if (flow.channel, flow.sender, flow.recipient) == order:
            passed.append(key + PASSED_ON)
    return [*keys, *passed]


class Publisher:
    """Sends as many as it has been given leave to."""

    def __init__(self, name: str, ledger: Ledger, seed: int) -> None:
        self._name, self._ledger = name, ledger
        self._chance = random.Random(seed)
        self._leave, self._sent = 0, 0
        self._told = threading.Condition()
        self._closed = False

    def listen(self) -> None:
        """Take leave from standard input: each line is how many in all."""
        for line in sys.stdin:
            with self._told:
                self._leave = int(line)
                self._told.notify()
        with self._told:
            self._closed = True
            self._told.notify()

    def run(self, send: Callable[[Ledger, list[str]], None]) -> None:
        threading.Thread(target=self.listen, daemon=True).start()
        while True:
            with self._told:
                self._told.wait_for(lambda: self._closed or self._sent < self._leave)
                if self._sent >= self._leave:
                    return
                size = min(self._leave - self._sent, self._chance.randint(1, MOST_AT_ONCE))
            send(self._ledger, [f"{self._name}-{n}" for n in range(self._sent, self._sent + size)])
            self._sent += size


def send_by_platform(ledger: Ledger, keys: list[str]) -> None:
    """Publish *keys* in one transaction, again until it is certain that it was committed."""
    ledger.attempted(promised(keys))
    for tries in count():
        try:
            if tries and Message.objects.filter(id=keys[0]).exists():
                break  # the commit had gone through, and only its answer was lost
            with transaction.atomic():
                for key in keys:
                    publish(envelope(key))
            break
        except (DatabaseError, InterfaceError):
            connection.close()
            time.sleep(PAUSE_SECONDS)
        except Refused:  # no room, or too fast: whoever is told so waits
            time.sleep(PAUSE_SECONDS)
    ledger.acknowledged(promised(keys))


def send_by_control(ledger: Ledger, keys: list[str]) -> None:
    """Commit, then send; only what was sent without an error counts as acknowledged."""
    from benchmarks.faults.control import app

    ledger.attempted(keys)
    while True:
        try:
            with transaction.atomic():
                Order.objects.bulk_create([Order(key=key) for key in keys])
            break
        except (DatabaseError, InterfaceError):
            connection.close()
            time.sleep(PAUSE_SECONDS)
    sent = []
    for key in keys:
        channel = str(flow_of(number_of(key)).channel)
        try:
            app.send_task("control.handle", args=[key, {"channel": channel, "text": "as a message of everyday has it"}])
        except OperationalError:
            ledger.unsent([key])
        else:
            sent.append(key)
    ledger.acknowledged(sent)


def main() -> None:
    side, name, path, seed = sys.argv[1:5]
    ledger = Ledger(Path(path))
    Publisher(name, ledger, int(seed)).run(send_by_platform if side == "platform" else send_by_control)
    fast_lane.settle()


if __name__ == "__main__":
    main()
