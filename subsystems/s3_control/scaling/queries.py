"""Scaling policies as JSON, KEDA's figure, and a policy tried on the load of the last hours, or on a given one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from subsystems.kernel.errors import Refused
from subsystems.kernel.times import moment_text
from subsystems.s2_coordination import damping
from subsystems.s3_control.scaling.columns import Load
from subsystems.s3_control.scaling.gathering import SEEN_SECONDS, look
from subsystems.s3_control.scaling.models import ScalingPolicy
from subsystems.s3_control.scaling.replaying import Trial, replay
from subsystems.telemetry.queries import query

SETTINGS = (
    "role", "enabled", "mode", "means", "least", "most", "safe", "out_cooldown_seconds", "in_cooldown_seconds",
    "window_seconds", "in_window_seconds", "out_at", "in_at", "depth_per_slot", "oldest_seconds", "drain_seconds",
    "response_ms", "pain_signals",
)  # fmt: skip
STEP_SECONDS = 30.0
MOST_HOURS = 24 * 7


def policy_body(row: ScalingPolicy) -> dict[str, Any]:
    """Return a policy with what was decided last."""
    return {
        "id": row.pk,
        "fleet": row.fleet.name,
        "queue": row.queue,
        **{name: getattr(row, name) for name in SETTINGS},
        "size": row.size,
        "desired": row.desired,
        "why": row.why,
        "drivers": row.drivers,
        "looked_at": moment_text(row.looked_at),
    }


def keda_body(row: ScalingPolicy, *, now: datetime) -> dict[str, Any]:
    """Return what KEDA's metrics-api scaler reads: `valueLocation: desired`, `targetValue: "1"`, a slot a replica.

    Raises Refused (`stale`) where nothing was decided lately: KEDA then falls back, as it is told to.
    """
    age = None if row.looked_at is None else (now - row.looked_at).total_seconds()
    if row.desired is None or age is None or age > 2 * SEEN_SECONDS:
        raise Refused("Nothing was decided lately: what is wanted is not known.", code="stale")
    desired = min(max(row.desired, row.least), row.most)
    return {"desired": desired, "size": row.size, "least": row.least, "most": row.most, "age_seconds": round(age, 1)}


class Trials(NamedTuple):
    """One load: with S2, without it, and at the largest size all the time."""

    damped: Trial
    bare: Trial
    fixed: Trial


def trial(row: ScalingPolicy, *, hours: float, now: datetime) -> Trials:
    """Return what a policy would have done with the queue's load of the last *hours*.

    The load is what the broker counted as published, or what followed from the counts of workers while the queue was
    scaled. Raises Refused (`unknown`) where neither is on record.
    """
    end = now.timestamp()
    start = end - hours * 3600.0
    arrivals = _arrivals(row, start, end)
    known = look(row, now=now).given
    if not known.rate_each:
        raise Refused("How much one slot does is not known yet: nothing was done lately.", code="unknown")
    return _tried(row, arrivals, STEP_SECONDS, known.rate_each, known.size or row.least)


def trial_of(row: ScalingPolicy, load: Load) -> Trials:
    """Return what a policy would do with a *load* that is given, from its fewest slots on."""
    return _tried(row, load.arrivals, load.step_seconds, load.rate_each, row.least)


def _tried(
    row: ScalingPolicy, arrivals: Sequence[float], step: float, rate_each: float | Sequence[float], size: int
) -> Trials:
    largest = replace(row.terms, least=row.most)
    tries = ((row.terms, size, damping.terms_of(row.system_id)), (row.terms, size, None), (largest, row.most, None))
    return Trials(*(
        replay(terms, arrivals, step_seconds=step, rate_each=rate_each, size=first, damping=damped)
        for terms, first, damped in tries
    ))  # fmt: skip


def _arrivals(row: ScalingPolicy, start: float, end: float) -> list[float]:
    """Return how many messages a second arrived, step by step; a hole is filled with what was last."""
    for metric in ("published_rate", "arrival_rate"):
        found = query(
            [row.system_id], metric, source=row.subject, start=start, end=end, step=STEP_SECONDS, now=end
        ).series
        if found and len(found[0].at) >= 2:
            return _filled(dict(zip(found[0].at.tolist(), found[0].values.tolist(), strict=True)))
    raise Refused("What arrived then is not on record: it is, from when the queue is scaled.", code="unknown")


def _filled(points: dict[float, float]) -> list[float]:
    times = sorted(points)
    count = round((times[-1] - times[0]) / STEP_SECONDS) + 1
    filled, last = [], 0.0
    for number in range(count):
        last = points.get(times[0] + number * STEP_SECONDS, last)
        filled.append(max(0.0, last))
    return filled
