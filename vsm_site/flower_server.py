"""Flower inside the embedded process: its own event loop in its own thread, behind a login."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from pathlib import Path
from typing import Any

from celery import Celery
from flower.app import Flower
from flower.options import default_options
from flower.urls import settings as flower_settings

TASKS_KEPT = 5_000  # in memory; the platform's own history is in its database


def flower_password(home: Path, configured: str) -> tuple[str, bool]:
    """Return Flower's password and whether it was made just now.

    Without a configured one it is kept in a file that only its owner can read: Flower compares plain text, and the
    hashed password of the admin user cannot serve it.
    """
    if configured:
        return configured, False
    path = home / "flower_password"
    if path.exists():
        return path.read_text().strip(), False
    path.touch(mode=0o600)
    path.write_text(secrets.token_urlsafe(12))
    return path.read_text(), True


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
