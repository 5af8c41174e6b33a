"""What a benchmark says, and how each is run: alone, in a process and a home of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MARK = "benchmark-results: "


@dataclass(frozen=True)
class Result:
    """One figure beside what it is measured against; `less` or `more` of it is better."""

    name: str
    promise: str
    measured: float
    against: float
    unit: str
    better: str = "less"
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        return self.measured / self.against

    @property
    def holds(self) -> bool:
        return self.ratio <= 1 if self.better == "less" else self.ratio >= 1

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "holds": self.holds}


def report(run: Callable[[], Sequence[Result]]) -> None:
    """Run one benchmark and print what it found, for `python -m benchmarks` to read."""
    print(MARK + json.dumps([result.to_json() for result in run()]), flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that *share* of *values* do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
