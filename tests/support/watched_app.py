"""Another team's Celery application, for the platform to watch; `watched_worker` starts a real worker of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from celery import Celery

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
# A test process imports this only for its functions: the application of a test must not become the current one.
app = Celery("watched", broker=os.environ.get("WATCHED_BROKER", "memory://"), set_as_current=False, fixups=[])
app.conf.update(
    task_default_queue=os.environ.get("WATCHED_QUEUE", "watched"),
    worker_send_task_events=True,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@app.task(name="watched.succeed")
def succeed() -> None:
    """End well."""


@app.task(name="watched.fail", throws=(ValueError,))
def fail() -> None:
    """End badly."""
    raise ValueError("as asked")


@contextmanager
def watched_worker(url: str, queue: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a worker on *queue* of the broker at *url*; yield its process and its node name. It is killed at the end."""
    node = f"{queue}@watched"
    command = [sys.executable, "-m", "celery", "-A", "tests.support.watched_app", "worker", "-n", node, "-c", "2", "-P",
               "threads", "-Q", queue, "-E", "-l", "ERROR", "--without-gossip", "--without-mingle"]  # fmt: skip
    environment = {**os.environ, "WATCHED_BROKER": url, "WATCHED_QUEUE": queue}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield process, node
    finally:
        process.kill()
        process.wait(10)


def producer(url: str, queue: str) -> Celery:
    """Return an application that can send tasks to a watched worker."""
    client = Celery("client", broker=url, set_as_current=False, fixups=[])
    client.conf.task_default_queue = queue
    return client


def eventually(look: Callable[[], T], *, within: float) -> tuple[T, float]:
    """Call *look* until it returns something true; return that and how long it took. Fails after *within* seconds."""
    started = time.monotonic()
    while True:
        found = look()
        taken = time.monotonic() - started
        if found:
            return found, taken
        assert taken < within, f"not within {within} s; the last look returned {found!r}"
