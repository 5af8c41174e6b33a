"""A wire that can be cut: TCP between the platform and its broker, which passes, refuses, swallows or breaks."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from enum import StrEnum
from typing import Any

CHUNK = 65536
RESET = struct.pack("ii", 1, 0)  # linger for no time: closing sends a reset instead of a goodbye


class Mode(StrEnum):
    PASS = "pass"
    REFUSE = "refuse"  # nobody listens, and who was connected is reset
    SILENT = "silent"  # connections stand, and nothing comes through in either direction


class Proxy:
    """Listens on `port` in a thread of its own and passes bytes to *target*."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.cuts = 0
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._cut_next = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._thread.start()
        self._open.set()
        self._do(self._listen())

    def stop(self) -> None:
        self._do(self._turn(Mode.REFUSE))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def turn(self, mode: Mode) -> None:
        """Behave like *mode* from now on."""
        self._do(self._turn(mode))

    def cut_in_mid_stream(self) -> None:
        """Reset the next connection on which a client says something, in the middle of what it says."""
        self._cut_next = True

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _turn(self, mode: Mode) -> None:
        if mode is Mode.SILENT:
            self._open.clear()
        else:
            self._open.set()
        if mode is Mode.REFUSE:
            if self._server is not None:
                self._server.close()
                self._server = None
            for writer in list(self._writers):
                reset(writer)
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            self._forget(writer)
            return
        self._writers.add(there)

        def break_both() -> None:
            self.cuts += 1
            reset(writer)
            reset(there)

        await asyncio.gather(
            self._pump(reader, there, break_both), self._pump(there_reader, writer, None), return_exceptions=True
        )
        self._forget(writer)
        self._forget(there)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: Callable[[], None] | None
    ) -> None:
        """Pass bytes one way until either end is gone; a cut sends half of what came and resets both."""
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._open.wait()
                if cut is not None and self._cut_next and len(data) > 100:  # more than a heartbeat or an ack
                    self._cut_next = False
                    writer.write(data[: len(data) // 2])
                    await until_written(writer.drain)
                    cut()
                    return
                writer.write(data)
                await writer.drain()
        reset(writer)

    def _forget(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        reset(writer)


async def until_written(drain: Callable[[], Awaitable[None]]) -> None:
    with suppress(OSError):
        await drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection without a goodbye."""
    own = writer.get_extra_info("socket")
    if own is not None:
        with suppress(OSError):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
