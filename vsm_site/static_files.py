"""Static files in front of Django, in pieces.

WhiteNoise finds the file and decides on the headers. Its own Django middleware hands an ASGI server a synchronous
iterator, which Django then reads into memory as a whole and warns about; here a file leaves in chunks. Text leaves
packed; there is no building step that could have put packed files beside the plain ones, so each is packed when first
asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import Response, StaticFile

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[..., Awaitable[None]]
CHUNK_BYTES = 64 * 1024
PACKED_FILES = 512
TEXT = ("text/", "application/json", "application/javascript", "image/svg+xml")
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
            conditions = _conditions(scope)
            response = found.get_response(scope["method"], conditions)
            await _answer(await asyncio.to_thread(_packed, response, conditions), send)

    def _find(self, path: str) -> StaticFile | None:
        if self._files.autorefresh:
            return self._files.find_file(path)
        return self._files.files.get(path)


def _conditions(scope: Scope) -> dict[str, str]:
    return {CONDITIONS[name]: value.decode("latin1") for name, value in scope["headers"] if name in CONDITIONS}


def _packed(response: Response, conditions: MutableMapping[str, str]) -> Response:
    """Return *response* with its text packed as the browser can read it; unchanged where that is not to be."""
    headers = dict(response.headers)
    if (
        response.status != HTTPStatus.OK
        or not headers["Content-Type"].startswith(TEXT)
        or "Content-Encoding" in headers
    ):
        return response
    headers["Vary"] = "Accept-Encoding"
    accepted = {word.split(";")[0].strip() for word in conditions.get("HTTP_ACCEPT_ENCODING", "").split(",")}
    encoding = next((name for name in ("br", "gzip") if name in accepted), "")
    if encoding and response.file is not None:
        with response.file:
            body = _pack(response.file.name, headers.get("ETag", ""), encoding)
        headers |= {"Content-Encoding": encoding, "Content-Length": str(len(body))}
        return Response(response.status, list(headers.items()), BytesIO(body))
    return Response(response.status, list(headers.items()), response.file)


@lru_cache(maxsize=PACKED_FILES)
def _pack(path: str, version: str, encoding: str) -> bytes:
    """Return the file at *path* packed; *version* keeps a changed file from being taken for the old one."""
    import cramjam

    plain = Path(path).read_bytes()
    return bytes(cramjam.brotli.compress(plain, 9) if encoding == "br" else cramjam.gzip.compress(plain, 9))


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
