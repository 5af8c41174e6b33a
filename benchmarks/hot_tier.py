"""Appending batches of columns to the hot tier, against lists in dictionaries doing the same work.

The peer keeps (time, value) pairs per series and forgets nothing, so it is given less to do than the hot tier.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from benchmarks.result import Result, report
from subsystems.telemetry.columns import Columns
from subsystems.telemetry.memory import MemoryHotTier

SERIES, BATCHES, ROUNDS = 6_000, 120, 5
START = 1_790_000_400.0


def batches() -> list[Columns]:
    """A batch each five seconds for ten minutes, one sample for each series."""
    series = np.arange(1, SERIES + 1, dtype=np.int64)
    values = np.linspace(0, 1, SERIES)
    return [Columns(series, np.full(SERIES, START + 5 * n), values) for n in range(BATCHES)]


def columns_rate(work: list[Columns]) -> float:
    tier = MemoryHotTier(1_000_000)
    return rate(lambda: [tier.append(batch) for batch in work])


def dictionary_rate(work: list[Columns]) -> float:
    rows = [(b.series.tolist(), b.at.tolist(), b.values.tolist()) for b in work]
    held: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)

    def append() -> None:
        for series, at, values in rows:
            for key, moment, value in zip(series, at, values, strict=True):
                held[key].append((moment, value))

    return rate(append)


def read_rates(work: list[Columns]) -> dict[str, float]:
    tier = MemoryHotTier(1_000_000)
    for batch in work:
        tier.append(batch)
    everything = rate(lambda: tier.read(None, START, START + 600))
    one = np.array([17], np.int64)
    started = time.perf_counter()
    for _ in range(200):
        tier.read(one, START, START + 600)
    return {"read_all_samples_per_second": everything, "read_one_series_ms": (time.perf_counter() - started) * 5}


def rate(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return SERIES * BATCHES / (time.perf_counter() - started)


def run() -> list[Result]:
    work = batches()
    ours = max(columns_rate(work) for _ in range(ROUNDS))
    peer = max(dictionary_rate(work) for _ in range(ROUNDS))
    promise = "appending columns beats appending to lists in a dictionary"
    return [Result("hot_tier_append", promise, ours, peer, "samples/s", "more", read_rates(work))]


if __name__ == "__main__":
    report(run)
