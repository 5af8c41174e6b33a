"""Whether an act on a subject is held back, so that acts do not chase each other (requirements 001-2, 3.5, 3.8).

A subject is whatever several could act on: the workers of a queue, a limit, a pool. A direction is +1 for an act that
adds, -1 for one that takes away, 0 for one that does neither. What adds brings relief and does not wait. What takes
away waits until it was not needed for a whole window without a break, as the stabilisation window of Kubernetes'
HorizontalPodAutoscaler does for scale-in; the window is learnt:

- what was taken away and wanted back had not been needed for so long: from then on half as long again is waited;
- a demand that swings is waited for through a whole period of it, before anything had to be wanted back;
- each reversal doubles the wait, for what has no rhythm.

So a load like a saw is turned round twice and no more, and costs some idle workers and not its promises. The price is
bounded: where more than policy allows stands idle on average, only the first wait holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

MOST_LEVELS = 20  # doubling more often leaves every bound behind
MARGIN = 1.5  # over the longest time after which something was wanted back: no two teeth are alike


class Code(StrEnum):
    """Why an act may or may not be done."""

    CLEAR = "clear"
    OFF = "off"  # the damping of this system is switched off
    TAKEN = "taken"  # another writer acts on the subject: a conflict
    REVERSAL = "reversal"  # it would undo too early what was done last
    HELD = "held"  # somebody or something put the damper down


@dataclass(frozen=True)
class DampingTerms:
    """How long reversals wait. *relief* is for what adds after something was taken away, *retreat* for the contrary.

    *most_extra* bounds the price: 0.5 for at most half as much again as was needed, on average. A saw that starts at
    nothing needs half of its peak on average, so to keep the peak is 1.0, and what a scaler overshoots comes on top.
    """

    enabled: bool = True
    relief_seconds: float = 0.0
    longest_relief_seconds: float = 60.0
    retreat_seconds: float = 300.0
    longest_retreat_seconds: float = 7200.0
    factor: float = 2.0
    calm_seconds: float = 3600.0
    lease_seconds: float = 60.0
    most_extra: float = 1.5


@dataclass(frozen=True)
class Wish:
    """An act that somebody wants. *since* is from when on it has been wanted without a break, None: from now.

    *extra* is by how much more there is than was needed lately, on average: 0.5 is half as much again; None is unknown.
    """

    direction: int
    since: datetime | None = None
    extra: float | None = None


@dataclass(frozen=True)
class Past:
    """What is known of a subject: its last act, how often it was turned round, and who acts on it now.

    *idle_since*: what was taken away last, or is asked for, was not needed from then on. *returns_seconds*: so long
    after it was needed last something was wanted back, at most. *period_seconds*: as demand was seen to swing.
    """

    direction: int = 0  # of the last act that had one
    acted_at: datetime | None = None
    reversals: int = 0
    unrest_at: datetime | None = None  # a reversal was done or asked for then, for the last time
    leased_to: str = ""
    leased_until: datetime | None = None
    held_until: datetime | None = None
    held_why: str = ""
    idle_since: datetime | None = None
    returns_seconds: float = 0.0
    period_seconds: float | None = None
    period_at: datetime | None = None


@dataclass(frozen=True)
class Verdict:
    """What was decided about one act."""

    code: Code
    reason: str = ""
    retry_at: datetime | None = None

    @property
    def allowed(self) -> bool:
        return self.code in (Code.CLEAR, Code.OFF)


def decide(past: Past, terms: DampingTerms, wish: Wish, *, now: datetime) -> Verdict:
    """Decide whether what somebody wishes may be done now.

    The lease holds even where damping is off: two writers at once are an error, not a matter of taste.
    """
    if past.leased_until is not None and now < past.leased_until:
        who = past.leased_to or "Somebody"
        return Verdict(Code.TAKEN, f"{who} is acting on it: one writer at a time.", past.leased_until)
    if not terms.enabled:
        return Verdict(Code.OFF, "The damping of this system is switched off.")
    held = past.held_until is not None and now < past.held_until and not is_dear(terms, wish)
    if wish.direction <= 0 and held:
        return Verdict(Code.HELD, past.held_why or "It is held.", past.held_until)
    until = free_at(past, terms, wish, now=now)
    if until is not None and now < until:
        return Verdict(Code.REVERSAL, _reversal_text(past, terms, wish, now), until)
    return Verdict(Code.CLEAR, "Nothing speaks against it.")


def level(past: Past, terms: DampingTerms, *, now: datetime) -> int:
    """Return how many reversals count at *now*: one is forgotten with each spell of calm."""
    if past.unrest_at is None:
        return 0
    calm = max((now - past.unrest_at).total_seconds(), 0.0)
    return max(past.reversals - int(calm // terms.calm_seconds), 0)


def returns_after(past: Past, terms: DampingTerms, *, now: datetime) -> float:
    """Return after how many seconds without need something was wanted back, at most; 0 where that is forgotten.

    It is forgotten after a spell of calm, or after twice as long as it lasted itself.
    """
    if past.unrest_at is None:
        return 0.0
    calm = (now - past.unrest_at).total_seconds()
    return past.returns_seconds if calm <= max(terms.calm_seconds, 2 * past.returns_seconds) else 0.0


def rhythm_seconds(past: Past, terms: DampingTerms, *, now: datetime) -> float:
    """Return for how long to wait for what comes again: as learnt from what was wanted back, and as seen in demand.

    A rhythm that not even the longest wait would outlast is none to wait for: it would only cost.
    """
    learnt, period = returns_after(past, terms, now=now), 0.0
    if past.period_seconds is not None and past.period_at is not None:
        fresh = (now - past.period_at).total_seconds() <= past.period_seconds
        period = past.period_seconds if fresh else 0.0
    longest = terms.longest_retreat_seconds
    waits = [min(MARGIN * learnt, longest) if learnt <= longest else 0.0, period if period <= longest else 0.0]
    return max(waits)


def is_dear(terms: DampingTerms, wish: Wish) -> bool:
    """Return whether more stands idle than policy allows, on average: then it is not waited for what may come."""
    return wish.extra is not None and wish.extra > terms.most_extra


def free_at(past: Past, terms: DampingTerms, wish: Wish, *, now: datetime) -> datetime | None:
    """Return from when a wish is no early reversal, or None when it is none at all.

    What takes away waits from when it was needed last, what adds from the act that it turns round.
    """
    if past.acted_at is None or not is_reversal(past, wish.direction):
        return None
    begun = past.acted_at
    if wish.direction < 0 and wish.since is not None:
        begun = max(begun, wish.since)
    return begun + timedelta(seconds=wait_seconds(past, terms, wish, now=now))


def wait_seconds(past: Past, terms: DampingTerms, wish: Wish, *, now: datetime) -> float:
    """Return how long a wish that turns round what was done last waits."""
    backoff = float(terms.factor) ** min(level(past, terms, now=now), MOST_LEVELS)
    if wish.direction > 0:
        return min(terms.relief_seconds * backoff, terms.longest_relief_seconds)
    first, longest = terms.retreat_seconds, terms.longest_retreat_seconds
    if is_dear(terms, wish):
        return min(first, longest)
    return min(max(first * backoff, rhythm_seconds(past, terms, now=now)), longest)


def is_reversal(past: Past, direction: int) -> bool:
    """Return whether an act in *direction* would turn the last one round."""
    return past.direction * direction < 0


def acted(past: Past, terms: DampingTerms, wish: Wish, *, now: datetime) -> Past:
    """Return what is known of the subject after an act."""
    if wish.direction == 0:
        return past
    reversals, unrest_at = level(past, terms, now=now), past.unrest_at
    returns = returns_after(past, terms, now=now)
    if is_reversal(past, wish.direction) and past.acted_at is not None:
        soon = now - past.acted_at <= timedelta(seconds=terms.calm_seconds)  # once a day is no ping-pong
        if soon:
            reversals, unrest_at = min(reversals + 1, MOST_LEVELS), now
        if soon and wish.direction > 0:
            returns = max(returns, (now - (past.idle_since or past.acted_at)).total_seconds())
    if reversals != past.reversals and unrest_at == past.unrest_at:
        unrest_at = now if reversals else None  # what was forgotten is not forgotten twice
    idle_since = (wish.since or now) if wish.direction < 0 else None
    return replace(
        past, direction=wish.direction, acted_at=now, reversals=reversals, unrest_at=unrest_at, idle_since=idle_since,
        returns_seconds=returns,
    )  # fmt: skip


def refused(past: Past, terms: DampingTerms, wish: Wish, *, now: datetime) -> Past:
    """Return what is known of the subject after a reversal was asked for in vain: who still wants it is not calm."""
    idle_since = wish.since if wish.direction < 0 else past.idle_since
    return replace(
        past, reversals=level(past, terms, now=now), unrest_at=now, idle_since=idle_since,
        returns_seconds=returns_after(past, terms, now=now),
    )  # fmt: skip


def _reversal_text(past: Past, terms: DampingTerms, wish: Wish, now: datetime) -> str:
    ago = round((now - (past.acted_at or now)).total_seconds())
    done = "Something was added" if past.direction > 0 else "Something was taken away"
    count = level(past, terms, now=now)
    turned = f", and it was turned round {count} time{'s' if count > 1 else ''} lately" if count else ""
    rhythm = 0.0 if wish.direction > 0 or is_dear(terms, wish) else rhythm_seconds(past, terms, now=now)
    comes = f" What is not needed now comes again: it waits {rhythm:.0f} s for that." if rhythm else ""
    return f"{done} {ago} s ago{turned}.{comes}"
