"""1,000 agents that push and 200 HTTP services keep to the cycle of five seconds, and all are heard.

The agents' batches come evenly over four of the five seconds, from another thread, while the cycle runs; the two share
one process, as they do in the embedded profile.
"""

from __future__ import annotations

import threading
import time

from django.db import connection

from benchmarks.fleet import System, collect, prepare, push_all
from benchmarks.http_target import target
from benchmarks.result import Result, report

CYCLES, WARM_UP = 5, 1
PERIOD_SECONDS, PUSHING_SECONDS = 5.0, 4.0
AGENTS, SERVICES = 1_000, 200


def push_evenly(system: System, agents: list[str], ends: list[float]) -> None:
    """Push each agent's batch at its own moment; note when the last one was done."""
    started = time.perf_counter()
    for n, agent in enumerate(agents):
        time.sleep(max(0.0, started + n * PUSHING_SECONDS / len(agents) - time.perf_counter()))
        push_all(system, [agent])
    ends.append(time.perf_counter() - started)
    connection.close()


def run() -> list[Result]:
    durations: list[float] = []
    ends: list[float] = []
    missing = []
    with target() as url:
        system, agents = prepare(AGENTS, SERVICES, url)
        push_all(system, agents)  # their first batches make them units, once
        for slot in range(WARM_UP + CYCLES):
            started = time.perf_counter()
            pushing = threading.Thread(target=push_evenly, args=(system, agents, ends))
            pushing.start()
            seen = collect(slot * 5)
            durations.append(time.perf_counter() - started)
            missing.append(max(0, seen.unit_count - seen.answered_count))
            pushing.join()
    details = {"cycles_seconds": durations[WARM_UP:], "last_push_done_seconds": ends[WARM_UP:]}
    heard = 1 - max(missing[WARM_UP:]) / (AGENTS + SERVICES)
    return [
        Result("full_cycle", "1,000 push and 200 HTTP units: in time", max(durations[WARM_UP:]), PERIOD_SECONDS,
               "s", details=details),
        Result("full_cycle_pushes", "the same: all batches taken within the cycle", max(ends[WARM_UP:]), PERIOD_SECONDS,
               "s"),
        Result("full_cycle_heard", "the same: every unit answered", heard, 1.0, "share", "more"),
    ]  # fmt: skip


if __name__ == "__main__":
    report(run)
