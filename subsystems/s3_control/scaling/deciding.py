"""How many slots a queue's readers should have: each driver says how many it wants, the most hungry one is heard.

More: the largest size that any driver wants. Fewer: only when every driver that is known agrees. Thresholds for more
and fewer lie apart, windows are judged by their 95th percentile, and both directions cool down (§3.8, 004-38, 004-39).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

FRESH_SECONDS = 60.0
GROWTH = 2.0  # at most so many times as large in one step
LOOK_BACK_SECONDS = 7200.0  # over which it is reckoned what stood idle: as long as S2 waits at most


@dataclass(frozen=True, slots=True)
class Terms:
    """The policy. A driver whose threshold is None is not asked."""

    least: int = 2
    most: int = 20
    safe: int | None = None
    out_cooldown_seconds: float = 300.0
    in_cooldown_seconds: float = 300.0
    window_seconds: float = 300.0
    in_window_seconds: float = 600.0
    out_at: float = 0.9
    in_at: float = 0.3
    depth_per_slot: float | None = None
    oldest_seconds: float | None = None
    drain_seconds: float | None = None
    response_ms: float | None = 1000.0
    pain_signals: int | None = 10


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that is known, None for what is not: p95 over the window for more, *quiet* ones over that for fewer."""

    size: int | None
    age_seconds: float | None
    utilisation: float | None = None  # busy slots / slots
    quiet_utilisation: float | None = None
    depth: float | None = None  # messages that wait
    oldest_seconds: float | None = None
    rate_in: float | None = None  # messages a second
    rate_each: float | None = None  # what one busy slot does a second
    response_ms: float | None = None
    pain_signals: int | None = None
    last_out_at: datetime | None = None
    last_in_at: datetime | None = None

    @property
    def variety_load(self) -> float | None:
        """Return what arrives beside what all slots can do (2-17); above 1 a backlog grows."""
        if self.rate_in is None or not self.rate_each or not self.size:
            return None
        return self.rate_in / (self.rate_each * self.size)


@dataclass(frozen=True, slots=True)
class Driver:
    """What one driver says: its value beside its threshold, and the size that it wants. None: it does not know."""

    name: str
    value: float | None
    threshold: float
    wants: int | None
    quiet: bool = False  # it would do with fewer

    def body(self) -> dict[str, Any]:
        value = None if self.value is None else round(self.value, 3)
        return {
            "name": self.name, "value": value, "threshold": self.threshold, "wants": self.wants, "quiet": self.quiet,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """The size to have, and why. *direction* is what is to be done now: 1 more, -1 fewer, 0 nothing."""

    desired: int | None
    direction: int
    why: str
    drivers: tuple[Driver, ...] = ()
    safe: bool = False  # advised without a measurement


def decide(terms: Terms, given: Inputs, *, now: datetime) -> Decision:
    """Return what to do now."""
    if given.size is None:
        return Decision(None, 0, "How many slots there are is not known: hold.")
    if given.age_seconds is None or given.age_seconds > FRESH_SECONDS:
        return _blind(terms, given.size)
    voices = tuple(each for each in drivers(terms, given) if each is not None)
    if given.size < terms.least:
        return Decision(terms.least, 1, f"{given.size} slots are fewer than the fewest.", voices)
    if given.size > terms.most:
        return Decision(terms.most, -1, f"{given.size} slots are more than the most.", voices)
    return _more(terms, given, voices, now) or _fewer(terms, given, voices, now)


def _blind(terms: Terms, size: int) -> Decision:
    if terms.safe is not None and size < min(terms.safe, terms.most):
        return Decision(min(terms.safe, terms.most), 1, "The queue is not measured: the safe size.", safe=True)
    return Decision(size, 0, "The queue is not measured: hold.")


def drivers(terms: Terms, given: Inputs) -> list[Driver | None]:
    """Return what each driver says; None for those that are not asked."""
    size = given.size or 0
    middle = (terms.out_at + terms.in_at) / 2  # where a size is aimed at: far from both thresholds
    load = given.variety_load
    return [
        _share("utilisation", given.utilisation, terms, size, given.utilisation, middle, given.quiet_utilisation),
        _share("variety_load", load, terms, size, load, middle, load),
        _limit("queue_depth", given.depth, terms.depth_per_slot, size, given.depth, each=True),
        _limit("oldest_age", given.oldest_seconds, terms.oldest_seconds, size, None),
        _drain(terms, given, size),
        _limit("response_time", given.response_ms, terms.response_ms, size, None),
        _limit("pain_signals", given.pain_signals, terms.pain_signals, size, None, step=1),
    ]


def _share(
    name: str, value: float | None, terms: Terms, size: int, load: float | None, aim: float, quiet: float | None
) -> Driver:
    wants = math.ceil(size * load / aim) if load is not None and value is not None and value >= terms.out_at else None
    return Driver(name, value, terms.out_at, wants, quiet is not None and quiet <= terms.in_at)


def _limit(
    name: str, value: float | None, limit: float | None, size: int, needed: float | None, *, each: bool = False,
    step: int = 0,
) -> Driver | None:  # fmt: skip
    """Return a driver with a limit: for *each* slot, or for all; how much more helps is half as many, or a *step*."""
    if limit is None:
        return None
    most = limit * size if each else limit
    wants = None
    if value is not None and (value > most if each else value >= most):
        wants = math.ceil(needed / limit) if needed is not None else size + (step or math.ceil(size / 2))
    return Driver(name, value, most, wants, value is not None and value <= most / 2)


def _drain(terms: Terms, given: Inputs, size: int) -> Driver | None:
    """Return how many slots empty the queue within the stated time, by what a slot was seen to do."""
    limit = terms.drain_seconds
    if limit is None:
        return None
    if given.depth is None or given.rate_in is None or not given.rate_each:
        # Nothing waits: nothing to drain, whatever the rates are.
        return Driver("drain_time", 0.0 if given.depth == 0 else None, limit, None, given.depth == 0)
    spare = given.rate_each * size - given.rate_in
    seconds = 0.0 if given.depth == 0 else given.depth / spare if spare > 0 else math.inf
    needed = math.ceil((given.rate_in + given.depth / limit) / given.rate_each)
    told = min(seconds, 1e6)
    return Driver("drain_time", told, limit, needed if seconds > limit else None, seconds <= limit / 2)


def _more(terms: Terms, given: Inputs, voices: tuple[Driver, ...], now: datetime) -> Decision | None:
    size = given.size or 0
    hungry = max((each for each in voices if each.wants), key=lambda each: each.wants or 0, default=None)
    if hungry is None or (hungry.wants or 0) <= size:
        return None
    desired = min(hungry.wants or 0, terms.most, max(size + 1, math.floor(size * GROWTH)))
    words = f"{hungry.name} {hungry.value:.4g} against {hungry.threshold:.4g}"
    if desired <= size:
        return Decision(size, 0, f"{words} wants {hungry.wants}; {terms.most} are the most.", voices)
    if wait := cooling(terms, given, 1, now):
        return Decision(desired, 0, f"{words}: {desired} slots, after the cooldown ({wait:.0f} s).", voices)
    return Decision(desired, 1, f"{words}: {desired} slots instead of {size}.", voices)


def _fewer(terms: Terms, given: Inputs, voices: tuple[Driver, ...], now: datetime) -> Decision:
    size = given.size or 0
    known = [each for each in voices if each.value is not None]
    loud = [each.name for each in known if not each.quiet]
    if given.quiet_utilisation is None or loud:
        return Decision(size, 0, f"As it should be ({', '.join(loud) or 'how busy it is is not known'}).", voices)
    middle = (terms.out_at + terms.in_at) / 2
    needed = max(given.quiet_utilisation, given.variety_load or 0.0) * size / middle
    desired = max(terms.least, math.ceil(needed), math.ceil(size / GROWTH))
    if desired >= size:
        return Decision(size, 0, "Quiet, and as small as it may be.", voices)
    words = f"All that is known is quiet (utilisation {given.quiet_utilisation:.2f})"
    if wait := cooling(terms, given, -1, now):
        return Decision(desired, 0, f"{words}: {desired} slots, after the cooldown ({wait:.0f} s).", voices)
    return Decision(desired, -1, f"{words}: {desired} slots instead of {size}.", voices)


def cooling(terms: Terms, given: Inputs, direction: int, now: datetime) -> float:
    """Return how many seconds are left until a step in *direction* may follow those before; 0 for none."""
    pause = terms.out_cooldown_seconds if direction > 0 else terms.in_cooldown_seconds
    lasts = [at for at in (given.last_out_at, given.last_in_at) if at is not None]
    free_at = max((at + timedelta(seconds=pause) for at in lasts), default=now)
    return max(0.0, (free_at - now).total_seconds())


# --- What S2 is told --------------------------------------------------------------------------------------------------
def idle_since(found: Decision, size: int | None, before: datetime | None, *, now: datetime) -> datetime | None:
    """Return from when on fewer would have done without a break; None where all are needed, or it is not known."""
    fewer = found.desired is not None and size is not None and found.desired < size
    return (before or now) if fewer else None


def extra(terms: Terms, sizes: Sequence[float], used: Sequence[float]) -> float | None:
    """Return by how much more slots there were than were needed, 0.5 for half as many again; None where not known.

    Needed are as many as the busy ones at the load that is aimed at, and never fewer than the fewest.
    """
    middle = (terms.out_at + terms.in_at) / 2
    needed = sum(max(float(terms.least), each / middle) for each in used)
    return sum(sizes) / needed - 1.0 if needed > 0 else None
