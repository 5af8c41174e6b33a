"""Counting how often a task was given to a worker, while it is open.

Memory holds the tasks that workers have in hand, which are few: one that ends or is retried is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

from subsystems.fleets.events import Event

MAX_OPEN = 20_000
ENDING = frozenset({"task-succeeded", "task-failed", "task-revoked", "task-retried"})  # a rejected one may come back


@dataclass(slots=True)
class Again:
    """How often one task came back."""

    uuid: str
    name: str
    worker: str
    first_at: float
    last_at: float
    count: int = 1


class Redeliveries:
    """The open tasks of one fleet."""

    def __init__(self) -> None:
        self._open: dict[str, float | Again] = {}  # the moment it was received, until it is received again
        self._news: dict[str, Again] = {}

    def fold(self, event: Event) -> None:
        """Take in one event of a task."""
        if event.type == "task-received":
            self._received(event)
        elif event.type in ENDING:
            self._open.pop(event.uuid, None)

    def take(self) -> list[Again]:
        """Return the tasks that came back since the last call, each with its whole count."""
        news, self._news = self._news, {}
        return list(news.values())

    def _received(self, event: Event) -> None:
        uuid, at = event.uuid, event.timestamp
        known = self._open.get(uuid)
        if known is None:
            if len(self._open) >= MAX_OPEN:
                del self._open[next(iter(self._open))]
            self._open[uuid] = at
            return
        if not isinstance(known, Again):
            if at == known:
                return  # the same event, heard twice
            known = self._open[uuid] = Again(uuid, event.name or "", event.hostname, at, at)
        elif at == known.last_at:
            return
        else:
            known.count += 1
            known.last_at, known.worker = at, event.hostname
        self._news[uuid] = known
