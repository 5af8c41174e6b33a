"""What an open dashboard hears: one snapshot, then numbered changes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.utils import await_many_dispatch
from django.db import DatabaseError

from subsystems.messaging.live import layer_errors
from subsystems.recursion.models import System
from vsm_site.dashboard import places
from vsm_site.dashboard.live_hub import hub
from vsm_site.dashboard.live_room import Viewer
from vsm_site.dashboard.live_view import View, parse_view
from vsm_site.dashboard.sessions import LOGIN_NEEDED, NOT_YOURS, Visitor

logger = logging.getLogger(__name__)
TOO_SLOW = 4408  # nothing was taken for LAG_SECONDS: come back when you can read
UNAVAILABLE = 1013  # "try again later" of the protocol
LAG_SECONDS = 20.0
ANSWER_EVERY_SECONDS = 1.0  # a browser that asks more often gets one answer for all its questions
LONGEST_MESSAGE = 16_000  # of what a browser says


class DashboardConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One browser. It hears no channel of its own: what there is to tell is taken from the room of its system."""

    viewer: Viewer | None = None
    _wanted: View | None = None  # to look at next; None for the same again
    _relaying: asyncio.Task[None] | None = None
    _ending: asyncio.Task[None] | None = None
    _answering: asyncio.TimerHandle | None = None

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Run without a receiver of the channel layer, which each consumer would get otherwise."""
        self.scope, self.base_send, self.channel_layer = scope, send, None
        try:
            with contextlib.suppress(StopConsumer):
                await await_many_dispatch([receive], self.dispatch)
        finally:
            self._leave()

    async def connect(self) -> None:
        """Accept first, so that a browser can read why it was closed."""
        await self.accept()
        user = self.scope.get("user")
        if user is None or not user.is_authenticated:
            await self.close(code=LOGIN_NEEDED)
            return
        wanted = dict(parse_qsl(self.scope.get("query_string", b"").decode("latin-1")))
        system: System | None = await database_sync_to_async(places.readable_system)(user, wanted.get("system", ""))
        if system is None:
            await self.close(code=NOT_YOURS)
            return
        session = self.scope.get("session")
        visitor = Visitor(user.pk, user.password, (session and session.session_key) or "", self._end_soon)
        self._next_answer_at = asyncio.get_running_loop().time() + ANSWER_EVERY_SECONDS
        self.viewer = await hub().enter(system, visitor, parse_view(wanted), _number(wanted.get("since", "")))
        self._relaying = asyncio.create_task(self._relay(self.viewer))

    async def disconnect(self, code: int) -> None:
        self._leave()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Show something else (`view`) or everything again (`snapshot`), at most once a second; ignore the rest."""
        said = _object(text_data)
        if self.viewer is None or said.get("type") not in ("snapshot", "view"):
            return
        if said["type"] == "view":
            self._wanted = parse_view(said)
        if self._answering is None:
            loop = asyncio.get_running_loop()
            self._answering = loop.call_later(max(0.0, self._next_answer_at - loop.time()), self._answer)

    def _answer(self) -> None:
        self._answering = None
        self._next_answer_at = asyncio.get_running_loop().time() + ANSWER_EVERY_SECONDS
        if self.viewer is not None:
            wanted, self._wanted = self._wanted, None
            self.viewer.look(wanted or self.viewer.audience.view)

    async def _relay(self, viewer: Viewer) -> None:
        """Send what there is, one message after the other; a browser that takes none for too long is closed."""
        try:
            while True:
                text = await viewer.next()
                async with asyncio.timeout(LAG_SECONDS):
                    await self.send(text_data=text)
        except TimeoutError:
            self._end_soon(TOO_SLOW)
        except OSError:
            self._end_soon(UNAVAILABLE)  # it has gone
        except DatabaseError as error:
            self._give_up(error)
        except layer_errors() as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        logger.warning("An open dashboard got no snapshot: %s", error)
        self._end_soon(UNAVAILABLE)

    def _end_soon(self, code: int) -> None:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(code))

    async def _end(self, code: int) -> None:
        self._leave()
        with contextlib.suppress(OSError):
            await self.close(code=code)

    def _leave(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
        if self._relaying is not None and self._relaying is not asyncio.current_task():
            self._relaying.cancel()
        viewer, self.viewer = self.viewer, None
        if viewer is not None:
            hub().leave(viewer)


def _object(text: str | None) -> dict[str, Any]:
    """Return the JSON object that a browser said; empty for what is none: nonsense is ignored, not an error."""
    try:
        found = json.loads(text) if text and len(text) <= LONGEST_MESSAGE else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
