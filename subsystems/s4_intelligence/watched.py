"""Which metrics are looked ahead, what bounds them, and over which spans."""

from __future__ import annotations

from typing import NamedTuple

MAX_SERIES = 2_000  # of one system; what is beyond is left out and counted


class Watched(NamedTuple):
    """What is known of a metric: where it cannot fall below, and where a resource is used up."""

    floor: float | None = 0.0
    full: float | None = None


# The order is that of their weight: where there are too many series, those of the last ones are left out.
METRICS: dict[str, Watched] = {
    "viability": Watched(),
    "ready": Watched(),
    "oldest_age_seconds": Watched(),
    "published_rate": Watched(),
    "delivered_rate": Watched(),
    "task_rate": Watched(),
    "failure_rate": Watched(),
    "cpu_ratio": Watched(full=1.0),
    "memory_ratio": Watched(full=1.0),
    "disk_ratio": Watched(full=1.0),
    "active": Watched(),
    "reserved": Watched(),
    "unacked": Watched(),
    "latency_seconds": Watched(),
    "memory_bytes": Watched(),
}
RANK = {name: place for place, name in enumerate(METRICS)}


class Span(NamedTuple):
    """One way of looking ahead: the length of a step, how many of them are known and foretold, and what may recur."""

    name: str
    step_seconds: int
    past: int
    ahead: int
    periods: tuple[int, ...]
    every_seconds: int


HOUR = Span("hour", 60, 240, 60, (60,), 300)
DAYS = Span("days", 3600, 672, 48, (24, 168), 3600)
SPANS = {span.name: span for span in (HOUR, DAYS)}


def capped(metrics: dict[int, str]) -> list[int]:
    """Return the ids of the series that are looked ahead, in order of id: all, unless there are too many."""
    ranked = sorted(metrics, key=lambda pk: (RANK[metrics[pk]], pk))
    return sorted(ranked[:MAX_SERIES])
