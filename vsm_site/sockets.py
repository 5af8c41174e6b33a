"""uvicorn's WebSockets, which let go of browsers that do not read."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

ABORT_SECONDS = 10.0  # a browser gets this long to take what it was sent last, and why it is closed


class WebSockets(WebSocketsSansIOProtocol):
    """Closes what nobody reads: uvicorn would wait for a full buffer to drain, which it never does.

    Nothing is compressed: that would be done anew for each of hundreds of browsers, and takes 46 KB of memory for each.
    """

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        config.ws_per_message_deflate = False
        super().__init__(config, *args, **kwargs)

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close" and not self.writable.is_set():
            self.writable.set()  # the close stands behind what is in the buffer, and is not waited for
            self.loop.call_later(ABORT_SECONDS, self.transport.abort)
        await super().send(message)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()
