"""Flower inside the embedded process: its own event loop in its own thread, behind a login."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery


@contextmanager
def _as_if_missing(module: str) -> Iterator[None]:
    """Let an import inside the block not find *module*, unless it is loaded anyway."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


# Flower's broker page imports redis-py, which takes 17 MB and has nothing to show of an in-process broker.
with _as_if_missing("redis.asyncio"):
    from flower.app import Flower
    from flower.options import default_options
    from flower.urls import settings as flower_settings

TASKS_KEPT = 5_000  # in memory; the platform's own history is in its database


class FlowerServer:
    """Flower in a thread. `start` returns once it listens; raises OSError when its port is taken."""

    def __init__(self, app: Celery, *, host: str, port: int, user: str, password: str) -> None:
        self._app = app
        default_options.address = host
        default_options.port = port
        default_options.basic_auth = [f"{user}:{password}"]
        default_options.max_tasks = TASKS_KEPT
        logging.getLogger("tornado.access").setLevel(logging.ERROR)
        self._flower: Any = None
        self._listening = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="flower", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._listening.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        if self._flower is not None:
            self._flower.io_loop.add_callback(self._flower.stop)
            self._thread.join(2)

    def _run(self) -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        flower_settings["cookie_secret"] = secrets.token_urlsafe(32)
        try:
            flower = Flower(capp=self._app, options=default_options, **flower_settings)
            flower.start_http_server()
        except OSError as error:
            self._failure = error
            return
        finally:
            self._listening.set()
        self._flower = flower
        flower.start()
