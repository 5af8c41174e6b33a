"""The whole platform in one process: worker, beat, Flower and fleet receivers in threads, the web server in front.

The web server has the main thread, because signals arrive there. Celery keeps a worker's state in module globals, so
a process can hold only one worker: the algedonic queue has no worker of its own here. Instead the transport hands the
worker the most urgent message of all queues, and a thread of its pool is never more than one task away.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import IO, Protocol

import uvicorn
from celery import Celery
from celery.app import trace
from celery.beat import EmbeddedService
from celery.worker import WorkController
from celery.worker import state as worker_state

from subsystems.messaging.topology import CONSUMED
from vsm_site import transport

logger = logging.getLogger(__name__)
POOL_THREADS = 6  # enough that a collection, an assessment and a slow triggered task leave room for pain
M_ARENA_MAX = -8  # of glibc's malloc.h
STOP_SECONDS = 4.0  # a task that takes longer is left behind: what must not be lost is in the database


class CannotStart(Exception):
    """The platform cannot run here as configured; the message says why."""


class Part(Protocol):
    """Something that runs beside the web server."""

    def start(self) -> object: ...
    def stop(self) -> object: ...


class Worker:
    """Celery's worker in a thread, on every queue of the platform."""

    def __init__(self, app: Celery) -> None:
        name = f"embedded@{socket.gethostname()}"
        os.environ.setdefault(
            "CELERY_SKIP_CHECKS", "1"
        )  # they load every page, and were made when the database was migrated
        trace.setup_worker_optimizations(app, name)  # as `celery worker` does: a run then says which worker it was on
        self._worker = WorkController(
            app=app,
            pool="threads",
            concurrency=POOL_THREADS,
            hostname=name,
            queues=[queue.name for queue in CONSUMED],
            loglevel="INFO",
            without_mingle=True,
            without_gossip=True,
            ready_callback=self._on_ready,
        )
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._worker.start, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(10)

    def stop(self) -> None:
        """Let running tasks end, for a while; a thread that hangs must not keep the process."""
        worker_state.should_stop = os.EX_OK
        deadline = monotonic() + STOP_SECONDS
        while self._thread.is_alive() and monotonic() < deadline:
            transport.interrupt()  # it looks whether it should stop only between two waits of two seconds each
            self._thread.join(0.05)
        worker_state.should_stop = None
        if self._thread.is_alive():
            logger.warning("A task did not end within %.0f seconds and is left behind", STOP_SECONDS)

    def _on_ready(self, _consumer: object) -> None:
        self._ready.set()


class Beat:
    """Celery's beat in a thread."""

    def __init__(self, app: Celery) -> None:
        # Left alone it would take the scheduler that keeps a file, not the configured one.
        self._service = EmbeddedService(app, thread=True, scheduler_cls=app.conf.beat_scheduler)
        self._service.daemon = True

    def start(self) -> None:
        self._service.start()

    def stop(self) -> None:
        self._service.stop()


class Functions:
    """A part given as two functions."""

    def __init__(self, start: Callable[[], object], stop: Callable[[], object]) -> None:
        self.start = start
        self.stop = stop


class Server(uvicorn.Server):
    """uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()
        return_memory()


def claim_home(home: Path) -> IO[str]:
    """Hold *home* for this process until it ends. Raises CannotStart when another one holds it."""
    home.mkdir(parents=True, exist_ok=True)
    lock = (home / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise CannotStart(f"{home} is in use by another running platform (process {holder}).") from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def spare_memory() -> None:
    """Keep glibc from giving each of our many threads a heap of its own; elsewhere there is nothing to do."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 2)


def return_memory() -> None:
    """Give back what starting needed and running does not."""
    gc.collect()
    gc.freeze()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def listen(host: str, port: int, variable: str) -> socket.socket:
    """Return a socket bound to *host* and *port*. Raises CannotStart naming the *variable* to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise CannotStart(
            f"Cannot listen on {host}:{port} ({error.strerror}). Choose another port with {variable}."
        ) from None
    return bound


def refuse_taken_port(host: str, port: int, variable: str) -> None:
    """Raise CannotStart when nobody could listen on *port*; for a part that binds its own socket later."""
    listen(host, port, variable).close()


def run(parts: list[Part], application: str, bound: socket.socket, on_listening: Callable[[], None]) -> None:
    """Start *parts* in order, serve until a signal arrives, stop them in reverse order."""
    _take_signals()
    config = uvicorn.Config(
        application,
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="vsm_site.sockets:WebSockets",
        timeout_graceful_shutdown=1,
    )
    config.load()  # a mistake in the application shows before anything runs
    started: list[Part] = []
    try:
        for part in parts:
            part.start()
            started.append(part)
        Server(config, on_listening).run(sockets=[bound])
    finally:
        signal.signal(signal.SIGINT, _leave_at_once)
        for part in reversed(started):
            part.stop()


def leave() -> None:
    """End the process now: threads of a pool would be waited for, and one may hang in a task."""
    logging.shutdown()
    os._exit(os.EX_OK)


def _take_signals() -> None:
    """Do nothing at the signals that end uvicorn; it raises them again when it is done, and we have more to stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)


def _leave_at_once(*_: object) -> None:
    os._exit(130)
