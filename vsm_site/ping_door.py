"""`/ping/<address>`: where jobs say that they ran. A door for strangers: it says OK or not, and nothing else.

Answered past the framework, so that no more than 10 KB of whatever is sent are ever held, and as a plain view for
whoever reaches Django's own addresses.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import uuid
from dataclasses import dataclass
from time import perf_counter

from django.db import DatabaseError, close_old_connections
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from alerts.checks import services
from alerts.checks.services import MAX_BODY, Said
from alerts.checks.timing import Heard
from subsystems.kernel.errors import VsmError
from subsystems.messaging.gcra import Limit
from subsystems.messaging.limit_policy import counter_name
from subsystems.messaging.limiter import Bucket
from subsystems.messaging.limits import limiter
from vsm_site.recording import note_request, operation_of
from vsm_site.static_files import App, Receive, Scope, Send

logger = logging.getLogger(__name__)
PREFIX, ROUTE = "/ping/", "ping/<address>"
ADDRESS = re.compile(
    r"/ping/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/(start|fail|log|[0-9]{1,3}))?/?", re.IGNORECASE | re.ASCII
)
METHODS = ("GET", "HEAD", "POST")
PER_CHECK, PER_SENDER = Limit(1, 1, 30), Limit(20, 1, 200)  # a second, and at once
MAX_UNDER_WAY = 64
MAX_DISCARDED = 1_000_000  # bytes beyond what is kept that are read, so that a sender sees the answer
BODY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str
    retry_after: int = 0


OK, UNKNOWN, NOT_ALLOWED = Answer(200, "OK"), Answer(404, "not found"), Answer(405, "method not allowed")
TOO_MANY, AWAY, TOO_SLOW = Answer(429, "too many", 5), Answer(503, "try again", 5), Answer(408, "too slow")


def answer(method: str, path: str, *, body: bytes = b"", remote: str = "", agent: str = "") -> Answer:
    """Take one ping. Never fails: what goes wrong here is logged, and the sender is told to come again."""
    found = ADDRESS.fullmatch(path)
    if method not in METHODS:
        return NOT_ALLOWED
    if _full(f"sender:{remote}", PER_SENDER):
        return TOO_MANY
    if found is None or (said := _said(found[2] or "", method, body, remote, agent)) is None:
        return UNKNOWN
    address = uuid.UUID(found[1])
    if _full(f"check:{address}", PER_CHECK):
        return TOO_MANY
    try:
        return OK if services.take(address, said, now=timezone.now()) else UNKNOWN
    except (DatabaseError, VsmError) as error:
        logger.warning("A ping could not be kept: %s", error)
        return AWAY


def _said(word: str, method: str, body: bytes, remote: str, agent: str) -> Said | None:
    """Return what *word*, the end of the address, says; None for what means nothing."""
    code = int(word) if word.isdecimal() else None
    if code is not None and code > 255:
        return None
    heard = (Heard.FAIL if code else Heard.SUCCESS) if code is not None else Heard(word.lower() or "success")
    return Said(heard, code, body, method, remote, agent.encode("ascii", "replace").decode())


def _full(key: str, limit: Limit) -> bool:
    return limiter().take((Bucket("ping", f"ping:{key}", limit, counter_name("ping", "")),)) is not None


@csrf_exempt
def ping_view(request: HttpRequest, rest: str = "") -> HttpResponse:
    """The same, through Django."""
    given = answer(
        request.method or "", request.path, body=request.read(MAX_BODY), remote=request.META.get("REMOTE_ADDR", ""),
        agent=request.headers.get("User-Agent", ""),
    )  # fmt: skip
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": str(given.retry_after)} if given.retry_after else {})
    return HttpResponse(given.text, status=given.status, content_type="text/plain; charset=utf-8", headers=headers)


class PingDoor:
    """ASGI middleware: answers pings, leaves the rest to *app*."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._room = threading.BoundedSemaphore(MAX_UNDER_WAY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        if not self._room.acquire(blocking=False):
            await _send(scope, TOO_MANY, send)
            return
        try:
            given = await _answer(scope, receive)
        finally:
            self._room.release()
        await _send(scope, given, send)
        note_request(operation_of(scope["method"], ROUTE), given.status, perf_counter() - started)


async def _answer(scope: Scope, receive: Receive) -> Answer:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _read(receive)
    except TimeoutError:
        return TOO_SLOW
    agent = next((value for name, value in scope["headers"] if name.lower() == b"user-agent"), b"").decode("latin-1")
    remote = (scope.get("client") or ("",))[0]
    return await asyncio.to_thread(_answered, scope["method"], scope["path"], body, remote, agent)


def _answered(method: str, path: str, body: bytes, remote: str, agent: str) -> Answer:
    close_old_connections()
    try:
        return answer(method, path, body=body, remote=remote, agent=agent)
    finally:
        close_old_connections()


async def _read(receive: Receive) -> bytes:
    """Return the beginning of the body; the rest is read away, but not forever."""
    body, left, more = bytearray(), MAX_DISCARDED, True
    while more and left > 0:
        message = await receive()
        chunk = message.get("body", b"")
        body += chunk[: MAX_BODY - len(body)]
        left -= len(chunk)
        more = message.get("more_body", False) and message["type"] != "http.disconnect"
    return bytes(body)


async def _send(scope: Scope, given: Answer, send: Send) -> None:
    text = given.text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode()),
        (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"),
    ]  # fmt: skip
    if given.retry_after:
        headers.append((b"retry-after", str(given.retry_after).encode()))
    await send({"type": "http.response.start", "status": given.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else text})
