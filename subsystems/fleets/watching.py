"""Keeping what rounds of questions told of workers and queues, and which tasks came back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from subsystems.fleets.fields import MomentField
from subsystems.fleets.models import QueueState, Redelivery, Task, WorkerState
from subsystems.fleets.redeliveries import Again
from subsystems.fleets.snapshots import Held, QueueSeen, WorkerSeen, queue_seen, readers_of, worker_seen
from subsystems.fleets.states import State
from subsystems.s1_operations import services as s1
from subsystems.s1_operations.adapters.celery_link import FleetRound
from subsystems.s1_operations.models import Fleet

CLIENTS_SECONDS = 20.0  # of what clients sent, in which queues are looked for that nobody measures
MAX_NAMED = 500
KEEP_WORKERS = timedelta(days=1)  # that answered nothing since
KEEP_REDELIVERIES = timedelta(days=14)
NOTE_REDELIVERY = (
    "INSERT INTO fleets_redelivery AS t (fleet_id, uuid, name, worker, count, first_at, last_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (fleet_id, uuid) DO UPDATE SET worker = excluded.worker,"
    " last_at = excluded.last_at, count = CASE WHEN excluded.count > t.count THEN excluded.count ELSE t.count END"
)
WORKER_FIELDS = [field.name for field in fields(WorkerSeen)]
QUEUE_FIELDS = [field.name for field in fields(QueueSeen)]
_MOMENTS = {
    field.name
    for model in (WorkerState, QueueState)
    for field in model._meta.get_fields()
    if isinstance(field, MomentField)
}


def keep_rounds(rounds: Mapping[int, FleetRound], now: datetime) -> None:
    """Keep the answers of one cycle, by fleet: a handful of statements, however many fleets there are."""
    answered = {fleet_id: found for fleet_id, found in rounds.items() if not found.error}
    if not answered:
        return
    workers, queues = worker_states(answered), queue_states(answered)
    at = now.timestamp()
    new_workers, new_queues = [], []
    for fleet_id, found in answered.items():
        seen = [
            worker_seen(workers.get((fleet_id, name)), name, answers, at)
            for name, answers in found.workers.items()
            if "stats" in answers
        ]
        readers = readers_of(each.queues for each in seen)
        new_workers += [_worker_row(fleet_id, each) for each in seen]
        new_queues += [_queue_row(fleet_id, each) for each in _queues_seen(found, queues, fleet_id, readers, at)]
    _upsert(WorkerState, new_workers, WORKER_FIELDS)
    _upsert(QueueState, new_queues, QUEUE_FIELDS)
    _notice_queues({(row.fleet_id, row.name) for row in new_queues}, list(answered), at)


def _notice_queues(measured: Set[tuple[int, str]], fleet_ids: Sequence[int], at: float) -> None:
    """Let the queues be measured of which only clients tell: no worker reads them."""
    waiting = Task.objects.filter(
        fleet_id__in=fleet_ids, state=State.PENDING, seen_at__gte=at - CLIENTS_SECONDS, fleet__own=False
    ).exclude(queue="")
    named = set(waiting.order_by().values_list("fleet_id", "queue").distinct()[:MAX_NAMED])
    ours = set(s1.own_queues())  # others on this broker hear of what we send
    new: dict[int, list[str]] = {}
    for fleet_id, queue in sorted(named - measured):
        if queue not in ours:
            new.setdefault(fleet_id, []).append(queue)
    for fleet in Fleet.objects.filter(pk__in=list(new)) if new else ():
        s1.notice_queues(fleet, new[fleet.pk])


def worker_states(fleet_ids: Iterable[int]) -> dict[tuple[int, str], WorkerSeen]:
    """Return the workers of fleets as they last answered."""
    rows = WorkerState.objects.filter(fleet_id__in=list(fleet_ids))
    return {(row.fleet_id, row.name): _as_worker(row) for row in rows}


def queue_states(fleet_ids: Iterable[int]) -> dict[tuple[int, str], QueueSeen]:
    """Return the queues of fleets as their brokers last told."""
    rows = QueueState.objects.filter(fleet_id__in=list(fleet_ids))
    return {(row.fleet_id, row.name): _as_queue(row) for row in rows}


def note_redeliveries(fleet: Fleet, again: Sequence[Again]) -> None:
    """Keep which tasks were given out once more. A receiver that began anew counts from one: the most holds."""
    rows = [
        (fleet.pk, each.uuid[:155], each.name[:200], each.worker[:200], each.count, each.first_at, each.last_at)
        for each in sorted(again, key=lambda each: each.uuid)
        if each.uuid.isprintable() and (each.name + each.worker).isprintable()
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(NOTE_REDELIVERY, rows)


def forget_states(*, now: datetime) -> None:
    """Forget workers that have not answered for a day, their queues, and loops of long ago."""
    oldest = (now - KEEP_WORKERS).timestamp()
    WorkerState.objects.filter(observed_at__lt=oldest).delete()
    QueueState.objects.filter(observed_at__lt=oldest).delete()
    Redelivery.objects.filter(last_at__lt=(now - KEEP_REDELIVERIES).timestamp()).delete()


def _queues_seen(
    found: FleetRound,
    before: Mapping[tuple[int, str], QueueSeen],
    fleet_id: int,
    readers: Mapping[str, int],
    at: float,
) -> list[QueueSeen]:
    return [
        queue_seen(
            before.get((fleet_id, name)), name, metrics, at,
            readers=readers.get(name, 0), counted=found.counts_consumers, levels=found.levels.get(name),
        )
        for name, metrics in found.queues.items()
    ]  # fmt: skip


def _worker_row(fleet_id: int, seen: WorkerSeen) -> WorkerState:
    values: dict[str, Any] = {name: getattr(seen, name) for name in WORKER_FIELDS}
    values["queues"] = list(seen.queues)
    values["active"] = [each.to_wire() for each in seen.active]
    values["reserved"] = [each.to_wire() for each in seen.reserved]
    return WorkerState(fleet_id=fleet_id, **values)


def _queue_row(fleet_id: int, seen: QueueSeen) -> QueueState:
    return QueueState(fleet_id=fleet_id, **asdict(seen))


def _as_worker(row: WorkerState) -> WorkerSeen:
    values = _values(row, WORKER_FIELDS)
    values["queues"] = tuple(row.queues)
    values["active"] = tuple(Held.from_wire(each) for each in row.active)
    values["reserved"] = tuple(Held.from_wire(each) for each in row.reserved)
    return WorkerSeen(**values)


def _as_queue(row: QueueState) -> QueueSeen:
    values = _values(row, QUEUE_FIELDS)
    values["recent"] = tuple((at, ready) for at, ready in row.recent)
    return QueueSeen(**values)


def _values(row: WorkerState | QueueState, names: Iterable[str]) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in names}
    return {
        name: value.timestamp() if name in _MOMENTS and value is not None else value for name, value in found.items()
    }


def _upsert(model: type[WorkerState] | type[QueueState], rows: Sequence[Any], names: Sequence[str]) -> None:
    if rows:
        changing = [name for name in names if name != "name"]
        model.objects.bulk_create(rows, update_conflicts=True, unique_fields=["fleet", "name"], update_fields=changing)
