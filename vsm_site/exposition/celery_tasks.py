"""What happened to tasks, and who reads queues, under the names and labels of the celery-exporter project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from subsystems.fleets.models import TaskCount
from subsystems.fleets.task_counts import CLIENT, RUNTIME, RUNTIME_BOUNDS, WAIT, WAIT_BOUNDS, Event, cumulative
from subsystems.fleets.watching import worker_states
from subsystems.s1_operations.models import Fleet
from subsystems.telemetry.families import Distribution, Family, counter
from vsm_site.exposition.scope import Scope

LABELS = ("name", "hostname", "queue_name")
PLACE = ("fleet", "system")
FRESH_SECONDS = 60.0
TEXTS = {
    Event.SENT: "Sent when a task message is published.",
    Event.RECEIVED: "Sent when the worker receives a task.",
    Event.STARTED: "Sent just before the worker executes the task.",
    Event.SUCCEEDED: "Sent if the task executed successfully.",
    Event.FAILED: "Sent if the execution of the task failed.",
    Event.REJECTED: "The task was rejected by the worker.",
    Event.REVOKED: "Sent if the task has been revoked.",
    Event.RETRIED: "Sent if the task failed, but will be retried in the future.",
}
Key = tuple[str, ...]


def tasks(scope: Scope) -> Iterator[Family]:
    """Yield counters of tasks, and histograms of how long they ran and waited. `hostname` is the worker's role."""
    counts: dict[int, dict[Key, int]] = defaultdict(dict)
    buckets: dict[int, dict[Key, dict[int, int]]] = {RUNTIME: defaultdict(dict), WAIT: defaultdict(dict)}
    seconds: dict[int, dict[Key, float]] = {RUNTIME: defaultdict(float), WAIT: defaultdict(float)}
    rows = TaskCount.objects.filter(fleet__system_id__in=scope.systems).order_by("pk")
    columns = ("fleet__system_id", "fleet__name", "event", "name", "role", "queue", "exception", "n", "seconds")
    for system_id, fleet, event, name, role, queue, exception, n, spent in rows.values_list(*columns):
        key = (name, role, queue, fleet, scope.systems[system_id])
        if event < RUNTIME:
            counts[event][(*key, exception) if event == Event.FAILED else key] = n
        else:
            first = WAIT if event >= WAIT else RUNTIME
            buckets[first][key][event - first] = n
            seconds[first][key] += spent
    yield from _counters(counts)
    for name, text, first, bounds in (
        ("celery_task_runtime", "Histogram of task runtime measurements.", RUNTIME, RUNTIME_BOUNDS),
        ("celery_task_queue_wait_time", "From sending to starting, without ETA.", WAIT, WAIT_BOUNDS),
    ):
        family = Family(name, "histogram", text, (*LABELS, *PLACE), bounds=bounds)
        for place, found in buckets[first].items():
            family.distributions.append((place, Distribution(cumulative(found, bounds), seconds[first][place])))
        yield family


def _counters(counts: dict[int, dict[Key, int]]) -> Iterator[Family]:
    """Yield all counters of every kind that workers told of: those that did not happen are 0, as it is for rates."""
    kinds = {key[:5] for event in Event for key in counts[event] if key[1] != CLIENT}
    for event in Event:
        labels = (*LABELS, *PLACE, *(("exception",) if event is Event.FAILED else ()))
        family = counter(f"celery_task_{event.name.lower()}", TEXTS[event], *labels)
        for key, n in sorted(counts[event].items()):
            family.add(n, *key)
        told = {key[:5] for key in counts[event]}
        for key in sorted(kinds - told) if event is not Event.SENT else ():
            family.add(0, *key, *(("",) if event is Event.FAILED else ()))
        yield family


def readers(scope: Scope) -> Iterator[Family]:
    """Yield how many workers, and processes of theirs, read each queue."""
    fleets = {fleet.pk: fleet for fleet in Fleet.objects.filter(system_id__in=scope.systems, enabled=True)}
    workers: dict[tuple[int, str], int] = defaultdict(int)
    processes: dict[tuple[int, str], int] = defaultdict(int)
    for (fleet_id, _), seen in worker_states(fleets).items():
        if scope.now - seen.observed_at < FRESH_SECONDS:
            for queue in seen.queues:
                workers[fleet_id, queue] += 1
                processes[fleet_id, queue] += seen.pool_size or 0
    for name, text, found in (
        ("celery_active_worker_count", "Workers that read the queue.", workers),
        ("celery_active_process_count", "Processes of these workers.", processes),
    ):
        family = Family(name, "unknown", text, ("queue_name", *PLACE))  # OpenMetrics reserves the ending for counts
        for (fleet_id, queue), n in sorted(found.items()):
            family.add(n, queue, fleets[fleet_id].name, scope.systems[fleets[fleet_id].system_id])
        yield family
