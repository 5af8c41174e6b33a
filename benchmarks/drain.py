"""Scale-in of a busy fleet by drain: how many tasks are interrupted, beside the two ways it is done without one.

Workers are taken out again and again while tasks of up to a second and a half keep all of them busy, and new ones take
their places. A task writes when it begins and when it ends: one that began and did not end was interrupted. The peers
take the same workers out by Celery's own `shutdown`, and as a supervisor does: SIGTERM, and SIGKILL after a grace that
is shorter than the longest task, as ten or thirty seconds are in production.

`python -m benchmarks drain 1000 40` takes out a thousand, forty at a time.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import django

django.setup()

from celery import Celery  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402

from benchmarks.faults.servers import RabbitMQ, rabbitmq_program, wait_until  # noqa: E402
from benchmarks.result import Result, report  # noqa: E402
from subsystems.recursion.queries import root_system  # noqa: E402
from subsystems.s1_operations import services as operations  # noqa: E402
from subsystems.s1_operations.adapters.celery_control import FleetUnreachable, control_of  # noqa: E402
from subsystems.s1_operations.models import Fleet, Unit  # noqa: E402
from subsystems.s3_control import carrying, steering  # noqa: E402
from subsystems.s3_control.models import Action  # noqa: E402
from subsystems.s3_control.previews import reference, workers_now  # noqa: E402

SCALE_INS, PEERS = 96, 24
AT_ONCE, STAY = 8, 4
TASK_SECONDS = (0.05, 1.5)
GRACE_SECONDS = 1.0
BACKLOG = 60
POOLS = ("prefork", "threads")


class Fork:
    """The busy fleet: its workers by node name, and a feeder that keeps its queue from running dry."""

    pools: Sequence[str] = POOLS  # in turn

    def __init__(self, broker: str, folder: Path, *options: str) -> None:
        self.log = folder / "tasks"
        self.log.touch()
        self.workers: dict[str, int] = {}
        self.sent = 0
        self._names = 0
        self._client = Celery("feeder", broker=broker, set_as_current=False)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.drain_fleet", broker, str(self.log), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._stop = threading.Event()
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def start(self, count: int) -> list[str]:
        """Start *count* workers; return their node names."""
        return [self._start() for _ in range(count)]

    def _start(self) -> str:
        self._names += 1
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"start w{self._names} {self.pools[self._names % len(self.pools)]}\n")
        self._process.stdin.flush()
        node = f"w{self._names}@busy"
        self.workers[node] = int(self._process.stdout.readline())
        return node

    def began_and_ended(self) -> tuple[set[str], set[str]]:
        """Return the runs that began and those that ended."""
        found: dict[str, set[str]] = {"began": set(), "ended": set()}
        for line in self.log.read_text().splitlines():
            word, _, run = line.partition(" ")
            found[word].add(run)
        return found["began"], found["ended"]

    def _feed(self) -> None:
        with self._client.connection_for_write() as connection:
            channel = connection.default_channel
            channel.queue_declare("busy", durable=True, auto_delete=False)
            while not self._stop.wait(0.1):
                waiting = channel.queue_declare("busy", passive=True).message_count
                for _ in range(max(0, max(BACKLOG, 5 * len(self.workers)) - waiting)):
                    self.sent += 1
                    arguments = [self.sent, random.uniform(*TASK_SECONDS)]
                    self._client.send_task("busy.work", arguments, queue="busy", connection=connection)

    def finish(self) -> tuple[int, int]:
        """Let what is left run, stop everything; return how many runs there were and how many never ended."""
        self._stop.set()
        self._feeder.join(5)
        with self._client.connection_for_write() as connection:
            connection.default_channel.queue_purge("busy")
        began, ended = self._settled()
        for pid in self.workers.values():
            stop_hard(pid)
        self._process.kill()
        self._process.wait()
        return len(began), len(began - ended)

    def _settled(self) -> tuple[set[str], set[str]]:
        """Wait until nothing begins or ends for much longer than a task takes."""
        seen, since = self.began_and_ended(), time.monotonic()
        while time.monotonic() - since < 3 * TASK_SECONDS[1]:
            time.sleep(0.5)
            now = self.began_and_ended()
            if now != seen:
                seen, since = now, time.monotonic()
        return seen


def stop_hard(pid: int) -> None:
    """Kill a worker with its pool."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def watch(broker: str) -> tuple[Fleet, User]:
    call_command("migrate", verbosity=0, interactive=False)
    user = User.objects.create_superuser("bench")
    return operations.watch_fleet(root_system(), broker, name="busy"), user


def expect(fleet: Fleet, nodes: Sequence[str]) -> None:
    """Tell the platform which workers there are, as its collector does, and wait until they answer."""
    Unit.objects.filter(fleet=fleet).delete()
    Unit.objects.bulk_create(
        Unit(system=fleet.system, fleet=fleet, kind="celery_worker", name=f"{fleet.name}/{node}", state="active")
        for node in nodes
    )

    def all_read() -> bool:
        time.sleep(1)  # each look makes every worker answer four questions
        try:
            with control_of(reference(fleet)) as control:
                found = workers_now(control)
        except FleetUnreachable:  # a broker that starts dozens of workers on a busy machine
            return False
        return all(node in found and found[node].queues for node in nodes)

    wait_until(all_read, seconds=300, what="all workers read their queue")


def done(fleet: Fleet, user: User, kind: str, target: str = "", **parameters: Any) -> Action:
    """Do something to a fleet, as the platform does; return the action when it has ended."""
    asked = steering.Request(fleet, kind, target, parameters, "benchmark")
    action = steering.propose(asked, by=user)
    carrying.carry_out(str(action.pk), now=timezone.now())
    action.refresh_from_db()
    while action.state in Action.OPEN:
        time.sleep(1.5)
        carrying.carry_on(now=timezone.now() + carrying.AGAIN)
        action.refresh_from_db()
    return action


def drained(fleet: Fleet, user: User, fork: Fork, count: int) -> int:
    """Take workers out by drain; return how many left."""
    action = done(fleet, user, "fleet.scale_in", workers=count)
    for node in action.after.get("workers", {}):
        fork.workers.pop(node, None)
    return action.done


def shut_down(fleet: Fleet, user: User, fork: Fork, count: int) -> int:
    """Take workers out by Celery's `shutdown`."""
    nodes = list(fork.workers)[:count]
    with control_of(reference(fleet)) as control:
        control.send("shutdown", {}, nodes)
    pids = [fork.workers.pop(node) for node in nodes]
    wait_until(lambda: not any(map(alive, pids)), seconds=60, what="the workers have left")
    return count


def stopped(fleet: Fleet, user: User, fork: Fork, count: int) -> int:
    """Take workers out as a supervisor does: SIGTERM, and SIGKILL when the grace is over."""
    pids = [fork.workers.pop(node) for node in list(fork.workers)[:count]]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    for pid in pids:
        stop_hard(pid)
    return count


def measure(
    broker: str, fleet: Fleet, user: User, way: Callable[..., int], total: int, at_once: int = AT_ONCE
) -> dict[str, Any]:
    """Take *total* workers out of a busy fleet one *way*; return what became of its tasks."""
    with tempfile.TemporaryDirectory() as folder:
        fork, done = Fork(broker, Path(folder)), 0
        started = time.monotonic()
        while done < total:
            fork.start(at_once + STAY - len(fork.workers))
            expect(fleet, list(fork.workers))
            left = way(fleet, user, fork, min(at_once, total - done))
            done += left
            print(f"{way.__name__}: {done} of {total} after {time.monotonic() - started:.0f} s", file=sys.stderr)
            if not left:
                raise RuntimeError("No worker left.")
        runs, interrupted = fork.finish()
    seconds = round(time.monotonic() - started)
    print(
        f"{way.__name__}: {interrupted} of {runs} tasks interrupted in {done} scale-ins, {seconds} s", file=sys.stderr
    )
    return {"scale_ins": done, "runs": runs, "interrupted": interrupted, "seconds": seconds}


def run() -> Sequence[Result]:
    if rabbitmq_program() is None:
        print("Not run: needs rabbitmq-server.", file=sys.stderr)
        return []
    total, at_once = (int(given) for given in (sys.argv[1:] + [SCALE_INS, AT_ONCE][len(sys.argv) - 1 :])[:2])
    with tempfile.TemporaryDirectory(prefix="drain-") as folder:
        rabbit = RabbitMQ(Path(folder) / "rabbitmq")
        try:
            rabbit.start()
            broker = f"amqp://guest:guest@127.0.0.1:{rabbit.port}//"
            fleet, user = watch(broker)
            ours = measure(broker, fleet, user, drained, total, at_once)
            killed = measure(broker, fleet, user, stopped, PEERS)
            warm = measure(broker, fleet, user, shut_down, PEERS)
        finally:
            rabbit.kill()
    details = {"drain": ours, "stopped_after_grace": killed, "celery_shutdown": warm}
    share = killed["interrupted"] / killed["scale_ins"]
    return [
        Result("drain_interrupted", "no task is interrupted by a scale-in", float(ours["interrupted"]), 0.5, "tasks",
               details=details),
        Result("stop_interrupts", "a stop with a grace interrupts tasks (or this proves nothing)", share, 0.05,
               "tasks a scale-in", "more", details=details),
    ]  # fmt: skip


if __name__ == "__main__":
    report(run)
