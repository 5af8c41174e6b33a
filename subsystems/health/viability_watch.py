"""The alert state machine over viability (002-33, with 2-33 for the way down from critical)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from subsystems.health.viability import Level


class Notice(StrEnum):
    """What people are told."""

    CRITICAL = "critical"
    WARNING = "warning"
    IMPROVED = "improved"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Step:
    """The state after an assessment, and what to tell, if anything."""

    state: Level
    notice: Notice | None


def step(state: Level, level: Level) -> Step:
    """Return where *state* (never unknown) goes when an assessment says *level*.

    Critical is told on entry and warning only from normal, as documented. Critical to warning is told as improved,
    because silence there left people at an alarm that no longer held. Unknown is no news: it neither alerts nor
    recovers.
    """
    if level in (Level.UNKNOWN, state):
        return Step(state, None)
    if level is Level.CRITICAL:
        return Step(level, Notice.CRITICAL)
    if level is Level.WARNING:
        return Step(level, Notice.WARNING if state is Level.NORMAL else Notice.IMPROVED)
    return Step(level, Notice.RECOVERED)
