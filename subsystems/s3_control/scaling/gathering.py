"""What is known of a queue and its readers: everything that a decision about their size takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from subsystems.algedonic.models import Signal
from subsystems.fleets import queries as history
from subsystems.fleets.flow import flow
from subsystems.fleets.snapshots import QueueSeen, WorkerSeen
from subsystems.fleets.watching import queue_states, worker_states
from subsystems.s1_operations.models import Unit
from subsystems.s3_control import acts
from subsystems.s3_control.launching.queries import supplies
from subsystems.s3_control.launching.sizes import Supply
from subsystems.s3_control.models import Recommendation
from subsystems.s3_control.scaling import steps
from subsystems.s3_control.scaling.deciding import LOOK_BACK_SECONDS, Inputs, extra
from subsystems.s3_control.scaling.models import ScalingPolicy
from subsystems.telemetry.queries import query, window
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record

AUTHOR = "auto-scaler"
SEEN_SECONDS = 30.0  # a worker or a queue that was not seen for longer is not known
RATE_SECONDS = 60.0
PAIN_WINDOW = timedelta(minutes=5)
LOOK_BACK_STEP_SECONDS = 60.0
COVERED = 0.9  # of a window that must have been watched before it counts as quiet


@dataclass(frozen=True)
class Known:
    """What was seen, beside what follows from it."""

    given: Inputs
    readers: list[WorkerSeen]
    queue: QueueSeen | None
    supply: Supply | None = None  # what can start and stop whole workers


def look(policy: ScalingPolicy, *, now: datetime) -> Known:
    """Return what is known now; how many slots there are, and how many are busy, is kept as samples."""
    since = now.timestamp() - SEEN_SECONDS
    queue = queue_states([policy.fleet_id]).get((policy.fleet_id, policy.queue))
    queue = queue if queue is not None and queue.observed_at >= since else None
    workers = [seen for seen in worker_states([policy.fleet_id]).values() if seen.observed_at >= since]
    readers = [seen for seen in workers if policy.queue in seen.queues and policy.role in ("", seen.role)]
    size, busy = steps.slots(readers), steps.busy(readers)
    if not readers and queue is not None and not policy.fleet.last_error:
        size = busy = 0  # the broker answers, and nobody reads
    _keep(policy, {"slots": size, "busy_slots": busy}, now)
    given = _inputs(policy, readers, queue, size, now)
    _keep(policy, {"arrival_rate": given.rate_in}, now)
    found = supplies(policy.fleet, [seen.name for seen in workers])
    return Known(given, readers, queue, next((each for each in found if policy.queue in each.queues), None))


def resizing(system_id: int, queue_unit: str, slots: int | None, *, now: datetime) -> dict[str, Any]:
    """Return fleet and act that bring the readers of a queue (`fleet/queue`) nearer to so many slots.

    Empty where there is nothing that could be done: of an unknown queue, of the platform's own, of pools that cannot
    grow, and where a policy scales the queue already.
    """
    unit = (
        Unit.objects.filter(system_id=system_id, name=queue_unit, kind="celery_queue").select_related("fleet").first()
    )
    if slots is None or unit is None or unit.fleet is None or unit.fleet.own or not unit.fleet.enabled:
        return {}
    fleet, queue = unit.fleet, unit.name.removeprefix(f"{unit.fleet.name}/")
    if ScalingPolicy.objects.filter(fleet=fleet, queue=queue, enabled=True).exists():
        return {}
    seen = worker_states([fleet.pk]).values()
    readers = [each for each in seen if now.timestamp() - each.observed_at <= SEEN_SECONDS and queue in each.queues]
    size = steps.slots(readers)
    found = None if size is None else steps.step(readers, size, slots, queue)
    if found is None or not found.kind:
        return {}
    return {
        "fleet": fleet,
        "act": {"kind": found.kind, "target": found.target, "parameters": dict(found.parameters or {})},
    }


def _keep(policy: ScalingPolicy, told: Mapping[str, float | None], now: datetime) -> None:
    """Keep what was seen as samples: what a window is judged by, and what a policy may be tried on later."""
    at = now.timestamp()
    samples = [Sample(name, at, float(value), {}) for name, value in told.items() if value is not None]
    if samples:
        record({policy.subject: samples}, system_id=policy.system_id, now=at)


def _inputs(
    policy: ScalingPolicy, readers: Sequence[WorkerSeen], queue: QueueSeen | None, size: int | None, now: datetime
) -> Inputs:
    if queue is None:
        return Inputs(size, None)
    moment = now.timestamp()
    rate_in, rate_each = _rates(policy, readers, queue, moment)
    last_out, last_in = _last_steps(policy)
    return Inputs(
        size=size,
        age_seconds=max(0.0, moment - queue.observed_at),
        utilisation=_utilisation(policy, policy.window_seconds, moment),
        quiet_utilisation=_utilisation(policy, policy.in_window_seconds, moment, whole=True),
        depth=queue.ready,
        oldest_seconds=0.0 if queue.ready == 0 else queue.oldest_age_seconds,
        rate_in=rate_in,
        rate_each=rate_each,
        response_ms=None if policy.response_ms is None else _response_ms(policy, moment),
        pain_signals=None if policy.pain_signals is None else _pain(policy, now),
        last_out_at=last_out,
        last_in_at=last_in,
    )


def _utilisation(policy: ScalingPolicy, seconds: float, now: float, *, whole: bool = False) -> float | None:
    """Return the p95 of busy slots / slots over a window; with *whole* only when nearly all of it was watched."""
    start = now - seconds
    found = {
        metric: window(policy.system_id, metric, sources=[policy.subject], start=start, end=now).get(
            (policy.subject, "")
        )
        for metric in ("slots", "busy_slots")
    }
    slots, busy = found["slots"], found["busy_slots"]
    if slots is None or busy is None or not len(slots[0]):
        return None
    _, here, there = np.intersect1d(slots[0], busy[0], return_indices=True)  # both were seen in one look
    at, sizes, used = slots[0][here], slots[1][here], busy[1][there]
    at, sizes, used = at[sizes > 0], sizes[sizes > 0], used[sizes > 0]
    if not len(at) or (whole and at[0] > start + seconds * (1.0 - COVERED)):
        return None
    return float(np.percentile(np.minimum(1.0, used / sizes), 95))


def stood_idle(policy: ScalingPolicy, *, now: datetime) -> float | None:
    """Return by how much more slots there were lately than were needed; None where nothing is on record."""
    end = now.timestamp()
    found = []
    for metric in ("slots", "busy_slots"):
        answer = query(
            [policy.system_id], metric, source=policy.subject, start=end - LOOK_BACK_SECONDS, end=end, now=end,
            step=LOOK_BACK_STEP_SECONDS,
        )  # fmt: skip
        points = {} if not answer.series else zip(answer.series[0].at.tolist(), answer.series[0].values, strict=True)
        found.append({at: float(value) for at, value in dict(points).items() if value == value})
    slots, busy = found
    both = sorted(slots.keys() & busy.keys())
    return extra(policy.terms, [slots[at] for at in both], [busy[at] for at in both]) if both else None


def _rates(
    policy: ScalingPolicy, readers: Sequence[WorkerSeen], queue: QueueSeen, now: float
) -> tuple[float | None, float | None]:
    """Return how many messages arrive a second, and how many one busy slot does; by what workers count."""
    done = _done_per_second(policy, readers, now)
    flows = flow(queue.recent, published_rate=queue.published_rate, delivered_rate=queue.delivered_rate or done)
    busy = window(policy.system_id, "busy_slots", sources=[policy.subject], start=now - RATE_SECONDS, end=now)
    used = busy.get((policy.subject, ""))
    mean = float(np.mean(used[1])) if used is not None and len(used[1]) else 0.0
    each = done / mean if done and mean >= 0.5 else None
    return flows.rate_in, each


def _done_per_second(policy: ScalingPolicy, readers: Sequence[WorkerSeen], now: float) -> float | None:
    """Return how many tasks the readers began a second; None where one of them was not counted twice."""
    names = [f"{policy.fleet.name}/{worker.name}" for worker in readers]
    found = window(policy.system_id, "processed_total", sources=names, start=now - RATE_SECONDS, end=now)
    if not names or len(found) < len(names):
        return None
    total = 0.0
    for at, values in found.values():
        if len(at) < 2 or values[-1] < values[0]:
            return None
        total += (values[-1] - values[0]) / (at[-1] - at[0])
    return float(total)


def _response_ms(policy: ScalingPolicy, now: float) -> float | None:
    """Return the p95 of how long tasks of the queue waited before they began, as far as events tell."""
    rows = history.latencies([policy.fleet_id], since=now - policy.window_seconds, until=now, by=["queue"])
    found = next((row for row in rows if row["queue"] == policy.queue), None)
    seconds = None if found is None else found["wait"].get("p95")
    return None if seconds is None else seconds * 1000.0


def _pain(policy: ScalingPolicy, now: datetime) -> int:
    """Return how many pain signals were accepted in five minutes (2-48): identical ones are one."""
    pain = Signal.objects.filter(system_id=policy.system_id, type="pain", aggregate=False)
    return pain.filter(raised_at__gt=now - PAIN_WINDOW).count()


def _last_steps(policy: ScalingPolicy) -> tuple[datetime | None, datetime | None]:
    """Return when the size last went up, and when down."""
    mine = Recommendation.objects.filter(system_id=policy.system_id, subject=policy.subject, author=AUTHOR)
    rows = mine.filter(applied_at__isnull=False).order_by("-applied_at").values_list("act_kind", "applied_at")[:20]
    found: dict[int, datetime] = {}
    for kind, at in rows:
        if at is not None:
            found.setdefault(acts.direction(kind), at)
    return found.get(1), found.get(-1)
