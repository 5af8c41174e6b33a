"""The variety calculator: measures, remembers, and tells of imbalances (requirements 000-21 to 000-28).

It lives in one process and writes nothing down; the telemetry events that it emits are for whoever does.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from subsystems.kernel import telemetry_events
from subsystems.kernel.words import Subsystem
from subsystems.telemetry import requisite
from subsystems.telemetry.entropy import Variety, variety
from subsystems.telemetry.requisite import Bands, Outside, Range, RangeFinding, Requisite
from subsystems.telemetry.states import Binning, States

KEPT = 1_000  # calculations; the documents keep all of them, which no memory does
Emit = Callable[[str, Mapping[str, Any], Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Calculation:
    """One measurement of one subsystem at *at* (epoch seconds), and where it lies in the range of its role."""

    subsystem: Subsystem
    at: float
    measured: Variety
    finding: RangeFinding

    def to_wire(self) -> dict[str, Any]:
        """Return the documented record (000-24) with the whole measurement beside it."""
        return {
            "subsystem": str(self.subsystem), "variety": self.measured.bits, "timestamp": self.at,
            "state_count": self.measured.observed_states, "measured": self.measured.to_wire(),
            "range": self.finding.to_wire(),
        }  # fmt: skip


class VarietyCalculator:
    """Calculates for all subsystems of one system, from any thread."""

    def __init__(
        self,
        *,
        ranges: Mapping[Subsystem, Range] = requisite.RANGES,
        bands: Bands | None = None,
        emit: Emit = telemetry_events.emit,
        kept: int = KEPT,
    ) -> None:
        self._ranges, self._bands, self._emit = ranges, bands, emit
        self._latest: dict[Subsystem, Calculation] = {}
        self._history: deque[Calculation] = deque(maxlen=kept)
        self._outside: dict[Subsystem, Outside] = {}
        self._lock = threading.Lock()

    def calculate(
        self,
        subsystem: Subsystem,
        states: States,
        *,
        now: float,
        possible: int | None = None,
        binning: Binning | None = None,
    ) -> Calculation:
        """Measure the variety of the states of *subsystem* and tell it; tell also when it stays outside its range.

        Nothing observed is nothing told. Raises Invalid naming the field.
        """
        measured = variety(states, possible=possible, binning=binning)
        finding = requisite.place(subsystem, measured, self._ranges[subsystem])
        calculation = Calculation(subsystem, now, measured, finding)
        tell = self._remember(calculation)
        if measured.bits is not None:
            self._emit("vsm.variety.calculated", {"variety": measured.bits}, {"subsystem": str(subsystem)})
        imbalance = requisite.range_imbalance(finding) if tell else None
        if imbalance is not None:
            self._emit("vsm.variety.imbalance", *imbalance)
        return calculation

    def check_requisite_variety(self, controller: States, environment: States, **options: Any) -> Requisite:
        """Compare the states of a controller with those of its environment, and tell a lack (000-22, 000-27).

        Options are those of `requisite.check_requisite_variety`.
        """
        judged = requisite.check_requisite_variety(controller, environment, **{"bands": self._bands, **options})
        imbalance = requisite.imbalance(judged)
        if imbalance is not None:
            self._emit("vsm.variety.imbalance", *imbalance)
        return judged

    def latest(self) -> dict[Subsystem, Calculation]:
        """Return the last calculation of each subsystem."""
        with self._lock:
            return dict(self._latest)

    def history(self) -> list[Calculation]:
        """Return the last calculations of all, oldest first."""
        with self._lock:
            return list(self._history)

    def _remember(self, calculation: Calculation) -> bool:
        """Keep a calculation; return whether its range is to be told of."""
        subsystem = calculation.subsystem
        with self._lock:
            self._latest[subsystem] = calculation
            self._history.append(calculation)
            before = self._outside.get(subsystem, Outside())
            self._outside[subsystem], tell = requisite.note_range(before, calculation.finding)
        return tell
