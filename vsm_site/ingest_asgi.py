"""Samples past the framework: whole requests are read here, bounded, and answered by a few threads.

What is held in memory at any time is bounded: whoever comes while too much is under way is told to come back (429),
before the body is read.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter

from django.conf import settings
from django.db import close_old_connections

from subsystems.telemetry.store import hot_tier
from vsm_site.api import ingest
from vsm_site.api.ingest import Door, Question, Reply, refuse
from vsm_site.recording import note_request, operation_of
from vsm_site.static_files import App, Receive, Scope, Send

logger = logging.getLogger(__name__)
THREADS = 4  # the interpreter runs one at a time: more would only help while they wait for the database
MAX_UNDER_WAY = 128  # requests that are read or wait for a thread
BODY_SECONDS = 30.0  # a body that takes longer is given up
RETRY_SECONDS = 1
REFUSED_BUSY = "refused_busy"
BUSY = "Too many samples are under way; try again in a moment."


class Gone(Exception):
    """The sender hung up."""


@dataclass
class Load:
    """What is under way: requests, and bytes of their bodies."""

    max_requests: int = MAX_UNDER_WAY
    max_bytes: int = 8 * settings.INGEST_MAX_BYTES
    requests: int = 0
    bytes: int = 0
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def has_room(self, size: int) -> bool:
        return self.requests < self.max_requests and self.bytes + size <= self.max_bytes

    def take_refused(self) -> int:
        """Return how many were refused since this was asked last."""
        with self.lock:
            refused, self.refused = self.refused, 0
        return refused


class IngestDoors:
    """ASGI middleware: answers at the addresses of *doors*, leaves the rest to *app*."""

    def __init__(self, app: App, doors: Mapping[str, Door], load: Load | None = None) -> None:
        self._app = app
        self._doors = doors
        self._load = load or Load()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ingest")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self._doors.get(scope["path"])
        if door is None:
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        started = perf_counter()
        try:
            reply = await self._answer(door, Question(scope["method"], headers), receive)
        except Gone:
            return
        await _send(reply, send)
        note_request(operation_of(scope["method"], scope["path"][1:]), reply.status, perf_counter() - started)

    async def _answer(self, door: Door, question: Question, receive: Receive) -> Reply:
        """Judge a request by its head, read its body, and let a thread do the rest."""
        refusal = self._refusal(door, question)
        if refusal is not None:
            return refusal
        body = bytearray()
        self._load.requests += 1
        try:
            async with asyncio.timeout(BODY_SECONDS):
                refusal = await self._read(door, question, receive, body)
            if refusal is not None:
                return refusal
            question = Question(question.method, question.headers, bytes(body))
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._respond, door, question)
        except TimeoutError:
            return refuse(door, question, 408, "timeout", f"The body did not come within {BODY_SECONDS:g} s.")
        finally:
            self._load.requests -= 1
            self._load.bytes -= len(body)

    def _refusal(self, door: Door, question: Question) -> Reply | None:
        """Return the answer to a request whose body need not be read."""
        if question.method != "POST" or "authorization" not in question.headers:
            return ingest.respond(door, question)  # neither needs the database
        length = question.headers.get("content-length", "0")
        size = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
        if size > settings.INGEST_MAX_BYTES:
            return self._too_large(door, question)
        return None if self._load.has_room(size) else self._busy(door, question)

    async def _read(self, door: Door, question: Question, receive: Receive, body: bytearray) -> Reply | None:
        """Read the body into *body*; return a refusal when it is too large, or others fill the room meanwhile."""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            chunk = message.get("body", b"")
            if len(body) + len(chunk) > settings.INGEST_MAX_BYTES:
                return self._too_large(door, question)
            if self._load.bytes + len(chunk) > self._load.max_bytes:
                return self._busy(door, question)
            body += chunk
            self._load.bytes += len(chunk)
            more = message.get("more_body", False)
        return None

    def _too_large(self, door: Door, question: Question) -> Reply:
        detail = f"The body may have {settings.INGEST_MAX_BYTES} bytes at most."
        return refuse(door, question, 413, "too_large", detail)

    def _busy(self, door: Door, question: Question) -> Reply:
        with self._load.lock:
            self._load.refused += 1
        return refuse(door, question, 429, "busy", BUSY, {"Retry-After": str(RETRY_SECONDS)})

    def _respond(self, door: Door, question: Question) -> Reply:
        """Answer in a thread, which keeps its connection to the database."""
        close_old_connections()
        try:
            self._count_refused()
            return ingest.respond(door, question)
        except Exception:  # the door: a mistake of ours is logged once and costs this request alone
            logger.exception("A batch of samples could not be answered.")
            return refuse(door, question, 500, "internal", "The platform made a mistake; it has been logged.")
        finally:
            close_old_connections()

    def _count_refused(self) -> None:
        refused = self._load.take_refused()
        if refused:
            hot_tier().count(REFUSED_BUSY, refused)


async def _send(reply: Reply, send: Send) -> None:
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        *((name.lower().encode(), value.encode()) for name, value in reply.headers.items()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
