"""What a system's variety is judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from subsystems.kernel.errors import Invalid
from subsystems.kernel.words import Subsystem
from subsystems.telemetry.requisite import RANGES, Bands, Range

MOST_BITS = 64.0


@dataclass(frozen=True, slots=True)
class Rules:
    """The bands of the ratio, what queues absorb, what may come out, and the range of each subsystem."""

    bands: Bands = field(default_factory=Bands)
    buffer_bits: float = 0.0
    goal_bits: float = 0.0
    ranges: Mapping[Subsystem, Range] = field(default_factory=lambda: RANGES)


def check(rules: Rules) -> None:
    """Raise Invalid, naming the field, for rules by which nothing could be judged."""
    bands = rules.bands
    numbers = {**asdict(bands), "buffer_bits": rules.buffer_bits, "goal_bits": rules.goal_bits}
    for name, number in numbers.items():
        if not (isinstance(number, (int, float)) and math.isfinite(number) and number >= 0):
            raise Invalid("A finite number from 0.", field=name)
    if bands.sufficient_from < bands.critical_below:
        raise Invalid("Not below the end of what is critical.", field="sufficient_from")
    if bands.excess_above < bands.sufficient_from:
        raise Invalid("Not below what is sufficient.", field="excess_above")


def ranges_of(stored: Any) -> dict[Subsystem, Range]:
    """Return the range of each subsystem: as *stored*, else as documented. Raises Invalid."""
    return {**RANGES, **_ranges(stored)}


def _ranges(stored: Any) -> dict[Subsystem, Range]:
    if not isinstance(stored, dict):
        raise Invalid('An object of ranges, such as {"s1": [2.0, 4.0]}.', field="ranges")
    return {_subsystem(name): _range(name, ends) for name, ends in stored.items()}


def _subsystem(name: str) -> Subsystem:
    try:
        return Subsystem(name)
    except ValueError:
        raise Invalid(f"There is no subsystem {name!r:.20}; there are s1 to s5.", field="ranges") from None


def _range(name: str, ends: Any) -> Range:
    numbers = isinstance(ends, list) and len(ends) == 2 and all(type(end) in {int, float} for end in ends)
    if not numbers or not 0 <= ends[0] <= ends[1] <= MOST_BITS:
        raise Invalid(f"{name}: two numbers of bits from 0 to {MOST_BITS:g}, the lower first.", field="ranges")
    return Range(float(ends[0]), float(ends[1]))
