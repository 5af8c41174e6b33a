"""Workers, roles, queues and what is stuck among them, as they are shown; the number of statements never grows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Value
from django.db.models.functions import Concat

from subsystems.fleets.flow import flow
from subsystems.fleets.models import ExpectedWorkers, Listening, StuckFinding, Task, WorkerState
from subsystems.fleets.snapshots import Held, QueueSeen, WorkerSeen
from subsystems.fleets.watching import queue_states, worker_states
from subsystems.kernel.times import moment_text
from subsystems.s1_operations.models import Unit
from subsystems.s1_operations.roles import role_of
from subsystems.telemetry.queries import latest

SENT_SECONDS = 60.0
MAX_MEMBERS = 20  # of a role that are named
WORKER, QUEUE = "celery_worker", "celery_queue"


def workers() -> QuerySet[Unit]:
    """Return every worker of every fleet."""
    return Unit.objects.filter(kind=WORKER, fleet__isnull=False).select_related("fleet", "system")


def queues() -> QuerySet[Unit]:
    """Return every queue of every fleet."""
    return Unit.objects.filter(kind=QUEUE, fleet__isnull=False).select_related("fleet", "system")


def of_role(units: QuerySet[Unit], role: str) -> QuerySet[Unit]:
    """Return those of *units* that answered as workers of *role*."""
    named = WorkerState.objects.filter(role=role).annotate(full=Concat("fleet__name", Value("/"), "name"))
    return units.filter(name__in=named.values("full"))


def node_of(unit: Unit) -> str:
    """Return the name of a worker or queue within its fleet."""
    return unit.name.removeprefix(f"{unit.fleet.name}/") if unit.fleet else unit.name


# --- Workers ----------------------------------------------------------------------------------------------------------
def worker_bodies(units: Sequence[Unit], *, now: datetime) -> list[dict[str, Any]]:
    """Return workers as JSON, with what they run and hold."""
    states = worker_states({unit.fleet_id for unit in units if unit.fleet_id})
    memory = _memory(units)
    stuck = _stuck(units)
    return [
        _worker_body(
            unit, states.get((unit.fleet_id or 0, node_of(unit))), memory.get(unit.pk), stuck[unit.pk], now.timestamp()
        )
        for unit in units
    ]


def _worker_body(
    unit: Unit, seen: WorkerSeen | None, memory: float | None, stuck: Sequence[StuckFinding], now: float
) -> dict[str, Any]:
    node = node_of(unit)
    body: dict[str, Any] = {
        **_common(unit, stuck),
        "role": seen.role if seen else role_of(node),
        "said_goodbye_at": moment_text(unit.said_goodbye_at),
        "memory_bytes": memory,
        "observed_at": None, "pool": "", "pool_size": None, "prefetch": None, "pid": None, "started_at": None,
        "processed": None, "nothing_started_for_seconds": None, "queues": [], "active_count": None,
        "reserved_count": None, "active": [], "reserved": [],
    }  # fmt: skip
    if seen is None:
        return body
    return {
        **body,
        "observed_at": _text(seen.observed_at), "pool": seen.pool, "pool_size": seen.pool_size,
        "prefetch": seen.prefetch, "pid": seen.pid, "started_at": _text(seen.started_at),
        "processed": None if seen.processed is None else int(seen.processed),
        "nothing_started_for_seconds": round(max(0.0, seen.observed_at - seen.progress_at), 1),
        "queues": list(seen.queues), "active_count": seen.active_count, "reserved_count": seen.reserved_count,
        "active": [_held_body(each, now) for each in seen.active],
        "reserved": [_held_body(each, now) for each in seen.reserved],
    }  # fmt: skip


def _held_body(held: Held, now: float) -> dict[str, Any]:
    age = None if held.started_at is None else round(max(0.0, now - held.started_at), 1)
    return {"id": held.id, "name": held.name, "queue": held.queue, "priority": held.priority, "age_seconds": age}


def _common(unit: Unit, stuck: Sequence[StuckFinding]) -> dict[str, Any]:
    return {
        "id": unit.pk,
        "system": unit.system.slug,
        "fleet": unit.fleet.name if unit.fleet else None,
        "name": node_of(unit),
        "state": str(unit.state),
        "health": unit.health.value,
        "score": unit.score,
        "last_seen_at": moment_text(unit.last_seen_at),
        "last_error": unit.last_error,
        "findings": [{"id": each.pk, "kind": each.kind, "summary": each.summary} for each in stuck],
    }


def _memory(units: Sequence[Unit]) -> dict[int, float]:
    by_system: dict[int, list[Unit]] = defaultdict(list)
    for unit in units:
        by_system[unit.system_id].append(unit)
    found: dict[int, float] = {}
    for system_id, members in by_system.items():  # a page is of one system, or of the few that one may read
        told = latest(system_id, sources=[unit.name for unit in members], metrics=["memory_bytes"])
        for unit in members:
            if "memory_bytes" in told.get(unit.name, {}):
                found[unit.pk] = told[unit.name]["memory_bytes"][1]
    return found


# --- Roles ------------------------------------------------------------------------------------------------------------
def role_bodies(units: QuerySet[Unit]) -> list[dict[str, Any]]:
    """Return the roles of *units*: what stays when workers come and go. Gone workers are counted, and not missed."""
    rows = list(units)
    states = worker_states({unit.fleet_id for unit in rows if unit.fleet_id})
    groups: dict[tuple[int, str], list[tuple[Unit, WorkerSeen | None]]] = defaultdict(list)
    for unit in rows:
        seen = states.get((unit.fleet_id or 0, node_of(unit)))
        groups[unit.fleet_id or 0, seen.role if seen else role_of(node_of(unit))].append((unit, seen))
    declared = _declared({fleet_id for fleet_id, _ in groups})
    return [
        _role_body(role, members, declared.get((fleet_id, role), []))
        for (fleet_id, role), members in sorted(groups.items(), key=lambda item: (str(item[1][0][0].fleet), item[0][1]))
    ]


def _role_body(
    role: str, members: Sequence[tuple[Unit, WorkerSeen | None]], declared: Sequence[ExpectedWorkers]
) -> dict[str, Any]:
    first = members[0][0]
    here = [(unit, seen) for unit, seen in members if unit.state == Unit.State.ACTIVE]
    answered = [seen for _, seen in here if seen is not None]
    return {
        "system": first.system.slug,
        "fleet": first.fleet.name if first.fleet else None,
        "role": role,
        "declared": max((each.workers for each in declared), default=None),
        "active_workers": len(here),
        "silent_workers": sum(unit.state == Unit.State.SILENT for unit, _ in members),
        "gone_workers": sum(unit.state == Unit.State.GONE for unit, _ in members),
        "pool_size": sum(seen.pool_size or 0 for seen in answered),
        "active": sum(seen.active_count or 0 for seen in answered),
        "reserved": sum(seen.reserved_count or 0 for seen in answered),
        "processed": int(sum(seen.processed or 0 for seen in answered)),
        "queues": sorted({queue for seen in answered for queue in seen.queues}),
        "workers": sorted(node_of(unit) for unit, _ in here)[:MAX_MEMBERS],
    }


def _declared(fleet_ids: Iterable[int]) -> dict[tuple[int, str], list[ExpectedWorkers]]:
    found: dict[tuple[int, str], list[ExpectedWorkers]] = defaultdict(list)
    for row in ExpectedWorkers.objects.filter(fleet_id__in=list(fleet_ids)).exclude(role=""):
        found[row.fleet_id, row.role].append(row)
    return found


# --- Queues -----------------------------------------------------------------------------------------------------------
def queue_bodies(units: Sequence[Unit], *, now: datetime) -> list[dict[str, Any]]:
    """Return queues as JSON, with how they flow."""
    keys = {unit.fleet_id for unit in units if unit.fleet_id}
    states, rates, oldest = queue_states(keys), _sent_rates(keys, now), _oldest(units)
    stuck = _stuck(units)
    bodies = []
    for unit in units:
        key = (unit.fleet_id or 0, node_of(unit))
        waits = None if key not in oldest else max(0.0, now.timestamp() - oldest[key])
        bodies.append(_queue_body(unit, states.get(key), rates.get(key[0], {}).get(key[1]), waits, stuck[unit.pk]))
    return bodies


def _queue_body(
    unit: Unit, seen: QueueSeen | None, sent_rate: float | None, waits: float | None, stuck: Sequence[StuckFinding]
) -> dict[str, Any]:
    seen = seen or QueueSeen(node_of(unit), 0.0)
    flows = flow(
        seen.recent, sent_rate=sent_rate, published_rate=seen.published_rate, delivered_rate=seen.delivered_rate
    )
    age = seen.oldest_age_seconds
    if age is None and seen.ready:
        age = waits
    return {
        **_common(unit, stuck),
        "observed_at": _text(seen.observed_at or None),
        "ready": seen.ready,
        "unacked": seen.unacked,
        "consumers": seen.consumers,
        "readers": seen.readers,
        "by_priority": dict(seen.levels),
        "oldest_age_seconds": 0.0 if seen.ready == 0 else None if age is None else round(age, 1),
        "rate_in": _rounded(flows.rate_in),
        "rate_out": _rounded(flows.rate_out),
        "draining": flows.draining,
        "drain_seconds": _rounded(flows.drain_seconds),
    }


def _sent_rates(fleet_ids: Iterable[int], now: datetime) -> dict[int, dict[str, float]]:
    """Return by fleet and queue what clients sent a second, for fleets whose clients tell."""
    at = now.timestamp()
    telling = {
        row.pk: min(SENT_SECONDS, max(1.0, at - row.since.timestamp()))
        for row in Listening.objects.filter(pk__in=list(fleet_ids), hears_sending=True, since__isnull=False)
        if row.since is not None
    }
    if not telling:
        return {}
    sent = Task.objects.filter(fleet_id__in=list(telling), seen_at__gte=at - SENT_SECONDS, sent_at__isnull=False)
    counts = sent.order_by().values_list("fleet_id", "queue").annotate(Count("pk"))
    found: dict[int, dict[str, float]] = {pk: defaultdict(float) for pk in telling}
    for fleet_id, queue, n in counts:
        found[fleet_id][queue] = n / telling[fleet_id]
    return {pk: _Known(rates) for pk, rates in found.items()}


class _Known(dict[str, float]):
    """Rates of a fleet whose clients tell what they send: of a queue that nobody named, none."""

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, 0.0)


def _oldest(units: Sequence[Unit]) -> dict[tuple[int, str], float]:
    """Return when the task was sent that waits the longest, by fleet and queue, as far as clients tell."""
    keys = {unit.fleet_id for unit in units if unit.fleet_id}
    names = {node_of(unit) for unit in units}
    waiting = Task.objects.filter(fleet_id__in=keys, state=Task.State.PENDING, queue__in=names, sent_at__isnull=False)
    found: dict[tuple[int, str], float] = {}
    rows = waiting.order_by("seen_at").values_list("fleet_id", "queue", "sent_at")[:MAX_PENDING]
    for fleet_id, queue, sent_at in rows:
        if sent_at is not None:
            found.setdefault((fleet_id, queue), sent_at.timestamp())
    return found


MAX_PENDING = 2_000  # waiting tasks that are looked at for the oldest of each queue


# --- Findings ---------------------------------------------------------------------------------------------------------
def findings() -> QuerySet[StuckFinding]:
    """Return what was found, open ones first, then the newest."""
    return StuckFinding.objects.select_related("fleet__system").order_by(F("ended_at").desc(nulls_first=True), "-pk")


def finding_body(finding: StuckFinding) -> dict[str, Any]:
    """Return one finding as JSON."""
    return {
        "id": finding.pk,
        "system": finding.fleet.system.slug,
        "fleet": finding.fleet.name,
        "kind": finding.kind,
        "subject": finding.subject,
        "summary": finding.summary,
        "confidence": round(finding.confidence, 2),
        "evidence": finding.evidence,
        "since": moment_text(finding.since),
        "found_at": moment_text(finding.found_at),
        "seen_at": moment_text(finding.seen_at),
        "ended_at": moment_text(finding.ended_at),
        "ended_why": finding.ended_why,
        "signal": finding.signal_id,
    }


def expected_body(row: ExpectedWorkers) -> dict[str, Any]:
    """Return a declaration as JSON."""
    return {
        "id": row.pk, "system": row.fleet.system.slug, "fleet": row.fleet.name, "role": row.role, "queue": row.queue,
        "workers": row.workers, "short_since": moment_text(row.short_since),
    }  # fmt: skip


def _stuck(units: Sequence[Unit]) -> dict[int, list[StuckFinding]]:
    """Return the open findings of each unit by its key."""
    keys = {(unit.fleet_id, node_of(unit)): unit.pk for unit in units}
    found: dict[int, list[StuckFinding]] = defaultdict(list)
    if keys:
        named = Q(subject__in=[name for _, name in keys])
        for row in StuckFinding.objects.filter(named, fleet_id__in={key for key, _ in keys}, ended_at=None):
            pk = keys.get((row.fleet_id, row.subject))
            if pk is not None:
                found[pk].append(row)
    return found


def _text(at: float | None) -> str | None:
    return None if at is None else moment_text(datetime.fromtimestamp(at, UTC))


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 2)
