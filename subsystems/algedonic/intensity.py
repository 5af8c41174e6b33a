"""How much it hurts: severity and intensity of a signal, and whether a measure is felt at all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from subsystems.kernel.errors import Invalid
from subsystems.kernel.severity import INTENSITY, Severity, parse_severity, severity_of_intensity


class SignalType(StrEnum):
    PAIN = "pain"
    PLEASURE = "pleasure"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which intensity a measure becomes a signal (requirements 000-63, 2-5)."""

    pain: float = 0.7
    pleasure: float = 0.8

    def of(self, type_: SignalType) -> float:
        return self.pain if type_ is SignalType.PAIN else self.pleasure


@dataclass(frozen=True, slots=True)
class Felt:
    """A signal's severity and the intensity that goes with it."""

    severity: Severity
    intensity: float


def felt(type_: SignalType, severity: str | None, intensity: float | None, thresholds: Thresholds) -> Felt | None:
    """Return how strongly a signal is felt; None for an intensity below the threshold of its type.

    Whoever names a severity has judged already and is heard; an intensity alone is a measure, and the thresholds judge
    it. Without either a signal is medium (000-30). Raises Invalid naming `severity` or `intensity`.
    """
    _check(intensity)
    if severity is not None:
        known = parsed_severity(severity)
        return Felt(known, INTENSITY[known] if intensity is None else float(intensity))
    if intensity is None:
        return Felt(Severity.MEDIUM, INTENSITY[Severity.MEDIUM])
    if intensity < thresholds.of(type_):
        return None
    return Felt(severity_of_intensity(intensity), float(intensity))


def parsed_type(text: object) -> SignalType:
    """Return the type that *text* names. Raises Invalid."""
    try:
        return SignalType(str(text))
    except ValueError:
        raise Invalid("A signal is pain or pleasure.", field="type") from None


def parsed_severity(text: object) -> Severity:
    """Return the severity that *text* names. Raises Invalid."""
    try:
        return parse_severity(str(text))
    except ValueError:
        raise Invalid(f"A severity is one of {', '.join(Severity)}.", field="severity") from None


def worse(first: Severity, second: Severity) -> Severity:
    """Return the more severe of the two."""
    return max(first, second, key=lambda each: INTENSITY[each])


def _check(intensity: object) -> None:
    if intensity is None:
        return
    number = isinstance(intensity, int | float) and not isinstance(intensity, bool)
    if not number or not 0 <= intensity <= 1:  # type: ignore[operator]
        raise Invalid("An intensity is a number from 0 to 1.", field="intensity")
