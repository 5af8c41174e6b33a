"""Setting the history right after events were missed: asking workers what they hold."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import Celery
from kombu.exceptions import KombuError

from subsystems.fleets import store
from subsystems.fleets.folding import Batch, Facts
from subsystems.fleets.models import Task
from subsystems.fleets.states import State
from subsystems.fleets.unseen import Open, ended_unseen
from subsystems.s1_operations.adapters.base import FleetRef
from subsystems.s1_operations.adapters.celery_link import link_errors, watching_app
from subsystems.s1_operations.broker_urls import scrub

logger = logging.getLogger(__name__)
OPEN_SECONDS = 30.0  # a task that is open for longer is looked for on its worker
MOST = 2_000  # tasks in one round, the oldest first
ANSWER_SECONDS = 1.5
QUESTIONS = ("active", "reserved", "scheduled")
WITH_A_WORKER = (State.RECEIVED, State.STARTED)


def reconcile(fleet: FleetRef) -> int:
    """Mark the tasks of *fleet* that ended unseen; return how many. A later event of one sets it right again."""
    now = time.time()
    tasks = _open(fleet.id, before=now - OPEN_SECONDS)
    if not tasks:
        return 0
    held = held_by_workers(watching_app(fleet), sorted({task.worker for task in tasks}), fleet)
    gone = ended_unseen(tasks, held, asked_at=now)
    batch = Batch()
    for task in gone:
        batch.tasks[task.uuid] = Facts(
            task.uuid, task.changed_at, state=int(State.UNKNOWN), changed_at=round(now, 6), worker=task.worker
        )
    store.write(fleet.id, batch)
    return len(gone)


def held_by_workers(app: Celery, workers: list[str], fleet: FleetRef) -> dict[str, set[str]]:
    """Return the ids of the tasks that each worker has, of those that answered all questions."""
    held: dict[str, set[str]] = {name: set() for name in workers}
    inspector = app.control.inspect(destination=workers, timeout=ANSWER_SECONDS)
    try:
        for question in QUESTIONS:
            answers: dict[str, Any] = getattr(inspector, question)() or {}
            held = {
                name: ids | _ids(answers[name]) for name, ids in held.items() if isinstance(answers.get(name), list)
            }
    except (KombuError, *link_errors(app)) as error:
        logger.info("Workers of %s could not be asked: %s", fleet.name, scrub(str(error), fleet.url))
        return {}
    return held


def _ids(answer: list[Any]) -> set[str]:
    """Return the ids of tasks in an answer; what is scheduled is wrapped once more."""
    requests = [each.get("request", each) for each in answer if isinstance(each, dict)]
    return {str(each.get("id", "")) for each in requests if isinstance(each, dict)}


def _open(fleet_id: int, *, before: float) -> list[Open]:
    rows = (
        Task.objects.filter(fleet_id=fleet_id, finished_at=None, changed_at__lt=before)
        .filter(state__in=[int(state) for state in WITH_A_WORKER])
        .exclude(worker="")
        .order_by("changed_at")
        .values_list("uuid", "worker", "changed_at", "eta_at")[:MOST]
    )
    return [
        Open(uuid, worker, changed_at.timestamp(), None if eta_at is None else eta_at.timestamp())
        for uuid, worker, changed_at, eta_at in rows
    ]
