"""The in-process channel layer of the embedded profile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from channels.layers import InMemoryChannelLayer


class ThreadSafeInMemoryChannelLayer(InMemoryChannelLayer):  # type: ignore[misc]
    """Lets worker threads send to receivers that live on the web server's event loop.

    Channels' own layer puts into an `asyncio.Queue` from whatever thread sends, which neither is safe nor wakes the
    receiver's loop. Here each channel remembers the loop that first received on it, or joined it to a group, and
    every operation on its queue is done there. Queues are bounded by `capacity`; a receiver that does not keep up
    loses messages, and sees it by the gap in their numbers.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._loops: dict[str, asyncio.AbstractEventLoop] = {}

    async def receive(self, channel: str) -> dict[str, Any]:
        self._loops[channel] = asyncio.get_running_loop()
        return await super().receive(channel)  # type: ignore[no-any-return]

    async def group_add(self, group: str, channel: str) -> None:
        self._loops.setdefault(channel, asyncio.get_running_loop())
        await super().group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        await super().group_discard(group, channel)
        if not any(channel in members for members in list(self.groups.values())):
            self._forget(channel)

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        home = self._loops.get(channel)
        if home is None or home is asyncio.get_running_loop():
            await super().send(channel, message)
        else:
            self._hand_over(home, [channel], message)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send to every member. Never waits for a receiver, and never fails because one is full."""
        self.require_valid_group_name(group)
        for home, channels in self._members_by_loop(group).items():
            self._hand_over(home, channels, message)

    async def flush(self) -> None:
        await super().flush()
        self._loops.clear()

    def _members_by_loop(self, group: str) -> dict[asyncio.AbstractEventLoop, list[str]]:
        here = asyncio.get_running_loop()
        found: dict[asyncio.AbstractEventLoop, list[str]] = {}
        for channel in list(self.groups.get(group, ())):  # a copy: other threads join and leave meanwhile
            found.setdefault(self._loops.get(channel, here), []).append(channel)
        return found

    def _hand_over(self, home: asyncio.AbstractEventLoop, channels: list[str], message: dict[str, Any]) -> None:
        try:
            home.call_soon_threadsafe(self._put_all, channels, message)
        except RuntimeError:  # that loop is closed, and its receivers with it
            for channel in channels:
                self._remove_from_groups(channel)
                self._forget(channel)

    def _put_all(self, channels: Iterable[str], message: dict[str, Any]) -> None:
        """Put into the queues, on the loop of their receivers."""
        expires_at = time.time() + self.expiry
        for channel in channels:
            queue = self.channels.setdefault(channel, asyncio.Queue(maxsize=self.get_capacity(channel)))
            if not queue.full():
                queue.put_nowait((expires_at, deepcopy(message)))

    def _forget(self, channel: str) -> None:
        self._loops.pop(channel, None)
