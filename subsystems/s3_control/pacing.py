"""How many of many may be done now, so that a fleet is not flooded."""

from __future__ import annotations

MOST_AT_ONCE = 500  # of one step: progress is written after each


def allowed(per_second: float, *, elapsed_seconds: float, done: int, left: int, most: int = MOST_AT_ONCE) -> int:
    """Return how many of *left* may be done now, *elapsed_seconds* after the first, when *done* are done already.

    The first second's worth may leave at once. What was not used before is caught up, never more than *most* at a time.
    """
    due = int(per_second * (max(0.0, elapsed_seconds) + 1.0)) - done
    return max(0, min(left, most, max(due, 1 if done == 0 else 0)))


def seconds_needed(per_second: float, count: int) -> float:
    """Return how long *count* of them take."""
    return max(0.0, (count - per_second) / per_second)
