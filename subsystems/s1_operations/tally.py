"""Folding the events of Celery workers into a few numbers per worker.

Nothing is kept per task, so that a million tasks cost what one does; per worker there are counters and one small ring.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WINDOW_SECONDS = 15.0  # rates are over this long: it follows a change of load and does not flicker
REPORT_EVERY_SECONDS = 5.0  # at least, also when nothing changed
FORGET_AFTER_SECONDS = 300.0  # a worker unheard this long is dropped here
MAX_WORKERS = 2_000
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

    def finish(self, failed: bool, now: float) -> None:
        if not self.seconds or self.seconds[-1][0] != int(now):
            self.seconds.append([float(int(now)), 0.0, 0.0])
        self.seconds[-1][1] += 1
        self.seconds[-1][2] += failed
        self.failed_total += failed

    def beat(self, processed: float | None, now: float) -> None:
        if processed is None:
            return
        if self.processed is not None and processed < self.processed:
            self.beats.clear()  # it restarted under the same name
        self.processed = processed
        self.beats.append((now, processed))

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

    def __bool__(self) -> bool:
        return bool(self.metrics or self.heard or self.offline)


class FleetTally:
    """All workers of one fleet."""

    def __init__(self) -> None:
        self._workers: dict[str, WorkerTally] = {}
        self._heard: set[str] = set()
        self._offline: set[str] = set()
        self._left: set[str] = set()  # said goodbye: what still comes of them tells of tasks that ended, not of life

    def fold(self, event: Mapping[str, Any], now: float) -> None:
        """Take in one event."""
        type_, name = str(event.get("type", "")), event.get("hostname")
        if not isinstance(name, str) or type_ == "task-sent":  # which comes from a client, not a worker
            return
        if type_ == "worker-offline":
            self._take_leave(name)
            return
        if type_.startswith("worker-"):
            self._left.discard(name)
        elif name in self._left:
            return
        worker = self._worker(name, now)
        if worker is None:
            return
        worker.heard_at = now
        self._heard.add(name)
        self._offline.discard(name)
        if type_.startswith("worker-"):
            worker.beat(_number(event.get("processed")), now)
        elif type_.startswith("task-"):
            worker.tells_tasks = True
            if type_ in DONE:
                worker.finish(DONE[type_], now)

    def report(self, now: float) -> Report:
        """Return what is new: at once where something changed, and every 5 s."""
        report = Report(heard=sorted(self._heard), offline=sorted(self._offline))
        self._heard, self._offline = set(), set()
        for name, worker in list(self._workers.items()):
            if now - worker.heard_at > FORGET_AFTER_SECONDS:
                del self._workers[name]
                continue
            metrics = worker.metrics(now)
            if metrics == worker.reported and now - worker.reported_at < REPORT_EVERY_SECONDS:
                continue
            worker.reported, worker.reported_at = metrics, now
            report.metrics[name] = {**metrics, "heartbeat_age_seconds": max(0.0, now - worker.heard_at)}
        return report

    def _take_leave(self, name: str) -> None:
        if len(self._left) >= MAX_WORKERS:
            self._left.clear()
        self._left.add(name)
        self._offline.add(name)
        self._heard.discard(name)
        self._workers.pop(name, None)

    def _worker(self, name: str, now: float) -> WorkerTally | None:
        if name not in self._workers:
            if len(self._workers) >= MAX_WORKERS:
                return None
            self._workers[name] = WorkerTally(since=now, heard_at=now)
        return self._workers[name]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
