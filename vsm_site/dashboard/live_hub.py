"""What a web process hears for all its open dashboards: one receiver, however many browsers and systems there are."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.db import DatabaseError

from subsystems.messaging import live
from subsystems.recursion.models import System
from vsm_site.dashboard import queries, sessions
from vsm_site.dashboard.live_room import Room, Viewer
from vsm_site.dashboard.live_view import View
from vsm_site.dashboard.sessions import Visitor

logger = logging.getLogger(__name__)
LINGER_SECONDS = 60.0  # how long changes are kept for browsers that may come back
RIGHTS_SECONDS = 30.0  # a right that was taken away holds no longer, whoever forgot to say so


class Hub:
    """The rooms of one event loop, and what feeds them."""

    def __init__(self) -> None:
        self._rooms: dict[int, Room] = {}
        self._systems: dict[int, System] = {}
        self._visitors: dict[Viewer, Visitor] = {}
        self._opening = asyncio.Lock()
        self._channel = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving: dict[int, asyncio.TimerHandle] = {}

    async def enter(self, system: System, visitor: Visitor, view: View, since: int | None) -> Viewer:
        """Return a place in the room of *system*, which is opened if nobody is there yet."""
        async with self._opening:
            room = self._rooms.get(system.pk) or await self._open(system)
            timer = self._leaving.pop(system.pk, None)
            if timer is not None:
                timer.cancel()
            viewer = room.enter(view, since)
            self._visitors[viewer] = visitor
            return viewer

    def leave(self, viewer: Viewer) -> None:
        """Free a place; the room is kept for a while, for a browser that was only cut off."""
        self._visitors.pop(viewer, None)
        viewer.room.leave(viewer)
        system_id = next((pk for pk, room in self._rooms.items() if room is viewer.room), None)
        if system_id is not None and not viewer.room.viewers and system_id not in self._leaving:
            loop = asyncio.get_running_loop()
            self._leaving[system_id] = loop.call_later(LINGER_SECONDS, self._close_soon, system_id)

    async def _open(self, system: System) -> Room:
        layer = get_channel_layer()
        if not self._channel:
            self._channel = await layer.new_channel()
            self._start(self._listen(self._channel))
            await layer.group_add(sessions.GROUP, self._channel)
        # Join before looking: what changes meanwhile waits in the channel.
        await layer.group_add(live.group(system.pk), self._channel)
        last = await database_sync_to_async(live.current_number)(system.pk)

        async def snapshot(view: View) -> tuple[int, dict[str, Any]]:
            found: tuple[int, dict[str, Any]] = await database_sync_to_async(queries.numbered_snapshot)(system, view)
            return found

        async def totals() -> dict[str, Any] | None:
            try:
                found: dict[str, Any] = await database_sync_to_async(queries.totals)(system)
            except DatabaseError as error:
                logger.warning("Open dashboards were told no totals: %s", error)
                return None
            return found

        room = self._rooms[system.pk] = Room(last, snapshot, totals)
        self._systems[system.pk] = system
        return room

    def _close_soon(self, system_id: int) -> None:
        self._leaving.pop(system_id, None)
        self._start(self._close(system_id))

    async def _close(self, system_id: int) -> None:
        async with self._opening:
            room = self._rooms.get(system_id)
            if room is None or room.viewers:
                return
            del self._rooms[system_id], self._systems[system_id]
            room.close()
            layer = get_channel_layer()
            await layer.group_discard(live.group(system_id), self._channel)
            if not self._rooms:
                await layer.group_discard(sessions.GROUP, self._channel)
                self._channel = ""
                for task in self._tasks - {asyncio.current_task()}:
                    task.cancel()

    async def _listen(self, channel: str) -> None:
        """Hand each message on to its room; look after rights meanwhile."""
        layer = get_channel_layer()
        rights = self._start(self._watch_rights())
        try:
            while True:
                self._hear(await layer.receive(channel))
        finally:
            rights.cancel()

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "live.change":
            room = self._rooms.get(message["system"])
            if room is not None:
                room.take(message["seq"], message["changes"])
        elif message["type"] == "session.ended":
            for visitor in list(self._visitors.values()):
                if visitor.session == message["session"]:
                    visitor.close(sessions.LOGIN_NEEDED)
        elif message["type"] == "rights.changed":
            self._start(self._check_rights())

    async def _watch_rights(self) -> None:
        while True:
            await asyncio.sleep(RIGHTS_SECONDS)
            await self._check_rights()

    async def _check_rights(self) -> None:
        """Close the sockets of those who may not look any more."""
        for system_id in list(self._rooms):
            present = [one for viewer, one in self._visitors.items() if viewer.room is self._rooms.get(system_id)]
            try:
                refused = await database_sync_to_async(sessions.refused)(system_id, present)
            except DatabaseError as error:
                logger.warning("The rights of open dashboards could not be looked up: %s", error)
                continue
            for visitor, code in refused:
                visitor.close(code)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """Return the hub of the running loop: a web process has one loop, tests have one each."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
