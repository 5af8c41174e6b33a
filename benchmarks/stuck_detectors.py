"""Injected faults in a real fleet: how long until each is found and rightly named, and nothing else is.

An embedded platform watches real workers on a broker of their own. First nothing is wrong, and some workers run tasks
that take minutes while more of them wait; that part goes on beside all faults. What is found there is false.

`python -m benchmarks stuck_detectors 3600` watches the healthy part for an hour, and injects nothing.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django

django.setup()

import psutil  # noqa: E402

from benchmarks.embedded_server import server  # noqa: E402
from benchmarks.faults.servers import RabbitMQ, rabbitmq_program, wait_until  # noqa: E402
from benchmarks.result import Result, report  # noqa: E402
from subsystems.fleets import topology  # noqa: E402
from subsystems.fleets.models import StuckFinding, Task, WorkerState  # noqa: E402
from subsystems.recursion.queries import root_system  # noqa: E402
from subsystems.s1_operations import services  # noqa: E402
from subsystems.s1_operations.models import Fleet  # noqa: E402
from tests.support.watched_app import producer, watched_worker  # noqa: E402

HEALTHY_SECONDS = 150
LONG_SECONDS = 100
GIVE_UP_SECONDS = 180


@dataclass
class Fault:
    """One fault: what must be found of whom, within how many seconds."""

    name: str
    kind: str
    subject: str
    within: float
    how: str = ""
    injected_at: float = 0.0
    found: StuckFinding | None = field(default=None)

    def look(self, fleet: Fleet) -> bool:
        """Return whether it was found after it had been injected."""
        rows = StuckFinding.objects.filter(fleet=fleet, kind=self.kind, subject=self.subject).order_by("found_at")
        self.found = next((row for row in rows if self.how in ("", row.evidence.get("how"))), None)
        return self.found is not None

    @property
    def seconds(self) -> float:
        return GIVE_UP_SECONDS if self.found is None else self.found.found_at.timestamp() - self.injected_at


def run() -> list[Result]:
    if rabbitmq_program() is None:
        return []
    with tempfile.TemporaryDirectory(prefix="vsm-stuck-") as folder, ExitStack() as stack:
        rabbit = RabbitMQ(Path(folder) / "broker")
        rabbit.start()
        stack.callback(rabbit.kill)
        stack.enter_context(server())
        url = f"amqp://guest:guest@127.0.0.1:{rabbit.port}//"
        fleet = services.watch_fleet(root_system(), url, name="bench")
        return _measure(fleet, url, stack)


def _measure(fleet: Fleet, url: str, stack: ExitStack) -> list[Result]:
    bench = Bench(fleet, url, stack)
    stopped = bench.keep_healthy()
    bench.prepare()
    began = time.time()
    false_alarms = _watch_healthy(float(sys.argv[1]) if len(sys.argv) > 1 else HEALTHY_SECONDS)
    if len(sys.argv) > 1:
        stopped.set()
        return [_alarms(false_alarms, began)]
    faults = bench.inject()
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < deadline and sum(fault.look(fleet) for fault in faults) < len(faults):
        time.sleep(1)
    stopped.set()
    meant = {(fault.kind, fault.subject) for fault in faults} | bench.consequences
    others = [row for row in StuckFinding.objects.filter(fleet=fleet) if (row.kind, row.subject) not in meant]
    others += list(StuckFinding.objects.exclude(fleet=fleet))
    return [
        *(
            Result(
                f"stuck_{fault.name}", f"{fault.name} found and named within {fault.within:.0f} s", fault.seconds,
                fault.within, "s", details={"summary": fault.found.summary if fault.found else "not found"},
            )
            for fault in faults
        ),
        _alarms([*others, *false_alarms], began),
    ]  # fmt: skip


def _watch_healthy(seconds: float) -> list[StuckFinding]:
    """Return what was found of a fleet in which nothing is wrong."""
    time.sleep(seconds)
    return list(StuckFinding.objects.all())


def _alarms(found: Sequence[StuckFinding], began: float) -> Result:
    for row in found:
        print("false:", row.fleet, row.kind, row.subject, row.summary, row.evidence, file=sys.stderr, flush=True)
    tasks = Task.objects.filter(state=Task.State.SUCCESS, runtime_seconds__gt=LONG_SECONDS - 1).count()
    details = {"seconds": round(time.time() - began), "long_tasks": tasks, "found": [str(row) for row in found]}
    return Result("stuck_false_alarms", "nothing is found in a healthy fleet with long tasks",
                  float(len(found)), 0.5, "findings", details=details)  # fmt: skip


class Bench:
    """The workers of the fleet, and what is done to them."""

    def __init__(self, fleet: Fleet, url: str, stack: ExitStack) -> None:
        self.fleet, self.url, self._stack = fleet, url, stack
        self._processes: dict[str, Any] = {}
        self.consequences: set[tuple[str, str]] = set()

    def worker(self, queue: str, **options: Any) -> str:
        process, node = self._stack.enter_context(watched_worker(self.url, queue, **options))
        self._processes[queue] = process
        return node

    def keep_healthy(self) -> threading.Event:
        """Run long tasks with others waiting, and short ones all the time; return what ends it."""
        self.worker("long", pool="prefork", size=2)
        self.worker("short", size=2)
        long, short = producer(self.url, "long", tells=True), producer(self.url, "short", tells=True)
        for _ in range(12):
            long.send_task("watched.sleep", [LONG_SECONDS])
        stopped = threading.Event()

        def feed() -> None:
            again = time.monotonic()
            while not stopped.wait(0.2):
                short.send_task("watched.sleep", [0.05])
                if time.monotonic() > again:  # as many as end
                    again += LONG_SECONDS / 2
                    long.send_task("watched.sleep", [LONG_SECONDS])

        threading.Thread(target=feed, daemon=True).start()
        return stopped

    def prepare(self) -> None:
        """Start whom the faults will hit, and wait until all answer."""
        self.worker("frozen", pool="prefork", size=1)
        self.worker("still", pool="prefork", size=1)
        self.worker("deaf", size=1)
        self.worker("killed", size=1)
        self.worker("poison", pool="prefork", size=1)
        self.worker("starved", size=1, prefetch=1, priorities=10)
        wait_until(lambda: WorkerState.objects.filter(fleet=self.fleet).count() == 8, seconds=90, what="workers")
        topology.declare(self.fleet, role="killed@watched", queue="killed", workers=1)
        killed = producer(self.url, "killed", tells=True)
        for _ in range(4):
            killed.send_task("watched.sleep", [600])

    def inject(self) -> list[Fault]:
        """Inject all faults; return them."""
        return [self._now(fault, inject) for fault, inject in self._faults()]

    def _faults(self) -> list[tuple[Fault, Callable[[], object]]]:
        killed = Fault("killed_worker_lost_task", "lost_tasks", "on killed@watched", 120)
        # What a killed worker held waits in its queue again, and who is deaf is no consumer.
        self.consequences = {("queue_without_consumer", "killed"), ("queue_without_consumer", "deaf")}
        return [
            (Fault("frozen_worker", "stalled_worker", "frozen@watched", 60, "frozen"), self._freeze),
            (Fault("stopped_pool", "stalled_worker", "still@watched", 60, "still"), self._stop_pool),
            (Fault("deaf_worker", "stalled_worker", "deaf@watched", 60, "deaf"), self._deafen),
            (killed, lambda: self._processes["killed"].kill()),
            (Fault("missing_workers", "missing_workers", "killed@watched on killed", 30), lambda: None),
            (Fault("queue_without_consumer", "queue_without_consumer", "nobody", 30), self._send_to_nobody),
            (Fault("poison_task", "redelivery_loop", "watched.die", 60), self._poison),
            (Fault("starved_priority", "starved_priority", "starved", 90), self._starve),
        ]

    def _now(self, fault: Fault, inject: Callable[[], object]) -> Fault:
        fault.injected_at = time.time()
        inject()
        return fault

    def _freeze(self) -> None:
        self._stack.callback(lambda: _signal_all(self._processes["frozen"].pid, signal.SIGCONT))
        _signal_all(self._processes["frozen"].pid, signal.SIGSTOP)

    def _stop_pool(self) -> None:
        for child in psutil.Process(self._processes["still"].pid).children():
            child.send_signal(signal.SIGSTOP)
            self._stack.callback(child.kill)
        self._send("still", 3)

    def _deafen(self) -> None:
        client = producer(self.url, "deaf", tells=True)
        client.control.broadcast("go_deaf", destination=["deaf@watched"], reply=True, timeout=3, limit=1)
        self._send("deaf", 3)

    def _send_to_nobody(self) -> None:
        self._send("nobody", 1)

    def _poison(self) -> None:
        producer(self.url, "poison", tells=True).send_task("watched.die")

    def _starve(self) -> None:
        client = producer(self.url, "starved", tells=True, priorities=10)
        for _ in range(30):
            client.send_task("watched.sleep", [0.1], priority=9)
        for _ in range(5):
            client.send_task("watched.sleep", [0.1], priority=1)

        def hurry() -> None:
            for _ in range(GIVE_UP_SECONDS * 10):
                client.send_task("watched.sleep", [0.11], priority=9)
                time.sleep(0.1)

        threading.Thread(target=hurry, daemon=True).start()

    def _send(self, queue: str, count: int) -> None:
        client = producer(self.url, queue, tells=True)
        for _ in range(count):
            client.send_task("watched.succeed")


def _signal_all(pid: int, number: signal.Signals) -> None:
    process = psutil.Process(pid)
    for each in [process, *process.children()]:
        each.send_signal(number)


if __name__ == "__main__":
    report(run)
