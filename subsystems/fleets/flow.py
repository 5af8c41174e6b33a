"""How fast a queue fills and empties, and when it will be empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH_SECONDS = 20.0  # of depths, before anything is said of how they change
DEEP = 0.5  # messages: less than this is empty


@dataclass(frozen=True, slots=True)
class Flow:
    """Messages a second; what is not known is None. *drain_seconds* is None too where the queue does not empty."""

    rate_in: float | None
    rate_out: float | None
    drain_seconds: float | None
    draining: bool | None  # False: it grows or stands still


def flow(
    recent: Sequence[tuple[float, float]],
    *,
    sent_rate: float | None = None,
    published_rate: float | None = None,
    delivered_rate: float | None = None,
) -> Flow:
    """Return how a queue flows.

    *recent* are depths, oldest first; *sent_rate* is what clients tell that they send. What the broker counts itself is
    better, and what neither tells follows from the other and from how the depth changes: nothing is lost on the way.
    """
    growth = slope(recent)
    rate_in = published_rate if published_rate is not None else sent_rate
    rate_out = delivered_rate
    if rate_out is None and rate_in is not None and growth is not None:
        rate_out = max(0.0, rate_in - growth)
    if rate_in is None and rate_out is not None and growth is not None:
        rate_in = max(0.0, rate_out + growth)
    depth = recent[-1][1] if recent else None
    if depth is None or growth is None:
        return Flow(rate_in, rate_out, None, None)
    if depth < DEEP:
        return Flow(rate_in, rate_out, 0.0, True)
    return Flow(rate_in, rate_out, depth / -growth if growth < 0 else None, growth < 0)


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Return by how much a second the values grow: the line of least squares. None for too short a time."""
    if len(points) < 3 or points[-1][0] - points[0][0] < ENOUGH_SECONDS:
        return None
    start = points[0][0]
    n = len(points)
    mean_at = sum(at - start for at, _ in points) / n
    mean = sum(value for _, value in points) / n
    spread = sum((at - start - mean_at) ** 2 for at, _ in points)
    return sum((at - start - mean_at) * (value - mean) for at, value in points) / spread
