"""A policy tried on a load that was recorded, or is given: what it would have done, and what that would have cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from subsystems.s2_coordination import dampers
from subsystems.s2_coordination.dampers import DampingTerms, Past, Wish
from subsystems.s3_control.scaling.deciding import LOOK_BACK_SECONDS, Inputs, Terms, decide, extra, idle_since

MAX_STEPS = 5_000
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a policy does with a load, step by step."""

    step_seconds: float
    arrivals: tuple[float, ...]
    sizes: tuple[int, ...]
    backlog: tuple[float, ...]
    outs: int
    ins: int
    reversals: int
    slot_seconds: float
    worst_backlog: float
    mean_backlog: float


@dataclass
class _State:
    size: int
    backlog: float = 0.0
    last_out_at: datetime | None = None
    last_in_at: datetime | None = None
    directions: list[int] = field(default_factory=list)
    past: Past = field(default_factory=Past)
    idle_since: datetime | None = None
    sizes: list[int] = field(default_factory=list)  # of each step so far, as the next two
    used: list[float] = field(default_factory=list)
    depths: list[float] = field(default_factory=list)


def replay(
    terms: Terms,
    arrivals: Sequence[float],
    *,
    step_seconds: float,
    rate_each: float | Sequence[float],
    size: int,
    backlog: float = 0.0,
    damping: DampingTerms | None = None,
) -> Trial:
    """Return what *terms* would do with *arrivals* (messages a second, one for each step).

    Each busy slot does *rate_each* a second, all the time or in each step. Steps take effect at the next one and
    nothing fails; S2 is asked where its *damping* is given.
    """
    state = _State(size, backlog)
    rates = [rate_each] * len(arrivals) if isinstance(rate_each, float) else rate_each
    for number, (arriving, each) in enumerate(zip(arrivals[:MAX_STEPS], rates, strict=False)):
        served = min(state.size * each, arriving + state.backlog / step_seconds)
        state.backlog = max(0.0, state.backlog + (arriving - served) * step_seconds)
        state.used.append(served / each)
        state.sizes.append(state.size)
        state.depths.append(state.backlog)
        now = EPOCH + timedelta(seconds=number * step_seconds)
        _turn(terms, damping, state, now, step_seconds, _given(terms, state, arriving, each, step_seconds))
    turned = [a != b for a, b in zip(state.directions, state.directions[1:], strict=False)]
    return Trial(
        step_seconds, tuple(arrivals[:MAX_STEPS]), tuple(state.sizes), tuple(state.depths), state.directions.count(1),
        state.directions.count(-1), sum(turned), float(sum(state.sizes)) * step_seconds,
        max(state.depths, default=0.0), sum(state.depths) / len(state.depths) if state.depths else 0.0,
    )  # fmt: skip


def _turn(
    terms: Terms, damping: DampingTerms | None, state: _State, now: datetime, step_seconds: float, given: Inputs
) -> None:
    # What a load does not tell is not asked: neither how long tasks took to begin, nor what hurt.
    found = decide(replace(terms, response_ms=None, pain_signals=None), given, now=now)
    state.idle_since = idle_since(found, given.size, state.idle_since, now=now)
    if not found.direction or found.desired is None:
        return
    if damping is not None and not _cleared(terms, damping, state, now, step_seconds, found.direction):
        return
    state.size = found.desired
    state.directions.append(found.direction)
    if found.direction > 0:
        state.last_out_at = now
    else:
        state.last_in_at = now


def _cleared(
    terms: Terms, damping: DampingTerms, state: _State, now: datetime, step_seconds: float, direction: int
) -> bool:
    """Ask S2, and let it know what is done."""
    last = round(LOOK_BACK_SECONDS / step_seconds)
    more = extra(terms, state.sizes[-last:], state.used[-last:]) if direction < 0 else None
    wish = Wish(direction, state.idle_since, more)
    verdict = dampers.decide(state.past, damping, wish, now=now)
    if verdict.allowed:
        state.past = dampers.acted(state.past, damping, wish, now=now)
    elif verdict.code == dampers.Code.REVERSAL:
        state.past = dampers.refused(state.past, damping, wish, now=now)
    return verdict.allowed


def _given(terms: Terms, state: _State, arriving: float, rate_each: float, step_seconds: float) -> Inputs:
    """Return what would have been known at this step."""
    longest = 1 + round(max(terms.window_seconds, terms.in_window_seconds) / step_seconds)
    pairs = zip(state.used[-longest:], state.sizes[-longest:], strict=True)
    loads = [min(1.0, one / size) if size else 1.0 for one, size in pairs]
    return Inputs(
        size=state.size, age_seconds=0.0, utilisation=_p95(loads, terms.window_seconds, step_seconds),
        quiet_utilisation=_p95(loads, terms.in_window_seconds, step_seconds, whole=True), depth=state.backlog,
        rate_in=arriving, rate_each=rate_each, last_out_at=state.last_out_at, last_in_at=state.last_in_at,
        oldest_seconds=state.backlog / arriving if arriving > 0 else None,
    )  # fmt: skip


def _p95(values: Sequence[float], seconds: float, step_seconds: float, *, whole: bool = False) -> float | None:
    count = max(1, round(seconds / step_seconds))
    if whole and len(values) < count:
        return None
    ordered = sorted(values[-count:])  # of a few: numpy takes fifty times as long
    place = 0.95 * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
