"""How urgent a signal or message is: four levels, their numbers, and the intensity that means them."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """Signal severity, four levels (requirements 000-30, 2-3)."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


INTENSITY = {Severity.CRITICAL: 1.0, Severity.HIGH: 0.8, Severity.MEDIUM: 0.5, Severity.LOW: 0.2}  # 000-32
FROM_INTENSITY = ((0.9, Severity.CRITICAL), (0.7, Severity.HIGH), (0.5, Severity.MEDIUM))  # 000-31, 2-4
PRIORITY = {Severity.CRITICAL: 10, Severity.HIGH: 8, Severity.MEDIUM: 5, Severity.LOW: 2}
ALIASES = {"emergency": Severity.CRITICAL}  # 2-3


def parse_severity(text: str) -> Severity:
    """Return the severity that *text* names, `emergency` included. Raises ValueError for any other word."""
    return ALIASES.get(text) or Severity(text)


def severity_of_intensity(intensity: float) -> Severity:
    """Return the severity that an intensity of 0 to 1 means (requirements 2-4)."""
    return next((severity for least, severity in FROM_INTENSITY if intensity >= least), Severity.LOW)


def severity_of_priority(priority: int) -> Severity:
    """Return the least severe level whose priority reaches *priority*: the class in which it is limited and carried."""
    return next((s for s in reversed(Severity) if PRIORITY[s] >= priority), Severity.CRITICAL)
