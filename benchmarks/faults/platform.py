"""The platform's processes on servers of their own, and Django in this process on the same: for benchmarks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks.faults import processes
from benchmarks.faults.processes import Supervisor
from benchmarks.faults.run import manage
from benchmarks.faults.servers import Servers, missing, servers
from benchmarks.result import Result


def where_servers_are(run: Callable[[], Sequence[Result]]) -> Callable[[], Sequence[Result]]:
    """Let a benchmark find nothing, and say why, on a machine without the servers' programs."""

    def run_or_say() -> Sequence[Result]:
        if not missing():
            return run()
        print(f"Not run: {missing()}.", file=sys.stderr)
        return []

    return run_or_say


@contextmanager
def running_platform(*, workers: int = 2) -> Iterator[tuple[Servers, Supervisor]]:
    """Run relay and workers until the block ends. Raises Unavailable where a server's program is missing."""
    with servers() as own:
        environment = own.environment()
        manage(environment, "migrate", "--run-syncdb", "--verbosity", "0")
        logs = own.folder / "logs"
        logs.mkdir()
        supervisor = Supervisor(environment, logs)
        try:
            supervisor.start(processes.platform(workers=workers, whole=False))
            os.environ.update(environment)
            import django

            django.setup()
            yield own, supervisor
        finally:
            supervisor.stop()
