"""When an operation takes far too long: more than twice what is expected of it is pain (000-51, 000-52).

The documents expect 50, 100 and 20 ms of `process`, `transform` and `validate`, and 75 ms of anything else. Work that
takes a second by its nature would hurt without end, so anything else is judged by its own past: at least 75 ms, and
not before a hundred of it were seen. What is declared or documented hurts at the first one that is too slow; what was
only learnt hurts when the last five minutes on average are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from subsystems.telemetry.recorders import EXPECTED_ELSE_MS, EXPECTED_MS, SLOW_FACTOR, OperationRecorder, Totals

LEAST_TO_LEARN = 100
LEAST_RECENT = 3
PREFIX = "s1:"
MAX_SOURCE = 200


class Basis(StrEnum):
    """Where an expectation comes from."""

    DECLARED = "declared"
    DOCUMENTED = "documented"
    LEARNT = "learnt"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Expectation:
    """How long an operation should take; None where nothing tells."""

    ms: float | None
    basis: Basis


@dataclass(frozen=True, slots=True)
class Slow:
    """Operations that took more than twice what was expected."""

    unit: str
    operation: str
    worst_ms: float
    expected_ms: float
    count: int

    @property
    def factor(self) -> float:
        """Return how many times too long the worst took."""
        return self.worst_ms / self.expected_ms if self.expected_ms else float("inf")

    @property
    def source(self) -> str:
        """Return whose pain it is."""
        return source_of(self.unit)

    @property
    def words(self) -> str:
        """Return it as a sentence."""
        return f"{self.operation} took up to {self.worst_ms:.0f} ms; {self.expected_ms:.0f} ms were expected."

    def to_data(self) -> dict[str, Any]:
        """Return the documented data of the signal, and how many there were."""
        return {
            "unit": self.unit, "operation": self.operation, "duration": self.worst_ms, "expected": self.expected_ms,
            "count": self.count,
        }  # fmt: skip


def source_of(unit: str) -> str:
    """Return the source of pains of *unit*."""
    return f"{PREFIX}{unit}"[:MAX_SOURCE]


def expectation_of(operation: str, *, declared: float | None, count: int, p95: float | None) -> Expectation:
    """Return what is expected of an operation that *count* runs are known of."""
    if declared is not None:
        return Expectation(declared, Basis.DECLARED)
    if operation in EXPECTED_MS:
        return Expectation(EXPECTED_MS[operation], Basis.DOCUMENTED)
    if p95 is not None and count >= LEAST_TO_LEARN:
        return Expectation(max(EXPECTED_ELSE_MS, p95), Basis.LEARNT)
    return Expectation(None, Basis.UNKNOWN)


def judge(unit: str, operation: str, fresh: OperationRecorder, expectation: Expectation) -> Slow | None:
    """Return what of *fresh* operations took too long; how many is right to 1 % of the limit, the worst is exact."""
    worst = fresh.durations.max
    if expectation.ms is None or worst is None or worst <= SLOW_FACTOR * expectation.ms:
        return None
    share = fresh.durations.share_at_most(SLOW_FACTOR * expectation.ms) or 0.0
    count = max(1, round((1 - share) * fresh.durations.count))
    return Slow(unit, operation, worst, expectation.ms, count)


def hurts(slow: Slow | None, recent: Totals, expectation: Expectation) -> bool:
    """Return whether it is worth a signal; *recent* are the last five minutes."""
    if slow is None or expectation.basis is not Basis.LEARNT:
        return slow is not None
    mean = recent.avg_duration
    return recent.count >= LEAST_RECENT and mean is not None and mean > SLOW_FACTOR * slow.expected_ms
