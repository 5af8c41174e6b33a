"""A policy tried on a load that was recorded, or is given: what it would have done, and what that would have cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from subsystems.s2_coordination import dampers
from subsystems.s2_coordination.dampers import DampingTerms, Past
from subsystems.s3_control.scaling.deciding import Inputs, Terms, decide

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


def replay(
    terms: Terms,
    arrivals: Sequence[float],
    *,
    step_seconds: float,
    rate_each: float,
    size: int,
    backlog: float = 0.0,
    damping: DampingTerms | None = None,
) -> Trial:
    """Return what *terms* would do with *arrivals* (messages a second, one for each step).

    Each busy slot does *rate_each* a second. Steps take effect at the next one and nothing fails; S2 is asked where its
    *damping* is given.
    """
    state = _State(size, backlog)
    sizes, depths, used = [], [], []
    for number, rate in enumerate(arrivals[:MAX_STEPS]):
        capacity = state.size * rate_each
        served = min(capacity, rate + state.backlog / step_seconds)
        state.backlog = max(0.0, state.backlog + (rate - served) * step_seconds)
        used.append(served / rate_each)
        sizes.append(state.size)
        depths.append(state.backlog)
        now = EPOCH + timedelta(seconds=number * step_seconds)
        _turn(terms, damping, state, now, _given(terms, state, used, sizes, rate, rate_each, step_seconds))
    turned = [a != b for a, b in zip(state.directions, state.directions[1:], strict=False)]
    return Trial(
        step_seconds, tuple(arrivals[:MAX_STEPS]), tuple(sizes), tuple(depths), state.directions.count(1),
        state.directions.count(-1), sum(turned), float(sum(sizes)) * step_seconds, max(depths, default=0.0),
        float(np.mean(depths)) if depths else 0.0,
    )  # fmt: skip


def _turn(terms: Terms, damping: DampingTerms | None, state: _State, now: datetime, given: Inputs) -> None:
    # What a load does not tell is not asked: neither how long tasks took to begin, nor what hurt.
    found = decide(replace(terms, response_ms=None, pain_signals=None), given, now=now)
    if not found.direction or found.desired is None:
        return
    if damping is not None:
        verdict = dampers.decide(state.past, damping, found.direction, now=now)
        if not verdict.allowed:
            if verdict.code == dampers.Code.REVERSAL:
                state.past = dampers.refused(state.past, damping, now=now)
            return
        state.past = dampers.acted(state.past, damping, found.direction, now=now)
    state.size = found.desired
    state.directions.append(found.direction)
    if found.direction > 0:
        state.last_out_at = now
    else:
        state.last_in_at = now


def _given(
    terms: Terms, state: _State, used: Sequence[float], sizes: Sequence[int], rate: float, rate_each: float,
    step_seconds: float,
) -> Inputs:  # fmt: skip
    """Return what would have been known at this step."""
    longest = 1 + round(max(terms.window_seconds, terms.in_window_seconds) / step_seconds)
    pairs = zip(used[-longest:], sizes[-longest:], strict=True)
    loads = [min(1.0, one / size) if size else 1.0 for one, size in pairs]
    return Inputs(
        size=state.size, age_seconds=0.0, utilisation=_p95(loads, terms.window_seconds, step_seconds),
        quiet_utilisation=_p95(loads, terms.in_window_seconds, step_seconds, whole=True), depth=state.backlog,
        rate_in=rate, rate_each=rate_each, last_out_at=state.last_out_at, last_in_at=state.last_in_at,
        oldest_seconds=state.backlog / rate if rate > 0 else None,
    )  # fmt: skip


def _p95(values: Sequence[float], seconds: float, step_seconds: float, *, whole: bool = False) -> float | None:
    count = max(1, round(seconds / step_seconds))
    if whole and len(values) < count:
        return None
    return float(np.percentile(values[-count:], 95))
