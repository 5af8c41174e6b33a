"""The in-process channel layer: threads send, the web server's loop receives."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from asgiref.sync import async_to_sync

from vsm_site.layers import ThreadSafeInMemoryChannelLayer


async def test_a_thread_reaches_a_receiver_at_once() -> None:
    """A push from a worker thread must wake the loop, not wait for its next turn."""
    layer = ThreadSafeInMemoryChannelLayer()
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    receiving = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0)

    threading.Thread(
        target=async_to_sync(layer.group_send), args=("group", {"type": "x", "at": time.monotonic()})
    ).start()
    message = await asyncio.wait_for(receiving, 2)

    assert time.monotonic() - message["at"] < 0.1


async def test_every_message_of_many_threads_arrives() -> None:
    """asyncio queues are not safe across threads; the hop to the receiver's loop makes them so."""
    layer = ThreadSafeInMemoryChannelLayer(capacity=1000)
    channel = await layer.new_channel()
    await layer.group_add("group", channel)

    def send(start: int) -> None:
        for number in range(start, start + 100):
            async_to_sync(layer.group_send)("group", {"type": "x", "number": number})

    threads = [threading.Thread(target=send, args=(start,)) for start in range(0, 400, 100)]
    for thread in threads:
        thread.start()
    heard = [(await asyncio.wait_for(layer.receive(channel), 5))["number"] for _ in range(400)]
    for thread in threads:
        thread.join()

    assert sorted(heard) == list(range(400))


async def test_a_receiver_that_lags_loses_messages_and_holds_up_nobody() -> None:
    """A browser tab asleep must not fill the memory."""
    layer = ThreadSafeInMemoryChannelLayer(capacity=5)
    channel = await layer.new_channel()
    await layer.group_add("group", channel)

    for number in range(50):
        await layer.group_send("group", {"type": "x", "number": number})
    heard = await _drain(layer, channel)

    assert heard == [0, 1, 2, 3, 4]


async def test_each_receiver_gets_a_copy() -> None:
    """Two dashboards may each change what they received."""
    layer = ThreadSafeInMemoryChannelLayer()
    channels = [await layer.new_channel() for _ in range(2)]
    for channel in channels:
        await layer.group_add("group", channel)

    await layer.group_send("group", {"type": "x", "body": {}})
    first, second = [await layer.receive(channel) for channel in channels]

    assert first == second
    assert first["body"] is not second["body"]


async def test_a_receiver_whose_loop_is_gone_is_forgotten() -> None:
    """A closed loop (a test's, a reload's) must not fail those who still listen."""
    layer = ThreadSafeInMemoryChannelLayer()
    await asyncio.to_thread(lambda: asyncio.run(layer.group_add("group", "specific.gone!a")))

    await layer.group_send("group", {"type": "x"})

    assert layer.groups["group"] == {}


async def _drain(layer: ThreadSafeInMemoryChannelLayer, channel: str) -> list[Any]:
    await asyncio.sleep(0.01)
    queue = layer.channels[channel]
    return [queue.get_nowait()[1]["number"] for _ in range(queue.qsize())]
