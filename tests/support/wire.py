"""A line to a server of this machine that can be cut, as when the server is gone."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.support.platform_process import free_port

HERE = "127.0.0.1"


class Wire:
    """Passes on what is sent to its *port*. Cut, it breaks every connection and refuses new ones until it is mended."""

    def __init__(self, target: int) -> None:
        self.port, self._target = free_port(), target
        self.url = f"http://{HERE}:{self.port}"
        self._ends: list[socket.socket] = []
        self.mend()

    def mend(self) -> None:
        """Let connections through again."""
        door = socket.create_server((HERE, self.port))
        self._ends.append(door)
        threading.Thread(target=self._accept, args=(door,), daemon=True).start()

    def cut(self) -> None:
        """Break what is open; the browser sees it at once."""
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # which wakes whoever waits in it
            end.close()

    def _accept(self, door: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near = door.accept()[0]
                far = socket.create_connection((HERE, self._target))
                self._ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
