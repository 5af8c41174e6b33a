"""What an open dashboard hears: one snapshot, then numbered changes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, TypedDict
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from subsystems.messaging import live
from subsystems.recursion.models import System
from vsm_site.dashboard import places, queries, sessions

LOGIN_NEEDED = 4401
NOT_YOURS = 4403
SNAPSHOT_EVERY_SECONDS = 1.0  # a browser that asks more often gets one answer for all its questions


class LiveChange(TypedDict):
    """What `messaging.live` sends to the group of a system."""

    type: str
    seq: int
    changes: list[dict[str, Any]]


class DashboardConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Relays one system's changes to one browser."""

    system: System | None = None
    _session_group = ""
    number = 0  # of the last snapshot: what is not above it is already in it

    async def connect(self) -> None:
        """Accept first, so that a browser can read why it was closed."""
        self._one_at_a_time = asyncio.Lock()
        self._answer: asyncio.Task[None] | None = None
        self._next_answer_at = 0.0
        await self.accept()
        user = self.scope.get("user")
        if user is None or not user.is_authenticated:
            await self.close(code=LOGIN_NEEDED)
            return
        slug = parse_qs(self.scope.get("query_string", b"").decode("latin-1")).get("system", [""])[0]
        self.system = await database_sync_to_async(places.readable_system)(user, slug)
        if self.system is None:
            await self.close(code=NOT_YOURS)
            return
        session = self.scope.get("session")
        self._session_group = sessions.group(session.session_key) if session and session.session_key else ""
        if self._session_group:
            await self.channel_layer.group_add(self._session_group, self.channel_name)
        # Join before looking: what changes meanwhile waits in the channel, and is sent if the snapshot has it not.
        await self.channel_layer.group_add(live.group(self.system.pk), self.channel_name)
        await self._send_snapshot()

    async def disconnect(self, code: int) -> None:
        if self._answer is not None:
            self._answer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._answer
        if self.system is not None:
            await self.channel_layer.group_discard(live.group(self.system.pk), self.channel_name)
        if self._session_group:
            await self.channel_layer.group_discard(self._session_group, self.channel_name)

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        """Return the message, or None for what is no JSON: a browser's nonsense is ignored, not an error."""
        try:
            return await super().decode_json(text_data)
        except ValueError:
            return None

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        """Ignore binary frames, which nothing here sends."""
        if text_data:
            await super().receive(text_data=text_data, **kwargs)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Answer a request for a new snapshot, at most one a second."""
        wanted = isinstance(content, dict) and content.get("type") == "snapshot"
        if not wanted or self.system is None or (self._answer is not None and not self._answer.done()):
            return
        self._answer = asyncio.create_task(self._answer_later())

    async def live_change(self, event: LiveChange) -> None:
        """Forward one numbered batch of changes."""
        async with self._one_at_a_time:
            if event["seq"] > self.number:
                await self.send_json({"type": "changes", "seq": event["seq"], "changes": event["changes"]})

    async def session_ended(self, event: dict[str, Any]) -> None:
        """Close: the user has logged out."""
        await self.close(code=LOGIN_NEEDED)

    async def _answer_later(self) -> None:
        await asyncio.sleep(max(0.0, self._next_answer_at - asyncio.get_running_loop().time()))
        await self._send_snapshot()

    async def _send_snapshot(self) -> None:
        async with self._one_at_a_time:
            self._next_answer_at = asyncio.get_running_loop().time() + SNAPSHOT_EVERY_SECONDS
            self.number, body = await database_sync_to_async(queries.numbered_snapshot)(self.system)
            await self.send_json({"type": "snapshot", "seq": self.number, "body": body})
