"""Tasks of a low priority that never get their turn: others, sent later to the same queue, start before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from subsystems.fleets.detectors.base import (
    BLIND,
    FRESH_SECONDS,
    SURE,
    Found,
    Hearing,
    Kind,
    Patience,
    Verdict,
    seconds_text,
)
from subsystems.fleets.snapshots import QueueSeen

OVERTAKEN = 10  # starts of later tasks in the time of patience
WAITING = 3  # old tasks, where the broker does not tell its priorities: one alone may have been lost


@dataclass(frozen=True, slots=True)
class Line:
    """Who stands in one queue: the tasks that wait and may start, and how many that came later were started."""

    queue: str
    oldest_sent_at: float
    old: int  # waiting for longer than patience
    overtaken: int  # started in that time, and sent after the oldest
    uuids: Sequence[str] = ()
    names: Sequence[str] = ()


def starved(
    lines: Sequence[Line], queues: Mapping[str, QueueSeen], hearing: Hearing, patience: Patience, *, now: float
) -> Verdict:
    """Find queues in which old tasks wait while younger ones start."""
    if not hearing.hears(now):
        return BLIND
    found, unknown = [], []
    for line in lines:
        queue = queues.get(line.queue)
        if queue is None or now - queue.observed_at >= FRESH_SECONDS or queue.ready is None:
            unknown.append(line.queue)
        elif _starves(line, queue, patience, now):
            found.append(_found(line, queue, now))
    return Verdict.of(found, unknown)


def _starves(line: Line, queue: QueueSeen, patience: Patience, now: float) -> bool:
    if now - line.oldest_sent_at < patience.starved_seconds or line.overtaken < OVERTAKEN:
        return False
    if queue.empty_at is not None and queue.empty_at > line.oldest_sent_at:
        return False  # the queue was empty since: whoever still waits is lost, and not in it
    least = min((ready for at, ready in queue.recent if at > now - patience.starved_seconds), default=0.0)
    if queue.levels:
        return _low_level(queue) is not None
    return line.old >= WAITING and least >= line.old


def _low_level(queue: QueueSeen) -> str | None:
    """Return the priority served last at which something waits, unless it is the only one that there is.

    RabbitMQ serves the highest number first, Celery on Redis (which counts no consumers) the lowest.
    """
    if len(queue.levels) < 2:
        return None
    waiting = [level for level, depth in queue.levels.items() if depth > 0]
    last = min if queue.counted else max
    return last(waiting, key=int) if waiting else None


def _found(line: Line, queue: QueueSeen, now: float) -> Found:
    waited = now - line.oldest_sent_at
    level = _low_level(queue)
    at = f" at priority {level}" if level is not None else ""
    return Found(
        Kind.STARVED_PRIORITY,
        line.queue,
        f"Tasks{at} in {line.queue} starve: the oldest waits {seconds_text(waited)}, and later ones start before it.",
        line.oldest_sent_at,
        SURE if level is not None else 0.7,
        {
            "oldest_waits_seconds": round(waited, 1),
            "old_tasks": line.old,
            "later_ones_started": line.overtaken,
            "depth_by_priority": dict(queue.levels),
            "tasks": list(line.uuids)[:20],
            "names": sorted(set(line.names))[:10],
        },
    )
