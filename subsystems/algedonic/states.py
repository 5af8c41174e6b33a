"""The life of a signal: what may be done with it, and when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from subsystems.kernel.errors import Refused


class State(StrEnum):
    RECEIVED = "received"
    INVESTIGATING = "investigating"
    RESPONDING = "responding"
    RESOLVED = "resolved"
    FALSE_ALARM = "false_alarm"


OPEN = (State.RECEIVED, State.INVESTIGATING, State.RESPONDING)


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that is done with a signal; *fact* is the type of the event that records it."""

    name: str
    sources: tuple[State, ...]
    target: State
    fact: str

    @property
    def ends(self) -> bool:
        return self.target not in OPEN


ACKNOWLEDGE = Verb("acknowledged", (State.RECEIVED,), State.INVESTIGATING, "AlgedonicSignalAcknowledged")
RESPOND = Verb(
    "responded to", (State.RECEIVED, State.INVESTIGATING), State.RESPONDING, "AlgedonicSignalResponseStarted"
)
RESOLVE = Verb("resolved", OPEN, State.RESOLVED, "AlgedonicSignalResolved")
FALSE_ALARM = Verb("called a false alarm", OPEN, State.FALSE_ALARM, "AlgedonicSignalFalseAlarm")


def why_not(verb: Verb, state: State, holder: str = "") -> Refused:
    """Return why *verb* cannot be done with a signal in *state*."""
    if state not in OPEN:
        words = "resolved" if state is State.RESOLVED else "a false alarm"
        return Refused(f"This signal is over ({words}) and stays so; raise a new one.", code="not_open")
    by = f" by {holder}" if holder else ""
    return Refused(f"This signal is {state} already{by}: it cannot be {verb.name} again.", code="already_answered")
