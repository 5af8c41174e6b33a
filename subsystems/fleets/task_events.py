"""What a batch tells of the work of workers: what was asked of them, how it ended, and what was decided.

Ends are those that were counted, so that each is told once, however often the broker says it. Texts are masked already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from subsystems.fleets.ended import Ended
from subsystems.fleets.folding import Batch
from subsystems.fleets.states import State

AHEAD_SECONDS, BEHIND_SECONDS = 60.0, 3_000.0  # a clock that is further off is wrong
OK, RETRIED, REVOKED, REJECTED, FAILED = "ok", "retried", "revoked", "rejected", "failed"
OUTCOMES = {int(State.SUCCESS): OK, int(State.REVOKED): REVOKED, int(State.REJECTED): REJECTED}


class TaskEnded(NamedTuple):
    """A task, or a try of it, ended; a duration of None is not known."""

    worker: str
    task: str
    outcome: str
    duration_ms: float | None
    at: float
    words: str


@dataclass
class Told:
    """What was told, in whole seconds where only numbers are."""

    asked: Counter[tuple[str, str, float]] = field(default_factory=Counter)  # worker, task, second
    ended: list[TaskEnded] = field(default_factory=list)
    revoked: Counter[tuple[str, float]] = field(default_factory=Counter)  # worker, second


def told(batch: Batch, ended: Sequence[Ended], places: Mapping[str, tuple[str, str]], now: float) -> Told:
    """Return what a batch tells; *places* are name and queue of tasks that told them before.

    What has no name or no worker is left out, rather than counted under a wrong one.
    """
    found = Told()
    for facts in batch.tasks.values():
        if facts.received_at is not None and facts.name and facts.worker:
            found.asked[facts.worker, facts.name, float(int(_credible(facts.received_at, now)))] += 1
    found.ended += _tries(batch, ended, places, now)
    for each in ended:
        if each.name and each.worker:
            at = _credible(each.finished_at, now)
            found.ended.append(_end(each, at))
            if each.state == State.REVOKED:
                found.revoked[each.worker, float(int(at))] += 1
    return found


def _tries(
    batch: Batch, ended: Sequence[Ended], places: Mapping[str, tuple[str, str]], now: float
) -> Iterator[TaskEnded]:
    """Return the tries that ended in another."""
    names = {each.uuid: each.name for each in ended} if batch.retries else {}
    for each in batch.retries:
        known = names.get(each.uuid) or batch.tasks[each.uuid].name or places.get(each.uuid, ("", ""))[0]
        if known and each.worker:
            yield TaskEnded(each.worker, known, RETRIED, None, _credible(each.at, now), each.exception)


def _end(each: Ended, at: float) -> TaskEnded:
    words = each.exception or ""
    duration = None if each.runtime is None else 1000 * each.runtime
    return TaskEnded(each.worker, each.name, OUTCOMES.get(each.state) or _kind(words), duration, at, words)


def _credible(at: float, now: float) -> float:
    return at if now - BEHIND_SECONDS < at < now + AHEAD_SECONDS else now


def _kind(words: str) -> str:
    """Return the name of an exception from its `repr`: `ValueError('no')`."""
    name = words.partition("(")[0].strip()
    return name if name.replace(".", "").replace("_", "").isalnum() and len(name) <= 80 else FAILED
