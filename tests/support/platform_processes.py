"""The platform on real servers, in processes of its own, on the database of the test that starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from subsystems.messaging.topology import CONSUMED

ROOT = Path(__file__).resolve().parents[2]
CELERY = ("-m", "celery", "-q", "-A", "vsm_site")


def database_url() -> str:
    """Return where this test's database is, for a process that the test starts."""
    chosen = connection.settings_dict
    return f"postgres://{chosen['USER']}:{chosen['PASSWORD']}@{chosen['HOST']}:{chosen['PORT']}/{chosen['NAME']}"


@contextmanager
def platform_processes(name: str) -> Iterator[None]:
    """Run the platform's workers, its clock and its relay, as `make up PROFILE=services` does; killed at the end."""
    queues = ",".join(queue.name for queue in CONSUMED)
    work = [*CELERY, "worker", "-l", "ERROR", "-P", "threads", "-c", "4", "-n", f"{name}@platform", "-Q", queues]
    clock = [*CELERY, "beat", "-l", "ERROR", "--pidfile="]
    with _process(work), _process(clock), relay_process():
        yield


@contextmanager
def relay_process() -> Iterator[None]:
    """Run the relay alone: it sends what waits, and reads what programs outside wrote to the broker."""
    with _process(["manage.py", "relay"]):
        yield


@contextmanager
def _process(arguments: Sequence[str]) -> Iterator[None]:
    environment = {**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "vsm_site.settings"}
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment)
    try:
        yield
        assert process.poll() is None, f"{' '.join(arguments)} ended by itself"
    finally:
        process.kill()
        process.wait(10)
