"""Folding the events of Celery workers into a few numbers per worker: how they fare, and how well they are heard.

Nothing is kept per task, so that a million tasks cost what one does; per worker there are counters and two small rings.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from subsystems.fleets.events import Event
from subsystems.fleets.redeliveries import Again, Redeliveries

WINDOW_SECONDS = 15.0  # rates are over this long: it follows a change of load and does not flicker
REPORT_EVERY_SECONDS = 5.0  # at least, also when nothing changed
FORGET_AFTER_SECONDS = 300.0  # a worker unheard this long is dropped here
MAX_WORKERS = 2_000
OLDEST_SECONDS = 600.0  # an event that waited this long at the broker happened then; one with a wild clock happens now
CONFIRMED_BY = 4  # heartbeats that must agree before tasks count as missed: an event may come a little after one
ENOUGH_TASKS = 20  # before it is said that clients do not tell what they send
DONE = {"task-succeeded": False, "task-failed": True}


@dataclass
class WorkerTally:
    """What was heard of one worker."""

    since: float
    heard_at: float
    processed: float | None = None
    failed_total: int = 0
    tells_tasks: bool = False  # only workers started with events tell how their tasks ended
    seconds: deque[list[float]] = field(default_factory=deque)  # [second, done, failed], the last 15
    beats: deque[tuple[float, float]] = field(default_factory=deque)  # (at, processed) of heartbeats, the last 15 s
    reported: dict[str, float] = field(default_factory=dict)
    reported_at: float = 0.0
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=5))  # of heartbeats: the least is the skew
    counted_from: float | None = None  # what it had started before anybody listened
    starts: int = 0  # heard since
    deficits: deque[float] = field(default_factory=lambda: deque(maxlen=CONFIRMED_BY))
    missed: int = 0

    def finish(self, failed: bool, at: float) -> None:
        second = float(int(at))
        if not self.seconds or self.seconds[-1][0] < second:
            self.seconds.append([second, 0.0, 0.0])
        self.seconds[-1][1] += 1
        self.seconds[-1][2] += failed
        self.failed_total += failed

    def beat(self, processed: float | None, delay: float, now: float) -> None:
        self.delays.append(delay)
        if processed is None:
            return
        if self.processed is not None and processed < self.processed:
            self.beats.clear()  # it restarted under the same name
            self.counted_from = None
        self.processed = processed
        self.beats.append((now, processed))
        self._count_missed(processed)

    def _count_missed(self, processed: float) -> None:
        """Compare what the worker says it started with what was heard: the difference was missed."""
        if self.counted_from is None or not self.tells_tasks:
            self.counted_from, self.starts = processed, 0
            self.deficits.clear()
            return
        self.deficits.append(processed - self.counted_from - self.starts)
        least = min(self.deficits)
        if len(self.deficits) == CONFIRMED_BY and least > 0:
            self.missed += int(least)
            self.counted_from += least
            self.deficits.clear()

    @property
    def skew_seconds(self) -> float | None:
        """Return by how much the worker's clock is behind ours; what it takes to come here is in it."""
        return min(self.delays) if self.delays else None

    @property
    def tells(self) -> bool | None:
        """Return whether it tells of its tasks; None when it had none since it is heard."""
        if self.tells_tasks:
            return True
        worked = len(self.beats) > 1 and self.beats[-1][1] > self.beats[0][1]
        return False if worked else None

    def metrics(self, now: float) -> dict[str, float]:
        """Return what can be said now; what cannot is absent."""
        self._forget_old(now)
        found: dict[str, float] = {}
        if self.processed is not None:
            found["processed_total"] = self.processed
        if self.tells_tasks:
            span = min(WINDOW_SECONDS, max(now - self.since, 1.0))
            found["failed_total"] = float(self.failed_total)
            found["task_rate"] = sum(done for _, done, _ in self.seconds) / span
            found["failure_rate"] = sum(failed for _, _, failed in self.seconds) / span
        elif len(self.beats) > 1 and self.beats[-1][0] > self.beats[0][0]:
            (start, before), (end, after) = self.beats[0], self.beats[-1]
            found["task_rate"] = (after - before) / (end - start)
        return found

    def hearing(self) -> dict[str, Any]:
        """Return how well it is heard."""
        skew = self.skew_seconds
        return {
            "skew_seconds": None if skew is None else round(skew, 3),
            "tells_tasks": self.tells,
            "missed": self.missed,
        }

    def _forget_old(self, now: float) -> None:
        while self.seconds and self.seconds[0][0] < now - WINDOW_SECONDS:
            self.seconds.popleft()
        while len(self.beats) > 1 and self.beats[0][0] < now - WINDOW_SECONDS:
            self.beats.popleft()


@dataclass
class Report:
    """What is new since the last report: metrics by worker, who was heard, who said goodbye."""

    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    offline: list[str] = field(default_factory=list)
    again: list[Again] = field(default_factory=list)  # tasks that were given out once more

    def __bool__(self) -> bool:
        return bool(self.metrics or self.heard or self.offline or self.again)


class FleetTally:
    """All workers of one fleet."""

    def __init__(self) -> None:
        self._workers: dict[str, WorkerTally] = {}
        self._heard: set[str] = set()
        self._offline: set[str] = set()
        self._left: set[str] = set()  # said goodbye: what still comes of them tells of tasks that ended, not of life
        self.events = 0
        self.last_event_at: float | None = None
        self._missed_before = 0  # by workers that are forgotten
        self._sent = self._received = 0
        self._redeliveries = Redeliveries()

    def fold(self, event: Event, now: float) -> None:
        """Take in one event."""
        self.events += 1
        self.last_event_at = now
        type_, name = event.type, event.hostname
        self._redeliveries.fold(event)
        if type_ == "task-sent":  # which comes from a client, not a worker
            self._sent += 1
            return
        if not name:
            return
        if type_.startswith("worker-"):
            self._fold_worker(event, now)
        elif type_.startswith("task-") and name not in self._left:
            self._fold_task(event, now)

    def report(self, now: float) -> Report:
        """Return what is new: at once where something changed, and every 5 s."""
        report = Report(heard=sorted(self._heard), offline=sorted(self._offline), again=self._redeliveries.take())
        self._heard, self._offline = set(), set()
        for name, worker in list(self._workers.items()):
            if now - worker.heard_at > FORGET_AFTER_SECONDS:
                self._forget(name)
                continue
            metrics = worker.metrics(now)
            if metrics == worker.reported and now - worker.reported_at < REPORT_EVERY_SECONDS:
                continue
            worker.reported, worker.reported_at = metrics, now
            report.metrics[name] = {**metrics, "heartbeat_age_seconds": max(0.0, now - worker.heard_at)}
        return report

    def hearing(self) -> dict[str, dict[str, Any]]:
        """Return by worker how well it is heard."""
        return {name: worker.hearing() for name, worker in sorted(self._workers.items())}

    @property
    def missed(self) -> int:
        """Return how many starts workers counted that nobody heard of."""
        return self._missed_before + sum(worker.missed for worker in self._workers.values())

    @property
    def hears_sending(self) -> bool | None:
        """Return whether clients tell what they send; None when too little was sent to know."""
        if self._sent:
            return True
        return False if self._received >= ENOUGH_TASKS else None

    def _fold_worker(self, event: Event, now: float) -> None:
        name = event.hostname
        if event.type == "worker-offline":
            self._take_leave(name)
            return
        self._left.discard(name)
        worker = self._live(name, now)
        if worker is not None:
            processed = None if event.processed is None else float(event.processed)
            worker.beat(processed, now - event.timestamp, now)

    def _fold_task(self, event: Event, now: float) -> None:
        worker = self._live(event.hostname, now)
        if worker is None:
            return
        worker.tells_tasks = True
        if event.type == "task-started":
            worker.starts += 1
        elif event.type == "task-received":
            self._received += 1
        elif event.type in DONE:
            age = now - event.timestamp
            worker.finish(DONE[event.type], event.timestamp if 0 <= age < OLDEST_SECONDS else now)

    def _live(self, name: str, now: float) -> WorkerTally | None:
        worker = self._workers.get(name)
        if worker is None:
            if len(self._workers) >= MAX_WORKERS:
                return None
            worker = self._workers[name] = WorkerTally(since=now, heard_at=now)
        worker.heard_at = now
        self._heard.add(name)
        self._offline.discard(name)
        return worker

    def _take_leave(self, name: str) -> None:
        if len(self._left) >= MAX_WORKERS:
            self._left.clear()
        self._left.add(name)
        self._offline.add(name)
        self._heard.discard(name)
        self._forget(name)

    def _forget(self, name: str) -> None:
        worker = self._workers.pop(name, None)
        self._missed_before += worker.missed if worker else 0
