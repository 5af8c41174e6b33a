"""Connections of the small servers that tests start."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


async def hang_up(writers: Iterable[asyncio.StreamWriter]) -> None:
    """Close every connection and wait until it is closed; a loop that ends first leaves their sockets open."""
    open_ones = list(writers)
    for writer in open_ones:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in open_ones), return_exceptions=True)
