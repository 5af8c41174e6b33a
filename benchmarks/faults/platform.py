"""The platform's processes on servers of their own, and Django in this process on the same: for benchmarks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.faults import processes
from benchmarks.faults.processes import Supervisor
from benchmarks.faults.run import manage
from benchmarks.faults.servers import Servers, servers


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
