"""S3's own advice: what hurts (an alert about a resource, a unit in bad health) becomes a suggestion with evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from subsystems.fleets.flow import Flow, flow
from subsystems.fleets.snapshots import QueueSeen, WorkerSeen
from subsystems.fleets.watching import queue_states, worker_states
from subsystems.kernel.errors import Refused
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s2_coordination.monitor.models import CoordinationFinding
from subsystems.s3_control import recommending, suggesting
from subsystems.s3_control.launching.queries import supplies
from subsystems.s3_control.models import Recommendation, StandingOrder
from subsystems.s3_control.suggesting import Facts, Suggestion

FRESH_SECONDS = 30.0  # of what was seen of queues and workers
SETTLE_SECONDS = 60.0
LASTS = timedelta(hours=1)
SWING_LASTS = timedelta(days=1)  # people change code and rules by day
UNDAMPED = ("retries", "alerts")  # areas of S2's findings
SICK = 0.5  # and below: unhealthy (requirements 002-14)
AT_ONCE = 50
WORKER, QUEUE = "celery_worker", "celery_queue"


def hear_alert(told: Mapping[str, Any], *, now: datetime) -> Recommendation | None:
    """Suggest what helps against an alert about a resource; None where nothing is known that would.

    Hearing the same alert twice suggests once.
    """
    number = told.get("unit_id")
    unit = None if number is None else Unit.objects.filter(pk=number).select_related("fleet").first()
    if unit is None:
        return None
    cause = {"alert": told.get("alert"), "alert_title": str(told.get("title") or "")[:200]}
    return suggest(unit, cause, key=f"alert {told.get('alert')}", now=now)


def look_around(*, now: datetime) -> int:
    """Suggest what helps units that are unhealthy; return how many suggestions there are."""
    sick = Unit.objects.filter(
        kind__in=[WORKER, QUEUE], state=Unit.State.ACTIVE, score__lte=SICK, fleet__enabled=True, fleet__own=False
    )
    units = list(sick.select_related("fleet").order_by("score", "pk")[:AT_ONCE])
    return sum(suggest(unit, {}, now=now) is not None for unit in units) + advise_on_swings(now=now)


def advise_on_swings(*, now: datetime) -> int:
    """Lay into the inbox what S2 found to swing and has no damper for: retries and alerts; return how many are new.

    Only people can change how a task is retried, or what a rule waits for. Each finding is advised on once.
    """
    swings = CoordinationFinding.objects.filter(kind="oscillation", area__in=UNDAMPED, ended_at=None)
    keys = {f"s2 finding {row.pk}": row for row in swings.order_by("pk")[:AT_ONCE]}
    said = set(Recommendation.objects.filter(key__in=keys).values_list("key", flat=True)) if keys else set()
    for key, row in keys.items():
        if key not in said:
            recommending.recommend(
                system_id=row.system_id, kind="optimisation", source="s3", author="S2", key=key, now=now,
                subject=_printable(row.subject), title=_printable(row.title), reason=f"{row.summary} {row.suggestion}",
                evidence={"finding": row.pk, "area": row.area, **row.evidence}, expires_at=now + SWING_LASTS,
            )  # fmt: skip
    return len(keys.keys() - said)


def _printable(words: str) -> str:
    """Return what names of strangers' tasks and rules come to in one line."""
    return "".join(each if each.isprintable() else " " for each in words)[:200].strip() or "unnamed"


def suggest(unit: Unit, cause: Mapping[str, Any], *, now: datetime, key: str = "") -> Recommendation | None:
    """Advise the act that fits *unit* now; None where none does, or where what is known is too old."""
    fleet = unit.fleet
    if fleet is None or fleet.own or not fleet.enabled:
        return None
    workers = _fresh_workers(fleet, now)
    queue = _queue_of(unit, workers, now)
    if queue is None:
        return None
    facts = facts_of(fleet, queue, workers)
    found = suggesting.for_queue(facts)
    return None if found is None else _advised(unit, fleet, facts, found, cause, key, now)


def facts_of(fleet: Fleet, queue: QueueSeen, workers: Sequence[WorkerSeen]) -> Facts:
    """Return what is known of a queue."""
    paused = StandingOrder.objects.filter(fleet=fleet, kind="pause", key=queue.name, ended_at=None).exists()
    flows = flow(queue.recent, published_rate=queue.published_rate, delivered_rate=queue.delivered_rate)
    found = supplies(fleet, [seen.name for seen in workers])
    return Facts(queue, workers, flows, paused, SETTLE_SECONDS, found)


def _fresh_workers(fleet: Fleet, now: datetime) -> list[WorkerSeen]:
    since = now.timestamp() - FRESH_SECONDS
    return [seen for seen in worker_states([fleet.pk]).values() if seen.observed_at >= since]


def _queue_of(unit: Unit, workers: Sequence[WorkerSeen], now: datetime) -> QueueSeen | None:
    """Return the queue itself, or of a worker's queues the one where most waits, as it was seen lately."""
    assert unit.fleet is not None
    since = now.timestamp() - FRESH_SECONDS
    name = unit.name.removeprefix(f"{unit.fleet.name}/")
    wanted = {name}
    if unit.kind == WORKER:
        wanted = {queue for worker in workers if worker.name == name for queue in worker.queues}
    seen = [each for each in queue_states([unit.fleet_id or 0]).values() if each.name in wanted]
    return max(
        (each for each in seen if each.observed_at >= since and each.ready), key=lambda each: each.ready or 0.0,
        default=None,
    )  # fmt: skip


def _advised(
    unit: Unit, fleet: Fleet, facts: Facts, found: Suggestion, cause: Mapping[str, Any], key: str, now: datetime
) -> Recommendation | None:
    subject = f"{fleet.name}/{facts.queue.name}"
    about_it = Recommendation.objects.filter(system_id=fleet.system_id, subject=subject)
    waiting = about_it.filter(state__in=Recommendation.WAITING, act_kind=found.kind)
    under_way = about_it.filter(state__in=Recommendation.UNDER_WAY, settled_at=None)
    if (waiting | under_way).exists():
        return None  # it lies in the inbox already, or something is being done of which nobody knows yet what it helps
    act = {"kind": found.kind, "target": found.target, "parameters": dict(found.parameters or {})}
    try:
        return recommending.recommend(
            system_id=fleet.system_id, kind="resource", source="s3", author="S3", subject=subject, title=found.title,
            reason=found.reason, key=key, fleet=fleet, act=act if found.kind else None,
            expected_effect={
                "metric": "ready", "source": subject, "from": facts.queue.ready, "to": round(found.expected, 1),
                "unit": "messages",
            },
            evidence={**cause, "assessment": _assessment(unit), **_evidence(facts)},
            measured_at=datetime.fromtimestamp(facts.queue.observed_at, UTC), settle_seconds=facts.settle_seconds,
            expires_at=now + LASTS, now=now,
        )  # fmt: skip
    except Refused:
        return None  # it became stale, or what was seen carries names that nobody can act on


def _assessment(unit: Unit) -> str:
    score = "unknown" if unit.score is None else f"{unit.score:.2f}"
    return f"{unit.name}: {unit.health.value}, {score}"


def _evidence(facts: Facts) -> dict[str, Any]:
    found: Flow = facts.flow
    readers = [worker for worker in facts.workers if facts.queue.name in worker.queues]
    return {
        "queue": {"name": facts.queue.name, "ready": facts.queue.ready, "unacked": facts.queue.unacked},
        "flow": asdict(found),
        "paused": facts.paused,
        "readers": [
            {"name": each.name, "pool": each.pool, "size": each.pool_size, "active": each.active_count}
            for each in readers[:20]
        ],
    }
