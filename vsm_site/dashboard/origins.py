"""Whose page opened a socket. Browsers send this site's cookies with a socket that any page opens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class SameOrigin:
    """Refuses a socket unless the page comes from the very host and port that it is opened on, or from a trusted one.

    The list of allowed hosts alone would let in every port of this host, and everybody where it says `*`.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope.get("headers", ())}
        allowed = is_ours(headers.get(b"origin", ""), headers.get(b"host", ""))
        await (self._application if allowed else WebsocketDenier())(scope, receive, send)


def is_ours(origin: str, host: str) -> bool:
    """Return whether a page of *origin* may open a socket on *host* (`name:port`, as the browser says it)."""
    try:
        place = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    return bool(place) and (place == host.lower() or origin in settings.CSRF_TRUSTED_ORIGINS)
