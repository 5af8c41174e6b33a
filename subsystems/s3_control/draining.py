"""Which workers to take out of a fleet, and when one of them may be stopped: never while it has work."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from subsystems.s3_control.workers import Worker

EMPTY_LOOKS = 2  # one look may fall between two messages: twice empty, and no consumer in between, is empty
TOLD_LOOKS = 5  # a worker that answers so often after it was told to stop did not hear it, and is told again
UNHEARD_LOOKS = 20  # a worker that does not answer so often is not known to be idle, and is left alone


class Step(StrEnum):
    """What to do next with a worker that is being drained."""

    CANCEL = "cancel"  # its consumers
    WAIT = "wait"
    STOP = "stop"
    GONE = "gone"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Drain:
    """What is remembered of one worker's drain between two looks."""

    node: str
    queues: tuple[str, ...] = ()  # what it read, to give back when the drain is given up
    empty_looks: int = 0
    unheard_looks: int = 0
    stopping: bool = False
    told_looks: int = 0  # in which it still answered since it was told to stop
    outcome: str = ""  # "stopped", or why the worker was left alone

    def body(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "queues": list(self.queues),
            "empty_looks": self.empty_looks,
            "unheard_looks": self.unheard_looks,
            "stopping": self.stopping,
            "told_looks": self.told_looks,
            "outcome": self.outcome,
        }

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Drain:
        return cls(**{**body, "queues": tuple(body["queues"])})


def choose(workers: Collection[Worker], wanted: int, *, queue: str = "", keep: int = 1) -> list[Worker]:
    """Return up to *wanted* workers to take out: the idle first, then those with least to do; at least *keep* stay.

    Only workers that said what they do: one that did not answer is unknown, not idle. With *queue*, only its readers,
    and at least *keep* of its readers stay.
    """
    known = [worker for worker in workers if worker.busy is not None and worker.queues is not None]
    readers = [worker for worker in known if not queue or queue in (worker.queues or ())]
    readers.sort(key=lambda worker: (worker.busy or 0, worker.active or 0, worker.uptime_seconds or 0.0, worker.node))
    return readers[: max(0, min(wanted, len(readers) - keep))]


def next_step(drain: Drain, worker: Worker | None, *, out_of_time: bool) -> tuple[Step, Drain]:
    """Return what to do with a worker as it is now (None: it did not answer), and what to remember."""
    if worker is None or worker.busy is None or worker.queues is None:
        return _unheard(drain, out_of_time)
    drain = replace(drain, unheard_looks=0)
    if drain.stopping:
        # It says goodbye by not answering. A broadcast is no promise: where it was not heard, all begins anew.
        drain = replace(drain, told_looks=drain.told_looks + 1)
        if drain.told_looks < TOLD_LOOKS:
            return Step.WAIT, drain
        drain = replace(drain, stopping=False, told_looks=0, empty_looks=0)
    if out_of_time:
        return Step.GIVE_UP, drain
    if worker.queues:
        queues = tuple(dict.fromkeys([*drain.queues, *worker.queues]))
        return Step.CANCEL, replace(drain, queues=queues, empty_looks=0)
    if worker.busy:
        return Step.WAIT, replace(drain, empty_looks=0)
    drain = replace(drain, empty_looks=drain.empty_looks + 1)
    return (Step.STOP, replace(drain, stopping=True)) if drain.empty_looks >= EMPTY_LOOKS else (Step.WAIT, drain)


def _unheard(drain: Drain, out_of_time: bool) -> tuple[Step, Drain]:
    drain = replace(drain, unheard_looks=drain.unheard_looks + 1, empty_looks=0)
    if drain.stopping:
        return (Step.GONE if drain.unheard_looks >= EMPTY_LOOKS else Step.WAIT), drain
    if out_of_time or drain.unheard_looks >= UNHEARD_LOOKS:
        return Step.GIVE_UP, drain
    return Step.WAIT, drain


def ended(drain: Drain, outcome: str) -> Drain:
    """Return *drain* as it ended: "stopped", or why the worker was left alone."""
    return replace(drain, outcome=outcome)


def summary(drains: Sequence[Drain]) -> dict[str, int]:
    """Return how many workers stopped, were left alone, and are still being drained."""
    stopped = sum(drain.outcome == "stopped" for drain in drains)
    left = sum(bool(drain.outcome) for drain in drains) - stopped
    return {"stopped": stopped, "left_alone": left, "draining": len(drains) - stopped - left}
