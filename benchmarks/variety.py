"""Entropy of a million states against `collections.Counter`, and what a quantile sketch takes in and merges.

The windows of variety hold states as codes, so codes are what is measured; what it takes to give names their codes, and
to count integers too far apart for a table, is told in the details. The Counter gets its best case: a list of small
integers, whose hashes are themselves. The peers of sketch and windows are plain loops over dictionaries.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np

from benchmarks.result import Result, report
from subsystems.telemetry.entropy import variety
from subsystems.telemetry.sketch import Sketch, merged
from subsystems.telemetry.sketch_batches import merge_packed, pack_groups
from subsystems.telemetry.states import Codebook
from subsystems.telemetry.temporal_variety import BUCKETS, SCALES, TemporalVariety

STATES, ROUNDS, NOON = 1_000_000, 7, 1_790_000_400.0


def best(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the seconds of the fastest round."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def beside(ours: Callable[[], object], peer: Callable[[], object]) -> tuple[float, float]:
    """Return the fastest seconds of both, taken in turns, so that a busy machine hinders both alike."""
    pairs = [(best(ours, 1), best(peer, 1)) for _ in range(2 * ROUNDS)]
    return min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)


def plain_entropy(states: list[int]) -> float:
    counts, n = Counter(states).values(), len(states)
    return -sum(c / n * math.log2(c / n) for c in counts)


def entropy_of_a_million() -> Result:
    rng = np.random.default_rng(1)
    codes = np.minimum(rng.geometric(0.05, STATES), 200)
    listed, far_apart = codes.tolist(), codes * 10_000_000_019
    names, narrow = [f"state {code}" for code in listed], codes.astype(np.uint8)
    assert math.isclose(plain_entropy(listed), variety(codes).bits or 0.0, rel_tol=1e-9)
    ours, peer = beside(lambda: variety(codes), lambda: plain_entropy(listed))
    details = {
        "narrow_codes_per_second": STATES / best(lambda: variety(narrow)),
        "far_apart_integers_per_second": STATES / best(lambda: variety(far_apart)),
        "list_of_names_per_second": STATES / best(lambda: variety(names)),
        "names_encoded_per_second": STATES / best(lambda: Codebook(256).encode(names), 3),
    }
    promise = "entropy of 10^6 states at least 10 times as fast as collections.Counter"
    return Result("entropy_million_states", promise, STATES / ours, 10 * STATES / peer, "states/s", "more", details)


def sketch_inserts() -> Result:
    values = np.random.default_rng(2).lognormal(3, 1, STATES)
    parts = np.array_split(values, 1_000)
    some = values[:100_000].tolist()
    log_base = math.log(1.01 / 0.99)

    def sketched() -> None:
        sketch = Sketch()
        for part in parts:
            sketch.add_many(part)
        sketch.quantiles([0.5, 0.95, 0.99])

    def plain() -> None:
        bins: defaultdict[int, int] = defaultdict(int)
        for value in some:
            bins[math.ceil(math.log(value) / log_base)] += 1

    def kept() -> None:
        np.quantile(np.concatenate(parts), [0.5, 0.95, 0.99])

    add = Sketch().add
    one_by_one = len(some) / best(lambda: [add(each) for each in some], 3)
    details = {"one_by_one_per_second": one_by_one, "exact_with_all_kept_per_second": STATES / best(kept)}
    promise = "batches of 1000 values go into a sketch at least twice as fast as one by one into a plain one"
    ours, peer = beside(sketched, plain)
    return Result("sketch_inserts", promise, STATES / ours, 2 * len(some) / peer, "values/s", "more", details)


def sketch_merges() -> Result:
    rng = np.random.default_rng(3)
    minutes = [rng.lognormal(3, 1, 600) for _ in range(1_440)]
    parts = []
    for minute in minutes:
        parts.append(Sketch())
        parts[-1].add_many(minute)
    packed = [part.to_bytes() for part in parts]

    def again() -> None:
        day = Sketch()
        for minute in minutes:
            day.add_many(minute)

    details = {
        "bytes_of_a_minute": sum(map(len, packed)) / len(packed),
        "packed_per_second": len(parts) / best(lambda: [part.to_bytes() for part in parts], 3),
        "unpacked_per_second": len(parts) / best(lambda: [Sketch.from_bytes(raw) for raw in packed], 3),
    }
    promise = "merging a day's minutes is faster than sketching its values again"
    ours, peer = beside(lambda: merged(parts), again)
    return Result("sketch_merge_day", promise, 1000 * ours, 1000 * peer, "ms", "less", details)


def sketch_batches() -> Result:
    """Roll-ups of a minute of 6000 series, 12 samples each; and five such minutes of 1000 of them merged."""
    rng = np.random.default_rng(5)
    values, starts = rng.lognormal(3, 0.3, 72_000), np.arange(0, 72_000, 12)

    def apart() -> None:
        for start in starts[:600]:
            sketch = Sketch()
            sketch.add_many(values[start : start + 12])
            sketch.to_bytes(summary=False)

    raws = pack_groups(values, starts)[:5_000]
    details = {
        "merged_per_second": len(raws) / best(lambda: merge_packed(raws, np.arange(0, 5_000, 5))),
        "bytes_of_a_sketch": sum(map(len, raws)) / len(raws),
    }
    promise = "sketches of a minute of all series together at least 5 times as fast as one after the other"
    ours, peer = beside(lambda: pack_groups(values, starts), apart)
    return Result("sketch_roll_up", promise, len(starts) / ours, 5 * 600 / peer, "sketches/s", "more", details)


def windows() -> Result:
    rng = np.random.default_rng(4)
    names = [f"task {n}" for n in rng.integers(0, 40, 1_000)]
    steps = [NOON + step + rng.uniform(0, 1, 1_000) for step in range(100)]
    kept = TemporalVariety()

    def observed() -> None:
        for at in steps:
            kept.observe(names, at, now=NOON + 101)

    def plain() -> None:
        counts: defaultdict[tuple[float, int], Counter[str]] = defaultdict(Counter)
        widths = [seconds / BUCKETS for seconds in SCALES.values()]
        for at in steps[:10]:
            for name, moment in zip(names, at.tolist(), strict=True):
                for width in widths:
                    counts[width, int(moment // width)][name] += 1

    ours, peer = beside(observed, plain)
    reading = {"reading_ms": 1000 * best(lambda: kept.reading(now=NOON + 100))}
    promise = "eight windows, histories and references together cost less than eight tables of Counters"
    return Result("temporal_variety", promise, 100_000 / ours, 10_000 / peer, "states/s", "more", reading)


def run() -> list[Result]:
    return [entropy_of_a_million(), sketch_inserts(), sketch_merges(), sketch_batches(), windows()]


if __name__ == "__main__":
    report(run)
