"""One rate limit for a whole fleet of 1 to 20 workers: how far what they run together is from what was asked.

The workers keep their shares by `vsm_client.limits`; beside them the same fleet without it, and with the limit set on
each worker as Celery has it. Every worker has a backlog all the time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import drain
from benchmarks.faults.servers import RabbitMQ, rabbitmq_program
from benchmarks.result import Result, report
from subsystems.s1_operations.adapters.celery_control import control_of
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.previews import reference

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SIZES = (1, 5, 20)
PER_SECOND = 40.0
SETTLE_SECONDS, MEASURED_SECONDS = 6.0, 20.0


def began(fork: drain.Fork) -> int:
    return len(fork.began_and_ended()[0])


def measured_rate(fork: drain.Fork) -> float:
    """Return how many tasks a second begin, after what was let in before has run."""
    time.sleep(SETTLE_SECONDS)
    first, started = began(fork), time.monotonic()
    time.sleep(MEASURED_SECONDS)
    return (began(fork) - first) / (time.monotonic() - started)


def run() -> Sequence[Result]:
    if rabbitmq_program() is None:
        print("Not run: needs rabbitmq-server.", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory(prefix="rate-") as folder:
        rabbit = RabbitMQ(Path(folder) / "rabbitmq")
        try:
            rabbit.start()
            broker = f"amqp://guest:guest@127.0.0.1:{rabbit.port}//"
            fleet, user = drain.watch(broker)
            drain.TASK_SECONDS, drain.BACKLOG = (0.0, 0.0), 400
            with_client = rates(fleet, user, broker, Path(folder), SIZES, "steady")
            without = rates(fleet, user, broker, Path(folder), SIZES[-1:])
        finally:
            rabbit.kill()
    furthest = max(abs(rate / PER_SECOND - 1) for rate in with_client["divided"].values())
    details = {"asked": PER_SECOND, "with_client": with_client, "without": without}
    return [
        Result("fleet_rate", "a fleet of 1 to 20 workers keeps a limit within 5 %", furthest, 0.05, "of the limit",
               details=details),
    ]  # fmt: skip


def rates(fleet: Fleet, user: User, broker: str, folder: Path, sizes: Sequence[int], *options: str) -> dict[str, Any]:
    """Return by number of workers what a fleet ran with a divided limit, and the largest with one on each worker."""
    fork, found = drain.Fork(broker, folder, *options), {}
    for size in sizes:
        fork.start(size - len(fork.workers))
        drain.expect(fleet, list(fork.workers))
        drain.done(fleet, user, "task.fleet_rate_limit", "busy.work", rate=f"{PER_SECOND:g}/s")
        found[str(size)] = round(measured_rate(fork), 2)
        print(f"{size} workers{' '.join(('', *options))}: {found[str(size)]} a second", file=sys.stderr)
    with control_of(reference(fleet)) as control:
        told = {"task_name": "busy.work", "rate_limit": f"{PER_SECOND:g}/s"}
        control.tell("rate_limit", told, list(fork.workers), within=5.0)
    on_each = round(measured_rate(fork), 2)
    fork.finish()
    return {"divided": found, "on_each_worker": on_each}


if __name__ == "__main__":
    report(run)
