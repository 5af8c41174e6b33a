"""The calculator tells what it measured, once and to whoever listens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from subsystems.kernel.telemetry_events import Bus
from subsystems.kernel.words import Subsystem
from subsystems.telemetry.calculator import VarietyCalculator

NOON = 1_790_000_400.0


def listening(**options: Any) -> tuple[VarietyCalculator, list[tuple[str, dict[str, Any], dict[str, Any]]]]:
    """A calculator on a real bus, and what is heard there."""
    bus, heard = Bus(), []

    def hear(event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        heard.append((event, dict(measurements), dict(metadata)))

    bus.attach("test", "vsm.variety.*", hear)
    return VarietyCalculator(emit=bus.emit, **options), heard


def test_a_calculation_is_told_and_kept() -> None:
    """000-17, 000-20, 000-24."""
    calculator, heard = listening()

    found = calculator.calculate(Subsystem.S1, list("abcd") * 25, now=NOON)

    assert heard == [("vsm.variety.calculated", {"variety": 2.0}, {"subsystem": "s1"})]
    assert calculator.latest() == {Subsystem.S1: found}
    wire = found.to_wire()
    assert [wire[name] for name in ("subsystem", "variety", "timestamp", "state_count")] == ["s1", 2.0, NOON, 4]


def test_silence_is_not_told_as_a_variety_of_zero() -> None:
    """Whoever listens could not tell it from perfect order."""
    calculator, heard = listening()

    calculator.calculate(Subsystem.S1, [], now=NOON)

    assert heard == []


def test_a_subsystem_that_stays_outside_its_range_is_told_once() -> None:
    """S4 sees two things only, five times in a row."""
    calculator, heard = listening()
    for n in range(5):
        calculator.calculate(Subsystem.S4, list("ab") * 20, now=NOON + n)

    told = [(numbers, about) for event, numbers, about in heard if event == "vsm.variety.imbalance"]
    assert told == [({"ratio": 0.4, "deficit": 1.5}, {"type": "below_range", "subsystem": "s4"})]


def test_a_lack_of_requisite_variety_is_told() -> None:
    """000-18, 000-27: less than one only."""
    calculator, heard = listening()

    calculator.check_requisite_variety(list("ab") * 20, list("abcd") * 20)
    calculator.check_requisite_variety(list("abcd") * 20, list("ab") * 20)

    assert heard == [("vsm.variety.imbalance", {"ratio": 0.5, "deficit": 1.0}, {"type": "insufficient"})]


def test_the_history_has_an_end() -> None:
    """The documented one grows for ever."""
    calculator, _ = listening(kept=3)
    for n in range(5):
        calculator.calculate(Subsystem.S2, ["a"], now=NOON + n)

    assert [each.at for each in calculator.history()] == [NOON + 2, NOON + 3, NOON + 4]
