"""Health bands and the limit curve (requirements 002-14, 2-30, section 3.7)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Health(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


def band(score: float | None) -> Health:
    """Return the band of a score in 0-1; None (nothing was measured) is unknown, never healthy (002-14)."""
    if score is None:
        return Health.UNKNOWN
    if score > 0.8:
        return Health.HEALTHY
    return Health.DEGRADED if score > 0.5 else Health.UNHEALTHY


def limit_health(value: float | None, *, soft: float, hard: float) -> float | None:
    """Return 1 up to *soft*, linear down to 0 at *hard*; None stays None (section 3.7)."""
    if value is None:
        return None
    if value <= soft:
        return 1.0
    return max(0.0, (hard - value) / (hard - soft))


def mean_known(scores: Iterable[float | None]) -> float | None:
    """Return the mean of the scores that are known, or None when none is."""
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None
