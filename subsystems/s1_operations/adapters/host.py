"""The machines that the platform's workers run on.

Each worker tells of its own machine in its answer to `stats`, so that every host is measured in each cycle, once,
wherever the cycle runs and however many workers a host has.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import psutil
from celery.bootsteps import StartStopStep
from pydantic import BaseModel

from subsystems.kernel.health import limit_health
from subsystems.s1_operations.adapters import base
from subsystems.s1_operations.adapters.celery_fleet import rounds_of

SHORTEST_SPAN_SECONDS = 1.0  # others ask for `stats` too: a rate over less would be noise
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
        self._meter = HostMeter()

    async def collect(self, units: Sequence[base.UnitRef], context: base.Context) -> list[base.Reading]:
        told = await _told(context)
        known = {unit.name: unit.id for unit in units}
        here = socket.gethostname()
        if here in known and here not in told:  # no worker of this host has answered, but we are on it
            told[here] = (None, self._meter.read(context.now))
        return [
            base.Reading(known.get(name), metrics, parts=health_parts(metrics), name=name, fleet_id=fleet_id)
            for name, (fleet_id, metrics) in told.items()
        ]


class HostMeter:
    """Measures this machine; rates are since the last reading."""

    def __init__(self) -> None:
        self._before: Counters | None = None
        self._rates: dict[str, float] = {}

    def read(self, now: float) -> dict[str, float]:
        counters = read_counters(now)
        if not self._before or not self._rates or abs(now - self._before.at) >= SHORTEST_SPAN_SECONDS:
            self._rates = rates(self._before, counters) if self._before else {}
            self._before = counters
        return {
            "memory_ratio": psutil.virtual_memory().percent / 100,
            "disk_ratio": psutil.disk_usage("/").percent / 100,
            "load_1m": os.getloadavg()[0],
            **self._rates,
        }


class HostStep(StartStopStep):  # type: ignore[misc]
    """The part of the platform's own workers that puts their host into the answer to `stats`."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._meter = HostMeter()

    def info(self, worker: Any) -> dict[str, Any]:
        return {"host": {"name": socket.gethostname(), "metrics": self._meter.read(time.time())}}


async def _told(context: base.Context) -> dict[str, tuple[int | None, dict[str, float]]]:
    """Return what the platform's own workers tell of their hosts, by the host's name."""
    if not any(fleet.own for fleet in context.fleets):
        return {}
    return {
        str(host["name"]): (fleet.id, numbers(host["metrics"]))
        for fleet, found in await rounds_of(context)
        if fleet.own
        for answers in found.workers.values()
        if (host := answers.get("stats", {}).get("host"))
    }


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if isinstance(value, (int, float))}


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
