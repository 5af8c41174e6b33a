"""Tasks that are nowhere: sent and never received, or received by a worker that is gone, and not given to another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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

UNSURE = 0.5
NEVER_RECEIVED, NEVER_FINISHED = "never_received", "never_finished"


@dataclass(frozen=True, slots=True)
class Open:
    """A task of which no end is known."""

    uuid: str
    name: str
    queue: str
    received: bool
    changed_at: float  # when the last was heard of it
    sent_at: float | None = None
    not_before: float | None = None  # its ETA
    expires_at: float | None = None
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """A worker, for the question whether it may still have a task."""

    alive_at: float
    started_at: float | None = None
    said_goodbye_at: float | None = None
    acknowledged: frozenset[str] = frozenset()  # ids of the tasks it ran and had taken for good, when last asked


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a fleet at one moment."""

    queues: Mapping[str, QueueSeen]
    holders: Mapping[str, Holder]
    hearing: Hearing
    last_received: Mapping[str, float] = field(default_factory=dict)  # by queue: when a worker last got something
    keeps_unacked: bool = False  # a broker that gives back only after a time, as Redis does


def lost(tasks: Sequence[Open], evidence: Evidence, patience: Patience, *, now: float) -> Verdict:
    """Find tasks that no queue and no living worker can have any more."""
    if not evidence.hearing.hears(now):
        return BLIND
    groups: dict[tuple[str, str], list[tuple[Open, float]]] = defaultdict(list)
    unknown = set()
    for task in tasks:
        how = NEVER_FINISHED if task.received else NEVER_RECEIVED
        confidence = _finished_never(task, evidence, patience, now) if task.received else (
            _received_never(task, evidence, patience, now)
        )  # fmt: skip
        if confidence is None:
            unknown.add(_subject(how, task))
        elif confidence:
            groups[how, _subject(how, task)].append((task, confidence))
    found = [_found(how, subject, members, now) for (how, subject), members in groups.items()]
    return Verdict.of(found, unknown - {each.subject for each in found})


def _subject(how: str, task: Open) -> str:
    return f"on {task.worker}" if how == NEVER_FINISHED else f"in {task.queue}"


def _received_never(task: Open, evidence: Evidence, patience: Patience, now: float) -> float | None:
    """Return how sure it is that no worker will get *task*; None when nobody can tell."""
    sent = task.sent_at if task.sent_at is not None else task.changed_at
    due = max(sent, task.not_before or 0.0)
    if now - due < patience.lost_seconds or (task.expires_at is not None and task.expires_at < now):
        return 0.0
    queue = evidence.queues.get(task.queue)
    if queue is None or now - queue.observed_at >= FRESH_SECONDS:
        return None
    if queue.empty_at is None or queue.empty_at < due + patience.settled_seconds:
        return 0.0  # it may still wait there
    if queue.unacked or (queue.counted and (queue.consumers or 0) > queue.readers):
        return 0.0  # or somebody has it who does not say so: a worker that is frozen
    return _sure(task, sent, evidence, now) if _all_tell(task.queue, evidence) else 0.0


def _finished_never(task: Open, evidence: Evidence, patience: Patience, now: float) -> float | None:
    """Return how sure it is that *task* went down with its worker; None when nobody can tell."""
    holder = evidence.holders.get(task.worker)
    if holder is None:
        return None
    gone_at = _gone_at(holder, task, patience, now)
    if gone_at is None or now - gone_at < patience.gone_seconds:
        return 0.0
    sure = _sure(task, task.changed_at, evidence, now)
    if task.uuid in holder.acknowledged:
        return sure  # its message was gone when it ran
    if now - gone_at < patience.lost_seconds or not task.queue:
        return 0.0
    queue = evidence.queues.get(task.queue)
    if queue is None or now - queue.observed_at >= FRESH_SECONDS:
        return None
    back_by = gone_at + patience.republished_seconds
    if queue.empty_at is not None and queue.empty_at >= back_by:
        return sure
    # What a broker takes back it puts in front: when others were given out since, this one was not among them.
    if not evidence.keeps_unacked and evidence.last_received.get(task.queue, 0.0) >= back_by:
        return min(sure, 0.7)
    return 0.0


def _gone_at(holder: Holder, task: Open, patience: Patience, now: float) -> float | None:
    """Return when the worker that had *task* left; None while it is there."""
    if holder.started_at is not None and holder.started_at > task.changed_at + 1.0:
        return holder.started_at  # another process under the same name
    if holder.said_goodbye_at is not None and holder.said_goodbye_at >= holder.alive_at - 1.0:
        return holder.said_goodbye_at
    return holder.alive_at if now - holder.alive_at >= patience.gone_seconds else None


def _sure(task: Open, start: float, evidence: Evidence, now: float) -> float:
    """Return the confidence that an event that was not heard was not sent."""
    hearing = evidence.hearing
    if not hearing.heard_all(start - 1.0, now):
        return 0.0  # what happened to it may have been told while nobody listened
    return UNSURE if hearing.missed else SURE


def _all_tell(queue: str, evidence: Evidence) -> bool:
    """Return whether the workers tell what they receive: without that nobody knows of it."""
    telling = evidence.hearing.telling
    return bool(telling) and all(told is not False for told in telling.values())


def _found(how: str, subject: str, members: Sequence[tuple[Open, float]], now: float) -> Found:
    tasks = [task for task, _ in members]
    since = min(task.changed_at for task in tasks)
    n = len(tasks)
    noun = "task" if n == 1 else "tasks"
    text = {
        NEVER_RECEIVED: f"{n} {noun} {subject}: sent, never received, and the queue was empty since.",
        NEVER_FINISHED: f"{n} {noun} {subject}: received, never finished, and the worker is gone.",
    }[how]
    return Found(
        Kind.LOST_TASKS,
        subject,
        text,
        since,
        min(confidence for _, confidence in members),
        {
            "how": how,
            "count": n,
            "oldest_seconds": round(now - since, 1),
            "oldest": seconds_text(now - since),
            "tasks": [task.uuid for task in tasks[:100]],
            "names": sorted({task.name for task in tasks})[:20],
            "queues": sorted({task.queue for task in tasks})[:20],
        },
    )
