"""What collecting 100 units costs of the machine: under 2 %.

CPU time of this process over whole cycles (50 agents push and 49 HTTP services are asked, beside the platform's own
host and queues), against five seconds of all cores. The probed services run in another process.
"""

from __future__ import annotations

import os
import time

from benchmarks.fleet import collect, prepare, push_all
from benchmarks.http_target import target
from benchmarks.result import Result, report

CYCLES, WARM_UP = 8, 2
PERIOD_SECONDS, LIMIT = 5.0, 0.02


def run() -> list[Result]:
    with target() as url:
        system, agents = prepare(50, 49, url)
        costs = []
        for slot in range(WARM_UP + CYCLES):
            started = time.process_time()
            push_all(system, agents)
            seen = collect(slot * 5)
            costs.append(time.process_time() - started)
    kept = costs[WARM_UP:]
    share = sum(kept) / len(kept) / (PERIOD_SECONDS * (os.cpu_count() or 1))
    details = {
        "cpu_ms_per_cycle": 1000 * sum(kept) / len(kept),
        "units": seen.unit_count,
        "answered": seen.answered_count,
    }
    return [
        Result(
            "collection_cost",
            "collection under 2 % of the machine for 100 units",
            share,
            LIMIT,
            "share",
            details=details,
        )
    ]


if __name__ == "__main__":
    report(run)
