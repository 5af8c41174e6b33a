"""Which tasks ended while nobody listened: their worker answers, and has them neither running nor waiting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

SETTLED_SECONDS = 10.0  # what changed later may have ended between the question and the answer


class Open(NamedTuple):
    """A task of which no end is known."""

    uuid: str
    worker: str
    changed_at: float
    eta_at: float | None


def ended_unseen(tasks: Iterable[Open], held: Mapping[str, Set[str]], *, asked_at: float) -> list[Open]:
    """Return the tasks that are not among what their worker says it holds.

    *held* has the ids by worker, of those alone that answered everything: silence says nothing about a task.
    """
    return [
        task
        for task in tasks
        if task.worker in held
        and task.uuid not in held[task.worker]
        and task.changed_at < asked_at - SETTLED_SECONDS
        and (task.eta_at is None or task.eta_at < asked_at)
    ]
