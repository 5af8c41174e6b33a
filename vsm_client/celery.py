"""Tells a VSM platform what tasks were published with, so that it can send one again as it was. Opt-in.

    from vsm_client.celery import TaskCapture

    TaskCapture("http://localhost:8000", token="vsm_…", fleet="shop")

Put it where the application publishes, once per process. Celery and the standard library are all it needs. It never
raises into the application, and no publish waits for it: messages lie in a bounded buffer and leave in the background.
"""

from __future__ import annotations

import fnmatch
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from celery import signals
from kombu.utils.json import dumps

from vsm_client.client import Client

logger = logging.getLogger(__name__)
AT_ONCE = 500  # messages of one request
TRACE = "traceparent"  # of W3C; whoever traces may put it in after us
HEADERS = (
    "lang",
    "task",
    "shadow",
    "timelimit",
    "argsrepr",
    "kwargsrepr",
    "ignore_result",
    "stamped_headers",
    "stamps",
    "group",
)
PROPERTIES = ("priority", "reply_to")


class TaskCapture(Client):
    """Captures what is published in this process, of tasks whose names fit one of *only* and none of *without*.

    *token* needs the scope `ingest`; *fleet* is the fleet's name on the platform. `captured` tells how many messages
    were seen, `skipped` how many could not be kept (no JSON, or more than *max_bytes*), `dropped` how many found no
    room.
    """

    def __init__(
        self, url: str, *, token: str, fleet: str, system: str | None = None, only: Sequence[str] = ("*",),
        without: Sequence[str] = (), flush_seconds: float = 2.0, max_tasks: int = 10_000, max_bytes: int = 200_000,
        timeout_seconds: float = 10.0,
    ) -> None:  # fmt: skip
        super().__init__(
            url, token=token, source="", system=system, flush_seconds=flush_seconds, timeout_seconds=timeout_seconds
        )
        self.captured = self.skipped = 0
        self._address = url.rstrip("/") + "/api/v1/captures/"
        self._fleet, self._only, self._without = fleet, tuple(only), tuple(without)
        self._max_tasks, self._max_bytes = max_tasks, max_bytes
        self._waiting: deque[tuple[dict[str, Any], dict[str, Any]]] = deque()  # what is told, and the message's headers
        self._room = threading.Lock()
        self._lost = 0
        signals.before_task_publish.connect(self._hear, weak=False)

    @property
    def dropped(self) -> int:
        """How many messages had to go unsent."""
        return self._lost

    def flush(self) -> bool:
        """Send what waits, now; return whether all of it was taken off our hands."""
        with self._sending:
            while batch := self._take():
                why, answer = self._post("", {"fleet": self._fleet, "tasks": [_traced(*each) for each in batch]})
                if why is not None:
                    self._put_back(batch)
                    return self._failed(why)
                if answer is None:
                    self._lost += len(batch)
            return True

    def close(self) -> None:
        """Capture no more, send what waits, once, and stop."""
        signals.before_task_publish.disconnect(self._hear)
        super().close()

    def _hear(self, sender: Any = None, **told: Any) -> None:
        """Note one message. Whatever goes wrong here must not keep the application from publishing."""
        try:
            self._note(str(sender), told)
        except Exception:  # (the application's publish goes on whatever its arguments are)
            self.skipped += 1
            logger.debug("A message of %s could not be captured", sender, exc_info=True)

    def _note(self, name: str, told: dict[str, Any]) -> None:
        body, headers = told["body"], told["headers"]
        if not self._wanted(name) or not isinstance(body, tuple):
            return
        text = dumps(body)
        if len(text) > self._max_bytes:
            self.skipped += 1
            return
        properties = told.get("properties") or {}
        row = {
            "id": headers["id"], "name": name, "queue": _queue(told), "body": text, "at": time.time(),
            "headers": json.loads(dumps({key: headers[key] for key in HEADERS if key in headers})),
            "properties": {key: properties[key] for key in PROPERTIES if properties.get(key) is not None},
        }  # fmt: skip
        self.captured += 1
        with self._room:
            self._waiting.append((row, headers))
            if len(self._waiting) > self._max_tasks:
                self._waiting.popleft()
                self._lost += 1
        self._ensure_running()

    def _wanted(self, name: str) -> bool:
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in self._without):
            return False
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._only)

    def _take(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        with self._room:
            return [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]

    def _put_back(self, batch: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        with self._room:
            self._waiting.extendleft(reversed(batch))
            while len(self._waiting) > self._max_tasks:
                self._waiting.popleft()
                self._lost += 1


def _traced(row: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a message, with the trace that it was published in, if it is part of one."""
    trace = headers.get(TRACE)
    return {**row, "headers": {**row["headers"], TRACE: trace}} if isinstance(trace, str) else row


def _queue(told: dict[str, Any]) -> str:
    """Return the queue that a message goes to: the one declared for it, else what it is routed by."""
    declared = next((each.name for each in told.get("declare") or () if getattr(each, "name", "")), "")
    return str(declared or told.get("routing_key") or told.get("exchange"))
