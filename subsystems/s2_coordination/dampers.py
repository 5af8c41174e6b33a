"""Whether an act on a subject is held back, so that acts do not chase each other (requirements 001-2, 3.5, 3.8).

A subject is whatever several could act on: the workers of a queue, a limit, a pool. A direction is +1 for an act that
adds, -1 for one that takes away, 0 for one that does neither. What adds brings relief and waits little; what takes away
after something was added waits long, and twice as long after each further reversal. So a load like a saw costs some
idle workers and not its promises.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

MOST_LEVELS = 20  # doubling more often leaves every bound behind


class Code(StrEnum):
    """Why an act may or may not be done."""

    CLEAR = "clear"
    OFF = "off"  # the damping of this system is switched off
    TAKEN = "taken"  # another writer acts on the subject: a conflict
    REVERSAL = "reversal"  # it would undo too early what was done last
    HELD = "held"  # somebody or something put the damper down


@dataclass(frozen=True)
class DampingTerms:
    """How long reversals wait. *relief* is for what adds after something was taken away, *retreat* for the contrary."""

    enabled: bool = True
    relief_seconds: float = 15.0
    longest_relief_seconds: float = 60.0
    retreat_seconds: float = 300.0
    longest_retreat_seconds: float = 7200.0
    factor: float = 2.0
    calm_seconds: float = 3600.0
    lease_seconds: float = 60.0


@dataclass(frozen=True)
class Past:
    """What is known of a subject: its last act, how often it was turned round, and who acts on it now."""

    direction: int = 0  # of the last act that had one
    acted_at: datetime | None = None
    reversals: int = 0
    unrest_at: datetime | None = None  # a reversal was done or asked for then, for the last time
    leased_to: str = ""
    leased_until: datetime | None = None
    held_until: datetime | None = None
    held_why: str = ""


@dataclass(frozen=True)
class Verdict:
    """What was decided about one act."""

    code: Code
    reason: str = ""
    retry_at: datetime | None = None

    @property
    def allowed(self) -> bool:
        return self.code in (Code.CLEAR, Code.OFF)


def decide(past: Past, terms: DampingTerms, direction: int, *, now: datetime) -> Verdict:
    """Decide whether an act in *direction* may be done now.

    The lease holds even where damping is off: two writers at once are an error, not a matter of taste.
    """
    if past.leased_until is not None and now < past.leased_until:
        who = past.leased_to or "Somebody"
        return Verdict(Code.TAKEN, f"{who} is acting on it: one writer at a time.", past.leased_until)
    if not terms.enabled:
        return Verdict(Code.OFF, "The damping of this system is switched off.")
    if direction <= 0 and past.held_until is not None and now < past.held_until:
        return Verdict(Code.HELD, past.held_why or "It is held.", past.held_until)
    until = free_at(past, terms, direction, now=now)
    if until is not None and now < until:
        return Verdict(Code.REVERSAL, _reversal_text(past, terms, now), until)
    return Verdict(Code.CLEAR, "Nothing speaks against it.")


def level(past: Past, terms: DampingTerms, *, now: datetime) -> int:
    """Return how many reversals count at *now*: one is forgotten with each spell of calm."""
    if past.unrest_at is None:
        return 0
    calm = max((now - past.unrest_at).total_seconds(), 0.0)
    return max(past.reversals - int(calm // terms.calm_seconds), 0)


def free_at(past: Past, terms: DampingTerms, direction: int, *, now: datetime) -> datetime | None:
    """Return from when an act in *direction* is no early reversal, or None when it is none at all."""
    if past.acted_at is None or not is_reversal(past, direction):
        return None
    return past.acted_at + timedelta(seconds=wait_seconds(terms, direction, level(past, terms, now=now)))


def wait_seconds(terms: DampingTerms, direction: int, reversals: int) -> float:
    """Return how long a reversal into *direction* waits after so many others."""
    if direction > 0:
        first, longest = terms.relief_seconds, terms.longest_relief_seconds
    else:
        first, longest = terms.retreat_seconds, terms.longest_retreat_seconds
    return min(first * float(terms.factor) ** min(reversals, MOST_LEVELS), longest)


def is_reversal(past: Past, direction: int) -> bool:
    """Return whether an act in *direction* would turn the last one round."""
    return past.direction * direction < 0


def acted(past: Past, terms: DampingTerms, direction: int, *, now: datetime) -> Past:
    """Return what is known of the subject after an act in *direction*."""
    if direction == 0:
        return past
    reversals, unrest_at = level(past, terms, now=now), past.unrest_at
    if is_reversal(past, direction) and past.acted_at is not None:
        soon = now - past.acted_at <= timedelta(seconds=terms.calm_seconds)  # once a day is no ping-pong
        if soon:
            reversals, unrest_at = min(reversals + 1, MOST_LEVELS), now
    if reversals != past.reversals and unrest_at == past.unrest_at:
        unrest_at = now if reversals else None  # what was forgotten is not forgotten twice
    return replace(past, direction=direction, acted_at=now, reversals=reversals, unrest_at=unrest_at)


def refused(past: Past, terms: DampingTerms, *, now: datetime) -> Past:
    """Return what is known of the subject after a reversal was asked for in vain: who still wants it is not calm."""
    return replace(past, reversals=level(past, terms, now=now), unrest_at=now)


def _reversal_text(past: Past, terms: DampingTerms, now: datetime) -> str:
    ago = round((now - (past.acted_at or now)).total_seconds())
    done = "Something was added" if past.direction > 0 else "Something was taken away"
    count = level(past, terms, now=now)
    turned = f", and it was turned round {count} time{'s' if count > 1 else ''} lately" if count else ""
    return f"{done} {ago} s ago{turned}."
