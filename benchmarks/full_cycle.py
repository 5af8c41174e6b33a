"""1,000 agents that push and 200 HTTP services keep to the cycle of five seconds.

The agents push from a thread while the cycle runs, as their requests would arrive; a cycle has lasted when both are
done. A service that was not answered in time is a failure of the promise too.
"""

from __future__ import annotations

import threading
import time

from django.db import connection

from benchmarks.fleet import System, collect, prepare, push_all
from benchmarks.http_target import target
from benchmarks.result import Result, report

CYCLES, WARM_UP = 5, 1
PERIOD_SECONDS = 5.0


def push_apart(system: System, agents: list[str]) -> None:
    push_all(system, agents)
    connection.close()


def run() -> list[Result]:
    durations, answered = [], 0
    with target() as url:
        system, agents = prepare(1_000, 200, url)
        for slot in range(WARM_UP + CYCLES):
            started = time.perf_counter()
            pushing = threading.Thread(target=push_apart, args=(system, agents))
            pushing.start()
            answered = collect(slot * 5).answered_count
            pushing.join()
            durations.append(time.perf_counter() - started)
    kept = durations[WARM_UP:]
    details = {"cycles_seconds": kept, "first_seconds": durations[0], "answered": answered}
    promise = "1,000 push units and 200 HTTP units within the 5 s cycle"
    return [Result("full_cycle", promise, max(kept), PERIOD_SECONDS, "s", details=details)]


if __name__ == "__main__":
    report(run)
