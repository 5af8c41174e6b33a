"""When many similar signals become one that says so (requirements 000-36, 000-37, 2-36)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from subsystems.algedonic.intensity import worse
from subsystems.kernel.severity import Severity


@dataclass(frozen=True, slots=True)
class Rules:
    """More than *more_than* signals of one source and type, each younger than the window, are a pattern."""

    window_seconds: float = 300.0
    more_than: int = 5


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is remembered of one source and type: its last few times (epoch seconds), and the aggregate's window."""

    recent: Sequence[float] = ()
    fired_at: float | None = None


class Outcome(StrEnum):
    NOTHING = "nothing"
    FIRES = "fires"  # a new aggregate is due
    GROWS = "grows"  # the aggregate of this window counts one more


def note(memory: Memory, at: float, rules: Rules) -> tuple[Memory, Outcome]:
    """Return what is remembered after a signal at *at*, and what follows from it.

    Ages are taken from the newest signal, not from a clock: what a broken broker delivers late is a pattern still.
    """
    newest = max([at, *memory.recent])
    young = sorted(moment for moment in [*memory.recent, at] if newest - moment < rules.window_seconds)
    recent = tuple(young[-(rules.more_than + 1) :])
    if memory.fired_at is not None and newest - memory.fired_at < rules.window_seconds:
        return Memory(recent, memory.fired_at), Outcome.GROWS
    if len(recent) > rules.more_than:
        return Memory(recent, newest), Outcome.FIRES
    return Memory(recent, None), Outcome.NOTHING


def aggregate_severity(original: Severity) -> Severity:
    """Return the severity of the aggregate: high at least, and never less than what it stands for."""
    return worse(original, Severity.HIGH)
