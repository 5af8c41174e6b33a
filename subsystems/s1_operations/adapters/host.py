"""The machine that the platform runs on."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import psutil
from pydantic import BaseModel

from subsystems.kernel.health import limit_health
from subsystems.s1_operations.adapters import base

# A machine may be busy without harm until nothing is left for the next job.
CPU = {"soft": 0.85, "hard": 1.0}
# Beyond four fifths the page cache starves, just below full the kernel kills.
MEMORY = {"soft": 0.8, "hard": 0.98}
# Databases need room to vacuum and to roll logs before the disk is full.
DISK = {"soft": 0.85, "hard": 0.98}


@dataclass(frozen=True, slots=True)
class Counters:
    """The machine's ever-growing counters at one moment; two of them make rates."""

    at: float
    busy: float
    total: float
    sent: int
    received: int


class HostAdapter:
    kind: ClassVar[str] = "host"
    title: ClassVar[str] = "This host"
    Config: ClassVar[type[BaseModel]] = base.Config

    def __init__(self) -> None:
        self._before: Counters | None = None

    async def collect(self, units: Sequence[base.UnitRef], context: base.Context) -> list[base.Reading]:
        # Only this machine can be measured from here; another host's unit is the business of its own collector.
        here = [unit for unit in units if unit.name == socket.gethostname()]
        if not here:
            return []
        metrics = self._measure(context.now)
        return [base.Reading(unit.id, metrics, parts=health_parts(metrics)) for unit in here]

    def _measure(self, now: float) -> dict[str, float]:
        counters = read_counters(now)
        metrics = {
            "memory_ratio": psutil.virtual_memory().percent / 100,
            "disk_ratio": psutil.disk_usage("/").percent / 100,
            "load_1m": os.getloadavg()[0],
            **(rates(self._before, counters) if self._before else {}),
        }
        self._before = counters
        return metrics


def read_counters(now: float) -> Counters:
    """Return the counters as the kernel has them now."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Guest time is part of user time already.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    net = psutil.net_io_counters()
    return Counters(now, total - idle, total, net.bytes_sent if net else 0, net.bytes_recv if net else 0)


def rates(before: Counters, after: Counters) -> dict[str, float]:
    """Return what two readings of the counters tell; nothing where no time has passed or a counter was reset."""
    found: dict[str, float] = {}
    seconds, ticks = after.at - before.at, after.total - before.total
    if ticks > 0:
        found["cpu_ratio"] = min(max((after.busy - before.busy) / ticks, 0.0), 1.0)
    if seconds > 0 and after.sent >= before.sent and after.received >= before.received:
        found["net_sent_bytes_per_second"] = (after.sent - before.sent) / seconds
        found["net_received_bytes_per_second"] = (after.received - before.received) / seconds
    return found


def health_parts(metrics: dict[str, float]) -> dict[str, float | None]:
    return {
        "cpu": limit_health(metrics.get("cpu_ratio"), **CPU),
        "memory": limit_health(metrics.get("memory_ratio"), **MEMORY),
        "disk": limit_health(metrics.get("disk_ratio"), **DISK),
    }
