"""Tasks that come back again and again: each worker that gets one dies of it, or hands it back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from subsystems.fleets.detectors.base import BLIND, Found, Hearing, Kind, Patience, Verdict

QUIET_SECONDS = 600.0  # a loop that turned no more for so long has ended


@dataclass(frozen=True, slots=True)
class Redelivered:
    """A task that was given to a worker more than once without having been retried."""

    uuid: str
    name: str
    count: int  # times that it came back
    first_at: float
    last_at: float
    worker: str = ""
    finished: bool = False


def looping(tasks: Sequence[Redelivered], hearing: Hearing, patience: Patience, *, now: float) -> Verdict:
    """Find kinds of tasks of which some are delivered over and over."""
    if not hearing.hears(now):
        return BLIND
    kinds: dict[str, list[Redelivered]] = defaultdict(list)
    for task in tasks:
        turning = not task.finished and now - task.last_at < QUIET_SECONDS
        if turning and task.count >= patience.redeliveries:
            kinds[task.name or "(unknown)"].append(task)
    return Verdict.of(_found(name, members, now) for name, members in kinds.items())


def _found(name: str, members: Sequence[Redelivered], now: float) -> Found:
    worst = max(members, key=lambda task: task.count)
    n = len(members)
    return Found(
        Kind.REDELIVERY_LOOP,
        name,
        f"{name} loops: {n} {'task' if n == 1 else 'tasks'} given out again and again, one {worst.count + 1} times.",
        min(task.first_at for task in members),
        evidence={
            "tasks": [task.uuid for task in members[:100]],
            "count": n,
            "most_redeliveries": worst.count,
            "last_worker": worst.worker,
            "last_seconds_ago": round(now - max(task.last_at for task in members), 1),
        },
    )
