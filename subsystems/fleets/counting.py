"""Adding what a batch tells to the counters of a fleet, in the transaction that writes its tasks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import connection

from subsystems.fleets.ended import Ended
from subsystems.fleets.folding import Batch
from subsystems.fleets.models import Task, TaskCount
from subsystems.fleets.task_counts import Kind, bounded, counted, unplaced

KEEP = timedelta(days=30)  # a kind that was not counted for so long
ADD = (
    "INSERT INTO fleets_taskcount AS t (fleet_id, event, name, role, queue, exception, n, seconds, changed_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (fleet_id, event, name, role, queue, exception)"
    " DO UPDATE SET n = t.n + excluded.n, seconds = t.seconds + excluded.seconds, changed_at = excluded.changed_at"
)
_kinds: dict[int, set[tuple[str, str, str]]] = {}  # by fleet: those that have a counter


def count(fleet_id: int, batch: Batch, ended: Sequence[Ended]) -> dict[str, tuple[str, str]]:
    """Count what a batch tells, and its *ended*; return name and queue of the tasks that did not tell them."""
    missing = unplaced(batch, ended)
    places = _places(fleet_id, missing) if missing else {}
    increments = bounded(counted(batch, ended, places), _known(fleet_id))
    if increments:
        _add(fleet_id, increments)
    return places


def _places(fleet_id: int, uuids: Sequence[str]) -> dict[str, tuple[str, str]]:
    rows = Task.objects.filter(fleet_id=fleet_id, uuid__in=uuids).values_list("uuid", "name", "queue")
    return {uuid: (name, queue) for uuid, name, queue in rows}


def forget(*, now: datetime) -> None:
    """Forget kinds of tasks that were not counted for a month."""
    if TaskCount.objects.filter(changed_at__lt=(now - KEEP).timestamp()).delete()[0]:
        _kinds.clear()


def forget_kinds() -> None:
    """Read anew which kinds have a counter."""
    _kinds.clear()


def _add(fleet_id: int, increments: Mapping[Kind, tuple[int, float]]) -> None:
    now = time.time()
    rows = [(fleet_id, *kind, n, seconds, now) for kind, (n, seconds) in sorted(increments.items())]
    with connection.cursor() as cursor:
        cursor.executemany(ADD, rows)


def _known(fleet_id: int) -> set[tuple[str, str, str]]:
    if fleet_id not in _kinds:
        rows = TaskCount.objects.filter(fleet_id=fleet_id).order_by().values_list("name", "role", "queue").distinct()
        _kinds[fleet_id] = set(rows)
    return _kinds[fleet_id]
