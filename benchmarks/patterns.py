"""Twenty event patterns over a thousand keys: events a second on one core, beside a matcher that keeps everything.

The naive one does what is written first: for each event it asks each pattern, and looks at all that it has kept of the
key in the pattern's window. Its windows are filled before it is timed, and it hears fewer events, or nobody would wait
for it. Memory is looked at after two thirds of the events and after all: bounded means that it is the same, but for the
slack of lists and tables (5 %). Seconds are those of one core's work, so that what else the machine does is not
counted.
"""

from __future__ import annotations

import gc
import json
import random
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.result import Result, report
from subsystems.s4_intelligence.patterns.compiling import plan_of
from subsystems.s4_intelligence.patterns.engine import Engine
from subsystems.s4_intelligence.patterns.happening import Happening
from subsystems.s4_intelligence.patterns.language import read

EVENTS, NAIVE_EVENTS, MEMORY_EVENTS = 1_000_000, 4_000, 1_500_000
KEYS, TYPES, BATCH = 1_000, 20, 5_000
PROMISE = 100_000.0  # events/s
PER_SECOND = 2_000  # of the time that the events tell
WINDOW = 60.0
NAMES, UNITS = [f"event.{n}" for n in range(TYPES)], [f"unit-{n}" for n in range(KEYS)]
Kept = Sequence[Happening]


def patterns() -> list[str]:
    """Five of each of four kinds, each about events of its own and one that all share."""
    found = []
    for place in range(5):
        one, two, three, four = (f"event.{4 * place + each}" for each in range(4))
        found += [
            {"frequency": {"event": one, "where": {"ms": {"gt": 900}}, "count": {"gt": 10}, "within": WINDOW}},
            {"sequence": {"within": WINDOW, "steps": [
                {"event": two, "where": {"ms": {"gt": 800}}}, {"event": one, "where": {"ok": False}},
                {"event": two, "where": {"ms": {"gt": 950}}},
            ]}},
            {"all": [{"recent": {"event": three, "where": {"ok": False}, "within": WINDOW}},
                     {"frequency": {"event": three, "where": {"ms": {"gt": 800}}, "count": 8, "within": WINDOW}}]},
            {"trend": {"event": four, "metric": "ms", "direction": "increasing", "duration": WINDOW,
                       "confidence": 0.99}},
        ]  # fmt: skip
    return [
        json.dumps(
            {"pattern": f"pattern_{place}", "key": "unit", "when": when, "max_keys": 2 * KEYS, "rearm_after": 30}
        )
        for place, when in enumerate(found)
    ]


def happening(place: int, chance: random.Random) -> Happening:
    """One event of one of 20 kinds and of 1,000 units, a little out of order."""
    data = {"unit": UNITS[int(chance.random() * KEYS)], "ms": chance.random() * 1000, "ok": chance.random() > 0.05}
    return Happening(place / PER_SECOND + chance.uniform(0, 1.5), NAMES[int(chance.random() * TYPES)], data, place)


def events(count: int) -> list[Happening]:
    chance = random.Random(7)
    return [happening(place, chance) for place in range(count)]


def batches(happened: Sequence[Happening]) -> Iterator[Sequence[Happening]]:
    for start in range(0, len(happened), BATCH):
        yield happened[start : start + BATCH]


def engine() -> Engine:
    return Engine([plan_of(read(text)) for text in patterns()])


def told_by_engine(happened: Sequence[Happening]) -> tuple[float, set[tuple[str, str, float]]]:
    """Return the seconds it took, and what began: pattern, key and moment."""
    made = engine()
    told = []
    began = time.process_time()
    for batch in batches(happened):
        told += made.feed(batch)
    told += made.finish()
    return time.process_time() - began, {(each.pattern, each.key, each.at) for each in told if each.what == "began"}


# --- The naive matcher ------------------------------------------------------------------------------------------------
def often(name: str, limit: float, count: int) -> Callable[[Kept], bool]:
    return lambda kept: sum(each.type == name and each.data["ms"] > limit for each in kept) >= count


def naive_patterns() -> list[tuple[set[str], Callable[[Kept], bool]]]:
    found: list[tuple[set[str], Callable[[Kept], bool]]] = []
    for place in range(5):
        one, two, three, four = (f"event.{4 * place + each}" for each in range(4))
        busy = often(three, 800, 8)
        found += [
            ({one}, often(one, 900, 11)),
            ({one, two}, lambda kept, one=one, two=two: in_order(kept, one, two)),
            ({three}, lambda kept, three=three, busy=busy: (
                any(each.type == three and not each.data["ok"] for each in kept) and busy(kept))),
            ({four}, lambda kept, four=four: rises([each.data["ms"] for each in kept if each.type == four])),
        ]  # fmt: skip
    return found


def in_order(kept: Kept, one: str, two: str) -> bool:
    steps: list[Callable[[Happening], bool]] = [
        lambda each: each.type == two and each.data["ms"] > 800,
        lambda each: each.type == one and not each.data["ok"],
        lambda each: each.type == two and each.data["ms"] > 950,
    ]
    place = 0
    for each in kept:  # whatever can be a step is taken as one at the first opportunity
        place += place < len(steps) and steps[place](each)
    return place == len(steps)


def rises(values: Sequence[float]) -> bool:
    score = sum((b > a) - (b < a) for place, a in enumerate(values) for b in values[place + 1 :])
    count = len(values)
    return count >= 5 and score > 1 and (score - 1) / (count * (count - 1) * (2 * count + 5) / 18) ** 0.5 > 2.326


def naive_seconds(happened: Sequence[Happening]) -> float:
    """Return the seconds for the last of *happened*; what comes before them only fills its windows."""
    asked = naive_patterns()
    kept: defaultdict[str, list[Happening]] = defaultdict(list)
    ordered = sorted(happened, key=lambda each: each.at)
    for event in ordered[:-NAIVE_EVENTS]:
        kept[event.data["unit"]].append(event)
    began = time.process_time()
    for event in ordered[-NAIVE_EVENTS:]:
        mine = kept[event.data["unit"]]
        mine.append(event)
        mine[:] = [each for each in mine if event.at - each.at <= WINDOW]
        for _, holds in asked:
            holds(mine)
    return time.process_time() - began


def memory(count: int) -> tuple[int, int]:
    """Return the bytes that the engine holds after two thirds of so many events, and after all."""
    chance = random.Random(7)
    tracemalloc.start()
    made, sizes = engine(), []
    before = tracemalloc.get_traced_memory()[0]
    for place in range(0, count, BATCH):
        made.feed([happening(place + each, chance) for each in range(BATCH)])
        for running in made.running.values():
            running.dirty.clear()  # as whoever writes down what was touched
        if place + BATCH in (2 * count // 3, count):
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0] - before)
    tracemalloc.stop()
    return sizes[0], sizes[1]


def run() -> list[Result]:
    happened = events(EVENTS)
    seconds, began = told_by_engine(happened)
    naive = NAIVE_EVENTS / naive_seconds(happened[: NAIVE_EVENTS + int(WINDOW * PER_SECOND)])
    first, last = memory(MEMORY_EVENTS)
    rate = EVENTS / seconds
    details: dict[str, Any] = {
        "events": EVENTS, "patterns": len(patterns()), "keys": KEYS, "detections": len(began),
        "naive_events_per_second": round(naive), "times_naive": round(rate / naive, 1),
        "bytes_after_two_thirds": first, "bytes_after_all": last,
    }  # fmt: skip
    return [
        Result("pattern events", "100,000 events/s on one core", rate, PROMISE, "events/s", "more", details),
        Result("pattern memory", "as much after all events as after two thirds", last, first * 1.05, "bytes", "less"),
    ]


if __name__ == "__main__":
    report(run)
