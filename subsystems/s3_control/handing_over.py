"""What a lost worker leaves behind: tasks that it held, and queues that nobody else reads (requirements 004-33).

A worker that said goodbye was stopped on purpose and leaves nothing. What it held and had not acknowledged its broker
gives out again; what it had acknowledged when it began went down with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from subsystems.algedonic.services import try_to_raise
from subsystems.fleets.detection import TOLD_FROM
from subsystems.fleets.models import StuckFinding, Task
from subsystems.fleets.snapshots import QueueSeen, WorkerSeen
from subsystems.fleets.states import FINAL, OPEN, State
from subsystems.fleets.watching import queue_states, worker_states
from subsystems.kernel.errors import Refused
from subsystems.messaging.channels import Party
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control import recommending, standing
from subsystems.s3_control.launching.queries import supplies
from subsystems.s3_control.models import CapturedTask, Recommendation, ResentTask

LOST = "Critical VSM capacity lost due to node failure"
WORKER = "celery_worker"
LOOK_BACK = timedelta(hours=2)
FRESH_SECONDS, SETTLE_SECONDS = 30.0, 60.0
LASTS = timedelta(hours=1)
MAX_TASKS = 500  # of one worker
MAX_WORKERS = 100
FATES = ("lost", "waits", "taken", "ended")


# --- Who is lost -----------------------------------------------------------------------------------------------------
def lost_workers(fleet_ids: Collection[int], *, now: datetime) -> list[Unit]:
    """Return the workers that are silent or gone without having said goodbye, those of the last two hours."""
    silent = Unit.objects.filter(
        kind=WORKER, fleet_id__in=list(fleet_ids), state__in=[Unit.State.SILENT, Unit.State.GONE],
        last_seen_at__gte=now - LOOK_BACK,
    ).select_related("fleet")  # fmt: skip
    return [unit for unit in silent.order_by("-last_seen_at", "pk")[:MAX_WORKERS] if is_lost(unit)]


def is_lost(unit: Unit) -> bool:
    """Return whether a worker went away without a word."""
    if unit.kind != WORKER or unit.fleet is None or unit.last_seen_at is None:
        return False
    if unit.state not in (Unit.State.SILENT, Unit.State.GONE):
        return False
    return unit.said_goodbye_at is None or unit.said_goodbye_at < unit.last_seen_at - timedelta(seconds=1)


# --- What it held ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Left:
    """A task that a lost worker held, and what became of it."""

    task_id: str
    name: str
    queue: str
    worker: str
    fate: str  # "lost", "waits", "taken" by another, "ended"
    by: str = ""
    captured: bool = False  # its message was kept whole: it can be sent again
    resent_as: str = ""

    @property
    def can_resend(self) -> bool:
        return self.fate == "lost" and self.captured and not self.resent_as


Owned = tuple[int, Left]  # with its fleet


def left_by(units: Sequence[Unit]) -> list[Owned]:
    """Return the tasks that lost workers of one or more fleets held, in a fixed number of statements."""
    states = worker_states({unit.fleet_id for unit in units if unit.fleet_id})
    nodes = {(unit.fleet_id or 0, unit.name.removeprefix(f"{unit.fleet}/")) for unit in units}
    held = {
        (key, task.id): task
        for key in nodes
        for task in ((*states[key].active, *states[key].reserved) if key in states else ())
    }
    rows = _tasks(nodes, held)
    found = _found_lost({key for key, _ in nodes})
    acknowledged = {(key[0], id_) for (key, id_), task in held.items() if task.acknowledged}
    left = [_left(row, nodes, found | acknowledged) for row in rows]
    return _with_messages(left)


def orphans(fleet_ids: Collection[int], *, now: datetime) -> list[Owned]:
    """Return what lost workers held, and what else the detector found to be nowhere; the lost first."""
    left = left_by(lost_workers(fleet_ids, now=now))
    named = _found_lost(set(fleet_ids)) - {(fleet_id, each.task_id) for fleet_id, each in left}
    rows = Task.objects.filter(fleet_id__in=fleet_ids, uuid__in={id_ for _, id_ in named}, state__in=OPEN)
    others = [
        (row.fleet_id, Left(row.uuid, row.name, row.queue, row.worker, "lost"))
        for row in rows[:MAX_TASKS]
        if (row.fleet_id, row.uuid) in named
    ]
    return sorted([*left, *_with_messages(others)], key=lambda owned: (FATES.index(owned[1].fate), owned[1].worker))


def lost_among(fleet: Fleet, ids: Collection[str], *, now: datetime) -> set[str]:
    """Return which of *ids* are lost, as far as events, brokers and workers told."""
    return set(ids) & {each.task_id for _, each in orphans([fleet.pk], now=now) if each.fate == "lost"}


def _tasks(nodes: Collection[tuple[int, str]], held: Mapping[tuple[tuple[int, str], str], Any]) -> list[Task]:
    fleets, names = {key for key, _ in nodes}, {name for _, name in nodes}
    columns = ("fleet_id", "uuid", "name", "queue", "state", "worker")
    having = Task.objects.filter(fleet_id__in=fleets, worker__in=names, state__in=[State.RECEIVED, State.STARTED])
    told = Task.objects.filter(fleet_id__in=fleets, uuid__in={id_ for _, id_ in held})
    rows = {(row.fleet_id, row.uuid): row for row in having.only(*columns).order_by("-seen_at")[:MAX_TASKS]}
    rows |= {(row.fleet_id, row.uuid): row for row in told.only(*columns)[:MAX_TASKS]}
    return list(rows.values())


def _left(row: Task, nodes: Collection[tuple[int, str]], lost: Collection[tuple[int, str]]) -> Owned:
    mine = (row.fleet_id, row.worker) in nodes
    if row.state >= FINAL or row.state == State.UNKNOWN:
        fate, by = "ended", row.worker
    elif not mine and row.worker:
        fate, by = "taken", row.worker
    else:
        fate, by = ("lost" if (row.fleet_id, row.uuid) in lost else "waits"), ""
    return row.fleet_id, Left(row.uuid, row.name, row.queue, row.worker if mine else "", fate, by)


def _found_lost(fleet_ids: Collection[int]) -> set[tuple[int, str]]:
    """Return what the detector of lost tasks is sure enough of."""
    findings = StuckFinding.objects.filter(
        fleet_id__in=fleet_ids, kind=StuckFinding.Kind.LOST_TASKS, ended_at=None, confidence__gte=TOLD_FROM
    )
    return {(row.fleet_id, str(id_)) for row in findings for id_ in row.evidence.get("tasks", [])}


def _with_messages(left: Sequence[Owned]) -> list[Owned]:
    ids, fleets = [each.task_id for _, each in left], {fleet_id for fleet_id, _ in left}
    kept = CapturedTask.objects.filter(fleet_id__in=fleets, task_id__in=ids).values_list("fleet_id", "task_id")
    captured = set(kept)
    again = ResentTask.objects.filter(fleet_id__in=fleets, task_id__in=ids)
    resent = {(row.fleet_id, row.task_id): row.new_id for row in again}
    return [
        (
            fleet_id,
            Left(
                each.task_id, each.name, each.queue, each.worker, each.fate, each.by,
                (fleet_id, each.task_id) in captured, resent.get((fleet_id, each.task_id), ""),
            ),
        )
        for fleet_id, each in left
    ]  # fmt: skip


# --- What it read ----------------------------------------------------------------------------------------------------
def look_around(*, now: datetime) -> int:
    """Advise who takes over the queues of lost workers, and let it hurt, once for each loss; return how many."""
    fleets = {fleet.pk: fleet for fleet in Fleet.objects.filter(enabled=True, own=False, last_error="")}
    lost = lost_workers(fleets, now=now)
    if not lost:
        return 0
    workers, queues = worker_states(fleets), queue_states(fleets)
    paused = standing.paused_queues(fleets)
    advised = 0
    for unit in lost:
        fleet = fleets[unit.fleet_id or 0]
        mine = workers.get((fleet.pk, unit.name.removeprefix(f"{fleet.name}/")))
        fresh = _fresh(fleet, workers, now)
        for queue in orphaned(mine, fresh, paused.get(fleet.pk, set())):
            seen = queues.get((fleet.pk, queue))
            advised += seen is not None and _handed_over(fleet, unit, mine, seen, fresh, now)
    return advised


def orphaned(mine: WorkerSeen | None, others: Iterable[WorkerSeen], paused: Collection[str]) -> list[str]:
    """Return the queues that a lost worker read and nobody else does."""
    if mine is None:
        return []
    read = {queue for worker in others if worker.name != mine.name for queue in worker.queues}
    return sorted(set(mine.queues) - read - set(paused))


def _fresh(fleet: Fleet, workers: Mapping[tuple[int, str], WorkerSeen], now: datetime) -> list[WorkerSeen]:
    since = now.timestamp() - FRESH_SECONDS
    return [seen for (key, _), seen in workers.items() if key == fleet.pk and seen.observed_at >= since]


def _handed_over(
    fleet: Fleet, unit: Unit, mine: WorkerSeen | None, queue: QueueSeen, fresh: Sequence[WorkerSeen], now: datetime
) -> bool:
    """Advise once for each loss; return whether it was news."""
    if (queue.consumers or 0) > 0 or now.timestamp() - queue.observed_at > FRESH_SECONDS or unit.last_seen_at is None:
        return False  # somebody reads it, or nobody knows
    subject = f"{fleet.name}/{queue.name}"
    key = f"orphaned {unit.pk} {int(unit.last_seen_at.timestamp())} {queue.name}"[:200]
    if Recommendation.objects.filter(system_id=fleet.system_id, key=key).exists():
        return False
    act, title = _who_takes_over(fleet, mine, queue.name, fresh)
    try:
        recommending.recommend(
            system_id=fleet.system_id, kind="resource", source="s3", author="S3", subject=subject, title=title[:200],
            reason=f"{unit.name} is lost, and nobody else reads {queue.name}.", key=key, fleet=fleet, act=act,
            expected_effect={"metric": "consumers", "source": subject, "from": 0, "to": 1, "unit": "consumers"},
            evidence={"worker": unit.name, "last_seen_at": unit.last_seen_at.isoformat(), "ready": queue.ready},
            measured_at=datetime.fromtimestamp(queue.observed_at, UTC), settle_seconds=SETTLE_SECONDS,
            expires_at=now + LASTS, now=now,
        )  # fmt: skip
    except Refused:
        return False  # stale by now, or a name that nobody can act on
    try_to_raise(
        type="pain", source="cluster_management", severity="high", origin=Party.CLUSTER, system_id=fleet.system_id,
        description=f"{LOST}: {subject}", data={"affected_subsystems": [subject], "worker": unit.name}, at=now,
    )  # fmt: skip
    return True


def _who_takes_over(
    fleet: Fleet, mine: WorkerSeen | None, queue: str, fresh: Sequence[WorkerSeen]
) -> tuple[dict[str, Any] | None, str]:
    """Return the act and its words: the idlest of the same role reads it, else a launcher starts a worker."""
    peers = [each for each in fresh if mine and each.role == mine.role and each.active_count is not None]
    if peers:
        idlest = min(peers, key=lambda each: ((each.active_count or 0) + (each.reserved_count or 0), each.name))
        act = {"kind": "worker.add_consumer", "target": idlest.name, "parameters": {"queue": queue}}
        return act, f"Let {idlest.name} read {queue}"
    fitting = [each for each in supplies(fleet, [seen.name for seen in fresh]) if queue in each.queues]
    able = next((each for each in fitting if each.started(1)), None)
    if able is not None:
        return {
            "kind": "worker.start",
            "target": able.name,
            "parameters": {"workers": 1},
        }, f"Start a worker for {queue}"
    return None, f"Start a worker for {queue}"
