"""Setting the history right after events were missed: asking for results, and workers what they hold."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import Celery
from django.conf import settings
from kombu.exceptions import KombuError

from subsystems.fleets import results, store
from subsystems.fleets.folding import Batch, Facts
from subsystems.fleets.models import HistoryRules, Task
from subsystems.fleets.services import masking_of
from subsystems.fleets.states import State
from subsystems.fleets.unseen import Open, ended_unseen
from subsystems.s1_operations.adapters.base import FleetRef
from subsystems.s1_operations.adapters.celery_link import link_errors, watching_app
from subsystems.s1_operations.broker_urls import scrub
from subsystems.s1_operations.sealing import CannotOpen, unseal

logger = logging.getLogger(__name__)
OPEN_SECONDS = 30.0  # a task that is open for longer is looked for on its worker
MOST = 2_000  # tasks in one round: of those on workers the oldest first, of those with results the newest
RESULTS_SECONDS = 86_400.0  # applications keep results for a day, unless they say otherwise
ANSWER_SECONDS = 1.5
QUESTIONS = ("active", "reserved", "scheduled")
WITH_A_WORKER = (State.RECEIVED, State.STARTED)


def reconcile(fleet: FleetRef) -> int:
    """Learn the ends of tasks of *fleet* that nobody heard, and mark those whose end nobody tells; return how many.

    A later event of one sets it right again.
    """
    now = time.time()
    return _ends_from_results(fleet, now) + _ended_on_workers(fleet, now)


def _ends_from_results(fleet: FleetRef, now: float) -> int:
    """Write the ends that the fleet's result backend tells, where it has one; keep why it did not answer."""
    rules = HistoryRules.objects.filter(fleet_id=fleet.id).exclude(result_backend_sealed="").first()
    if rules is None:
        return 0
    tasks, found, error = _unended(fleet.id, now), Batch(), ""
    try:
        url = unseal(rules.result_backend_sealed, settings.SECRET_KEY, results.PURPOSE)
        found = results.ends_told(url, tasks, masking_of(rules), now=now)
    except (CannotOpen, results.NotAnswered) as refused:
        error = str(refused)[:300]
    if error != rules.result_backend_error:
        HistoryRules.objects.filter(pk=rules.pk).update(result_backend_error=error)
    store.write(fleet.id, found)
    return len(found.tasks)


def _ended_on_workers(fleet: FleetRef, now: float) -> int:
    """Mark the tasks that their workers, asked now, do not have any more."""
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


def _unended(fleet_id: int, now: float) -> list[results.Unended]:
    """Return the tasks whose end a result may tell: also those that no worker was heard to have."""
    since, until = now - RESULTS_SECONDS, now - OPEN_SECONDS
    rows = (
        Task.objects.filter(fleet_id=fleet_id, finished_at=None, changed_at__gt=since, changed_at__lt=until)
        .order_by("-changed_at")
        .values_list("uuid", "name", "worker", "changed_at")[:MOST]
    )
    return [results.Unended(uuid, name, worker, changed_at.timestamp()) for uuid, name, worker, changed_at in rows]


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
