"""Static files in front of Django, in pieces.

WhiteNoise finds the file and decides on the headers. Its own Django middleware hands an ASGI server a synchronous
iterator, which Django then reads into memory as a whole and warns about; here a file leaves in chunks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, BinaryIO

from django.conf import settings
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import Response, StaticFile

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[..., Awaitable[None]]
CHUNK_BYTES = 64 * 1024
CONDITIONS = {  # the request headers that WhiteNoise reads, under the names it reads them by
    b"if-none-match": "HTTP_IF_NONE_MATCH",
    b"if-modified-since": "HTTP_IF_MODIFIED_SINCE",
    b"accept-encoding": "HTTP_ACCEPT_ENCODING",
    b"range": "HTTP_RANGE",
}


class StaticFiles:
    """ASGI middleware: answers for the static files it knows, leaves the rest to *app*."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._files = WhiteNoiseMiddleware(settings=settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find(scope["path"]) if scope["path"].startswith(settings.STATIC_URL) else None
        if found is None:
            await self._app(scope, receive, send)
        else:
            await _answer(found.get_response(scope["method"], _conditions(scope)), send)

    def _find(self, path: str) -> StaticFile | None:
        if self._files.autorefresh:
            return self._files.find_file(path)
        return self._files.files.get(path)


def _conditions(scope: Scope) -> dict[str, str]:
    return {CONDITIONS[name]: value.decode("latin1") for name, value in scope["headers"] if name in CONDITIONS}


async def _answer(response: Response, send: Send) -> None:
    headers = [(name.lower().encode(), str(value).encode("latin1")) for name, value in response.headers]
    headers.append((b"x-content-type-options", b"nosniff"))
    await send({"type": "http.response.start", "status": HTTPStatus(response.status).value, "headers": headers})
    if response.file is not None:
        await _send_pieces(response.file, send)
    await send({"type": "http.response.body", "body": b""})


async def _send_pieces(file: BinaryIO, send: Send) -> None:
    try:
        while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        file.close()
