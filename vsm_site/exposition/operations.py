"""What units do: Celery's workers and queues, and the operations of everybody who tells of theirs.

Celery's numbers go by the names and labels that the celery-exporter project uses, so that dashboards made for it work.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from subsystems.s1_operations.models import Unit
from subsystems.telemetry import queries
from subsystems.telemetry.families import LARGEST, Distribution, Family, counter, gauge
from subsystems.telemetry.selection import SeriesInfo
from subsystems.variety.queries import Told, told_lately
from vsm_site.exposition import celery_tasks
from vsm_site.exposition.scope import MAX_LABELLED, Scope

TOLD_SECONDS = 3600.0  # an operation that did not end for longer is absent until it does
MAX_TOLD = 20_000  # operations that are looked at
MAX_TIMED = 200  # operations whose durations are shown: each is a dozen lines
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds
FRESH_SECONDS = 60.0  # what was not heard of for longer is absent
PLACE = ("fleet", "system")
TASK, FAILED = "task", "failed"  # where nothing more is told
UP = "worker_up"
# exposed name, our metric, help
WORKER_GAUGES = [
    ("celery_worker_up", UP, "Whether the worker has recently sent a heartbeat."),
    ("celery_worker_tasks_active", "active", "Tasks that the worker is running."),
]
QUEUE_GAUGES = [
    ("celery_queue_length", "ready", "Messages waiting in the queue."),
    ("celery_active_consumer_count", "consumers", "Consumers of the queue."),
]
DONE, FAILURES = "processed_total", "failed_total"
OPERATIONS, ERRORS = "operations_total", "operation_errors_total"
METRICS = [metric for _, metric, _ in WORKER_GAUGES + QUEUE_GAUGES] + [DONE, FAILURES, OPERATIONS, ERRORS]
Members = Mapping[tuple[str, str], tuple[str, str, str]]  # (system, source) -> kind, name within the fleet, fleet


def operations(scope: Scope) -> Iterator[Family]:
    """Yield all of it from one look at the newest samples. Raises TransientError when the hot tier is away."""
    found: dict[str, list[tuple[SeriesInfo, float]]] = defaultdict(list)
    for info, value in queries.fresh(scope.systems, metrics=METRICS, since=scope.now - FRESH_SECONDS):
        found[info.metric].append((info, value))
    bounds_ms = [1000 * bound for bound in BOUNDS] + [LARGEST]
    since = scope.now - TOLD_SECONDS
    told = told_lately(scope.systems, bounds_ms, since=since, at_most=MAX_TOLD, timed_at_most=MAX_TIMED)
    families = [*_celery(scope, found, _members(scope)), *celery_tasks.tasks(scope), *celery_tasks.readers(scope)]
    families += [*_done(scope, told, found), *_durations(scope, told)]
    yield from families
    left_out = gauge("vsm_self_exposition_left_out", "Rows that the bound on labels keeps from being shown.")
    left_out.add(sum(_bounded(family) for family in families))
    if scope.shows_platform:
        yield left_out


def _members(scope: Scope) -> Members:
    """Return the workers and queues of fleets."""
    units = Unit.objects.filter(system_id__in=scope.systems, kind__in=_KINDS, fleet__isnull=False).order_by("pk")
    named = units.values_list("system_id", "kind", "name", "fleet__name")
    return {
        (scope.systems[system], name): (kind, name.removeprefix(f"{fleet}/"), fleet)
        for system, kind, name, fleet in named
    }


_KINDS = {"celery_worker": ("hostname", WORKER_GAUGES), "celery_queue": ("queue_name", QUEUE_GAUGES)}


def _celery(
    scope: Scope, found: Mapping[str, Sequence[tuple[SeriesInfo, float]]], members: Members
) -> Iterator[Family]:
    for kind, (label, gauges) in _KINDS.items():
        for name, metric, text in gauges:
            family = Family(name, "unknown" if name.endswith("_count") else "gauge", text, (label, *PLACE))
            for info, value in found.get(metric, ()):
                member = members.get((info.system, info.source))
                if member is not None and member[0] == kind:
                    family.add(value, member[1], member[2], info.system)
            if metric == UP:
                _add_silent(scope, family)
            yield family


def _add_silent(scope: Scope, family: Family) -> None:
    """Show workers that are silent as down for as long as they are: who waits a quarter of an hour must see it."""
    shown = {values for values, _ in family.rows}
    silent = Unit.objects.filter(
        system_id__in=scope.systems, kind="celery_worker", state=Unit.State.SILENT, fleet__isnull=False
    ).order_by("pk")
    for system_id, name, fleet in silent.values_list("system_id", "name", "fleet__name"):
        place = (name.removeprefix(f"{fleet}/"), fleet, scope.systems[system_id])
        if place not in shown:
            family.add(0.0, *place)


def _done(
    scope: Scope, told: Sequence[Told], found: Mapping[str, Sequence[tuple[SeriesInfo, float]]]
) -> Iterator[Family]:
    """Yield operations and errors (001-15, 001-17): as they were told one by one, else as totals that units report."""
    done = counter("vsm_operations", "Operations that units did.", "system", "unit", "operation")
    errors = counter("vsm_errors", "Operations that failed, by type.", "system", "unit", "operation", "type")
    for each in told:
        place = scope.systems[each.system_id], each.unit, each.name
        done.add(each.count, *place)
        errors.add(each.count - each.success, *place, FAILED)
    known = {(scope.systems[each.system_id], each.unit) for each in told}
    for metric in (DONE, FAILURES, OPERATIONS, ERRORS):
        for info, value in found.get(metric, ()):
            if (info.system, info.source) in known:
                continue
            place = info.system, info.source, info.labels.get("operation", TASK)
            if metric in (DONE, OPERATIONS):
                done.add(value, *place)
            else:
                errors.add(value, *place, info.labels.get("error", FAILED))
    yield from (done, errors)


def _durations(scope: Scope, told: Sequence[Told]) -> Iterator[Family]:
    """Yield how long operations took: buckets can be added up, as quantiles cannot (001-16, 2-22)."""
    labels = ("system", "unit", "operation")
    base = Family("vsm_response_time_seconds", "histogram", "How long operations took.", labels, bounds=BOUNDS)
    text = "The same in milliseconds, under its documented name."
    bounds_ms = tuple(1000 * bound for bound in BOUNDS)
    documented = Family("vsm_response_time", "histogram", text, labels, bounds=bounds_ms)
    for each in told:
        if each.at_most is not None:
            place = scope.systems[each.system_id], each.unit, each.name
            base.distributions.append((place, Distribution(each.at_most, each.total_ms / 1000)))
            documented.distributions.append((place, Distribution(each.at_most, each.total_ms)))
    yield from (base, documented)


def _bounded(family: Family) -> int:
    """Cut *family* to the rows of each system that may be shown; return how many were too many."""
    of_system = family.labels.index("system")
    left_out = 0
    for held in (family.rows, family.distributions):
        if len(held) <= MAX_LABELLED:
            continue
        seen: Counter[str] = Counter()
        kept = []
        for row in held:
            seen[row[0][of_system]] += 1
            if seen[row[0][of_system]] <= MAX_LABELLED:
                kept.append(row)
        left_out += len(held) - len(kept)
        held[:] = kept  # type: ignore[assignment]
    return left_out
