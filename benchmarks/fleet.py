"""Units for benchmarks of collection: agents that push and HTTP services that are asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from subsystems.recursion.models import System  # noqa: E402
from subsystems.recursion.queries import root_system  # noqa: E402
from subsystems.s1_operations import collection, services  # noqa: E402
from subsystems.telemetry.samples import Sample  # noqa: E402

METRICS = ["cpu_ratio", "memory_ratio", "disk_ratio", "load_1m", "requests_per_second", "errors_per_second"]


def prepare(agents: int, http: int, url: str) -> tuple[System, list[str]]:
    """Make an empty database with *http* services at *url*; return the names of *agents* too."""
    call_command("migrate", verbosity=0, interactive=False)
    system = root_system()
    services.ensure_own_units()
    for n in range(http):
        services.add_unit(system, "http", f"service-{n}", {"url": url})
    return system, [f"agent-{n}" for n in range(agents)]


def push_all(system: System, sources: Sequence[str]) -> None:
    """Push one batch of six samples from every agent."""
    now = time.time()
    for n, source in enumerate(sources):
        services.receive_batch(system, source, [Sample(metric, now, n % 100 / 100) for metric in METRICS])


def collect(slot: int) -> collection.Seen:
    """Run one cycle as the tick of *slot* does."""
    return collection.run_cycle(slot, now=datetime.now(UTC))
