"""Another team's Celery application, for the platform to watch; `watched_worker` starts a real worker of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from celery import Celery, Task
from celery.worker.control import control_command

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
# A test process imports this only for its functions: the application of a test must not become the current one, nor
# its tasks (`shared=False`) those of every application.
app = Celery("watched", broker=os.environ.get("WATCHED_BROKER", "memory://"), set_as_current=False, fixups=[])
app.conf.update(
    task_default_queue=os.environ.get("WATCHED_QUEUE", "watched"),
    worker_send_task_events=bool(os.environ.get("WATCHED_EVENTS", "1")),
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=int(os.environ.get("WATCHED_PREFETCH", "4")),
    task_queue_max_priority=int(os.environ.get("WATCHED_PRIORITIES", "0")) or None,
)


@app.task(shared=False, name="watched.succeed")
def succeed(**_: object) -> None:
    """End well."""


@app.task(shared=False, name="watched.fail", throws=(ValueError,))
def fail() -> None:
    """End badly."""
    raise ValueError("as asked")


@app.task(shared=False, name="watched.sleep")
def sleep(seconds: float) -> None:
    """Take its time."""
    time.sleep(seconds)


@app.task(shared=False, name="watched.retry_once", bind=True, max_retries=1)
def retry_once(self: Task) -> None:
    """End well at the second try."""
    if not self.request.retries:
        raise self.retry(exc=TimeoutError("at first"), countdown=0.1)


@app.task(shared=False, name="watched.write")
def write(path: str, text: str, seconds: float = 0.0) -> None:
    """Write that it began, work for a while, and write that it ended: what was interrupted has no end."""
    for word in ("began", "ended"):
        with Path(path).open("a") as file:
            file.write(f"{word} {text} {time.time():.3f}\n")
        time.sleep(seconds if word == "began" else 0.0)


@app.task(shared=False, name="watched.die", acks_late=True, reject_on_worker_lost=True)
def die() -> None:
    """Kill the process that runs it, as one that takes all memory does."""
    os.kill(os.getpid(), signal.SIGKILL)


@control_command()
def go_deaf(state: Any) -> dict[str, str]:
    """Let the broker forget this worker's consumers behind its back, as broken connections have done."""
    consumer = state.consumer.task_consumer
    for tag in list(consumer._active_tags.values()):
        consumer.channel.basic_cancel(tag)
    return {"ok": "deaf"}


@contextmanager
def watched_worker(
    url: str,
    queue: str,
    *,
    name: str = "",
    pool: str = "threads",
    size: int = 2,
    options: Sequence[str] = (),
    events: bool = True,
    prefetch: int = 4,
    priorities: int = 0,
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a worker on *queue* of the broker at *url*; yield its process and its node name. It is killed at the end."""
    node = f"{name or queue}@watched"
    quiet = [] if "--mingle" in options else ["--without-mingle"]
    command = [sys.executable, "-m", "celery", "-A", "tests.support.watched_app", "worker", "-n", node, "-c", str(size),
               "-P", pool, "-Q", queue, "-l", "ERROR", "--without-gossip", *quiet,
               *(option for option in options if option != "--mingle")]  # fmt: skip
    environment = {**os.environ, "WATCHED_BROKER": url, "WATCHED_QUEUE": queue, "WATCHED_EVENTS": "1" if events else "",
                   "WATCHED_PREFETCH": str(prefetch), "WATCHED_PRIORITIES": str(priorities)}  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield process, node
    finally:
        process.kill()
        process.wait(10)


def producer(url: str, queue: str, *, tells: bool = False, priorities: int = 0) -> Celery:
    """Return an application that can send tasks to a watched worker; one that *tells* sends an event for each."""
    client = Celery("client", broker=url, set_as_current=False, fixups=[])
    client.conf.update(task_default_queue=queue, task_send_sent_event=tells, task_queue_max_priority=priorities or None)
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
