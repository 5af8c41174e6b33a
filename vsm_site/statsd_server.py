"""StatsD over UDP: one thread receives and adds up, another records what came together every five seconds."""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from django.conf import settings
from django.db import DatabaseError, close_old_connections

from subsystems.recursion.queries import root_system
from subsystems.telemetry.doors.statsd import Sums
from subsystems.telemetry.services import record_table
from subsystems.telemetry.store import hot_tier
from subsystems.telemetry.tables import Table

logger = logging.getLogger(__name__)
FLUSH_SECONDS = 5.0
WAIT_MILLISECONDS = 200
BUFFER_BYTES = 8 * 1024 * 1024  # of the kernel: what comes while we add up
MAX_PACKET = 65_535
LINGER_SECONDS = 0.001  # others come with the first, and the kernel has room for them
BYTES_AT_ONCE = 1024 * 1024  # before the clock is looked at
PACKETS_AT_ONCE = 4096
SOCKETS = Path("/proc/net/udp"), Path("/proc/net/udp6")
LOST = "dropped_statsd_packets"  # by the kernel, before we could read them
Taken = tuple[Table, dict[str, int]]


def configured() -> list[StatsdServer]:
    """Return the listener of this platform; none when it is switched off, or when somebody else has its port."""
    host, port = settings.ENV.statsd_host, settings.ENV.statsd_port
    if not port:
        return []
    try:
        return [StatsdServer(host, port)]
    except OSError as error:
        logger.warning("No StatsD: cannot listen on %s:%d (%s). VSM_STATSD_PORT chooses another.", host, port, error)
        return []


class StatsdServer:
    """Listens until it is stopped."""

    def __init__(self, host: str, port: int, *, flush_seconds: float = FLUSH_SECONDS) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._socket.setblocking(False)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self.port: int = self._socket.getsockname()[1]
        self._flush_seconds = flush_seconds
        self._stopped = threading.Event()
        self._taken: SimpleQueue[Taken | None] = SimpleQueue()
        self._lost = 0
        self._threads = [
            threading.Thread(target=self._receive, name="statsd", daemon=True),
            threading.Thread(target=self._record, name="statsd-recorder", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop listening; what came in until now is recorded."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(3)
        self._socket.close()

    def _receive(self) -> None:
        sums = Sums()
        next_flush = time.monotonic() + self._flush_seconds
        while not self._stopped.is_set():
            if self._poll.poll(WAIT_MILLISECONDS):
                time.sleep(LINGER_SECONDS)
                self._drain(sums)
            if time.monotonic() >= next_flush:
                next_flush = time.monotonic() + self._flush_seconds
                self._taken.put((sums.take(time.time()), sums.take_counted()))
        self._drain(sums)
        self._taken.put((sums.take(time.time()), sums.take_counted()))
        self._taken.put(None)

    def _drain(self, sums: Sums) -> None:
        """Add up what has come: all packets together, because what they have in common is then read once."""
        packets: list[bytes] = []
        size, receive = 0, self._socket.recv
        with suppress(BlockingIOError):
            while size < BYTES_AT_ONCE and len(packets) < PACKETS_AT_ONCE:
                packets.append(receive(MAX_PACKET))
                size += len(packets[-1])
        sums.add(b"\n".join(packets))

    def _record(self) -> None:
        for table, counted in iter(self._taken.get, None):
            close_old_connections()
            try:
                self._keep(table, counted)
            except DatabaseError as error:
                logger.warning("%d StatsD samples were lost: %s", len(table), error)
                hot_tier().count("dropped_store_unavailable", len(table))
            finally:
                close_old_connections()

    def _keep(self, table: Table, counted: dict[str, int]) -> None:
        if len(table):
            record_table(table, system_id=root_system().pk)
        lost = lost_packets(self.port)
        counted[LOST] = max(0, lost - self._lost)
        self._lost = lost
        for name, n in counted.items():
            if n:
                hot_tier().count(name, n)


def lost_packets(port: int) -> int:
    """Return how many packets to *port* the kernel has thrown away; 0 where it does not tell."""
    lost = 0
    for path in SOCKETS:
        with suppress(OSError, ValueError, IndexError):
            for line in path.read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port:
                    lost += int(fields[-1])
    return lost
