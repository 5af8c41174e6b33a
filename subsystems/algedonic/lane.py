"""How the algedonic lane itself does, as its canaries tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

PERIOD_SECONDS = 10
FAILED_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class LaneState:
    """Latencies are those of the last answered canaries, in seconds; None where there are none."""

    p50_seconds: float | None
    p99_seconds: float | None
    answered_at: datetime | None
    age_seconds: float | None
    lost: int
    failing_since: datetime | None

    @property
    def failing(self) -> bool:
        return self.failing_since is not None


def quantile(latencies: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile, or None of nothing."""
    ordered = sorted(latencies)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def failed(*, answered_at: datetime | None, sent_at: datetime | None, watching_since: datetime, now: datetime) -> str:
    """Return in words why the lane has failed, or an empty text.

    *sent_at* is when the last canary left. Nobody can be blamed for what happened before somebody watched: a platform
    that was switched off for the night has no failed lane in the morning.
    """
    quiet_since = max(answered_at or watching_since, watching_since)
    quiet = (now - quiet_since).total_seconds()
    if quiet < FAILED_AFTER.total_seconds():
        return ""
    if sent_at is None or sent_at <= quiet_since:
        return f"The algedonic lane is not tested: no canary has left for {quiet:.0f} s."
    return f"The algedonic lane is dead: no canary has come through for {quiet:.0f} s."
