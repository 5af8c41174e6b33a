"""How often something may happen: the generic cell rate algorithm, which is a token bucket with one number per key.

Source: ITU-T I.371 (2004), annex A, "virtual scheduling algorithm": a cell at time `ta` conforms unless it comes
earlier than `TAT - tau`; then `TAT = max(ta, TAT) + T`. Here `T = period / limit` and `tau = (burst - 1) * T`, so that
exactly *burst* conform at once after a pause. In any window of w seconds at most `burst + w / T` conform
(requirements 2-39: with `burst = limit`, twice the limit in the first period after a pause).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Limit:
    """*limit* a period over time, *burst* at once."""

    limit: float
    period_seconds: float
    burst: float

    @property
    def interval_seconds(self) -> float:
        """T: the time in which one more is earned."""
        return self.period_seconds / self.limit

    def share(self, part: float) -> Limit:
        """Return *part* of this limit: a fraction of the rate, and at least one at once."""
        return Limit(self.limit * part, self.period_seconds, max(1.0, self.burst * part))


class Step(NamedTuple):
    """The TAT to keep, and how long to wait until one more conforms; nothing to wait for means that this one does."""

    due_at: float
    wait_seconds: float = 0.0

    @property
    def allowed(self) -> bool:
        return self.wait_seconds <= 0


def step(due_at: float, limit: Limit, *, now: float) -> Step:
    """Decide on one at *now* (seconds of any clock); *due_at* is the TAT that was kept, 0 at first.

    A TAT further ahead than a full bucket comes from a clock set back or a limit made wider: it counts as a full one.
    """
    depth = limit.burst * limit.interval_seconds
    held = min(due_at, now + depth)
    earned_at = max(now, held) + limit.interval_seconds
    wait = earned_at - depth - now
    return Step(held, wait) if wait > _slack(limit) else Step(earned_at)


def step_all(held: Sequence[tuple[float, Limit]], *, now: float) -> tuple[list[Step], int | None]:
    """Decide on one that needs room in every one of *held*; return the steps and which was the first to refuse.

    When one refuses, only the steps that refuse may be kept: a message refused by one layer must not use up another.
    """
    steps = [step(due_at, limit, now=now) for due_at, limit in held]
    return steps, next((place for place, found in enumerate(steps) if not found.allowed), None)


def _slack(limit: Limit) -> float:
    """Return what rounding of sums may make of a wait of nothing."""
    return limit.interval_seconds * 1e-6
