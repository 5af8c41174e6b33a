"""Reads of operations and variety, and how they look on the wire."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from subsystems.telemetry.achievement import achievement
from subsystems.telemetry.recorders import WINDOW_SECONDS, OperationRecorder, Totals, health_of
from subsystems.variety import slowness
from subsystems.variety.measuring import unpacked
from subsystems.variety.models import Operation, Reading, UnitVariety, VarietyPolicy
from subsystems.variety.rules import Rules

FRESH_SECONDS = 120.0  # an older reading is not shown as now


def rules(system: System) -> Rules:
    """Return what a system's variety is judged by: its row, or the documented values."""
    return policy(system).rules()


def policy(system: System) -> VarietyPolicy:
    """Return the row of *system*; where it has none, an unsaved one with the documented values."""
    return VarietyPolicy.objects.filter(system=system).first() or VarietyPolicy(system=system)


@dataclass(frozen=True, slots=True)
class Told:
    """What an operation came to so far; *at_most* counts how many took up to each of some bounds."""

    system_id: int
    unit: str
    name: str
    count: int
    success: int
    at_most: tuple[float, ...] | None
    total_ms: float


# --- Operations -------------------------------------------------------------------------------------------------------
def recorder(operation: Operation) -> OperationRecorder:
    """Return the whole record of an operation."""
    return OperationRecorder.from_wire(unpacked(bytes(operation.recorder)))


def expectation(operation: Operation) -> slowness.Expectation:
    """Return how long an operation should take, and who says so."""
    return slowness.expectation_of(
        operation.name, declared=operation.expected_ms, count=operation.count, p95=operation.p95
    )


def told_lately(
    system_ids: Iterable[int], bounds_ms: Sequence[float], *, since: float, at_most: int, timed_at_most: int
) -> list[Told]:
    """Return the operations that ended since *since*, the newest first; the busiest of them with their durations."""
    rows = Operation.objects.filter(system_id__in=list(system_ids), last_at__gte=since).order_by("-last_at", "pk")
    found = list(rows.values_list("pk", "system_id", "unit", "name", "count", "success", "total_ms")[:at_most])
    busiest = {row[0]: row[4] for row in sorted(found, key=lambda row: -row[4])[:timed_at_most]}
    timed = _at_most(busiest, tuple(bounds_ms))
    return [Told(*row[1:6], timed.get(row[0]), row[6]) for row in found]


def _at_most(counts: Mapping[int, int], bounds_ms: tuple[float, ...]) -> dict[int, tuple[float, ...]]:
    """Return how many took up to each bound; what has not happened again since the last time is not read again."""
    known = {pk: _timed[pk][1] for pk, n in counts.items() if pk in _timed and _timed[pk][0] == (n, bounds_ms)}
    unread = Operation.objects.filter(pk__in=[pk for pk in counts if pk not in known]).order_by()
    for pk, n, raw in unread.values_list("pk", "count", "recorder"):
        durations = OperationRecorder.from_wire(unpacked(bytes(raw))).durations
        if len(_timed) > KEPT_TIMED:
            _timed.clear()
        known[pk] = tuple(round(share * durations.count) for share in durations.shares_at_most(bounds_ms))
        _timed[pk] = (n, bounds_ms), known[pk]
    return {pk: found for pk, found in known.items() if found and found[-1]}


_timed: dict[int, tuple[tuple[int, tuple[float, ...]], tuple[float, ...]]] = {}
KEPT_TIMED = 10_000


def operation_body(operation: Operation, *, now: float | None = None) -> dict[str, Any]:
    """Return one operation as JSON: its life, its last five minutes, its last ten errors."""
    now = time.time() if now is None else now
    known, expected = recorder(operation), expectation(operation)
    life = Totals(operation.count, operation.success, operation.total_ms)
    recent = known.recent(now)
    timed = known.durations.count > 0  # else nobody ever said how long it takes
    throughput = recent.count / WINDOW_SECONDS
    return {
        "id": operation.pk,
        "unit": operation.unit,
        "name": operation.name,
        "count": life.count,
        "success": life.success,
        "failures": life.count - life.success,
        "success_rate": life.success_rate,
        "avg_duration": life.avg_duration if timed else None,
        "service_rate": life.service_rate if timed else None,
        "p50": operation.p50,
        "p95": operation.p95,
        "p99": operation.p99,
        "max": operation.max,
        "expected_duration": expected.ms,
        "expected_from": str(expected.basis),
        "slow": operation.slow,
        "errors": [{"at": moment_text_of(at), "error": words} for at, words in known.errors],
        "recent": {
            "window_seconds": WINDOW_SECONDS,
            "count": recent.count,
            "success_rate": recent.success_rate,
            "avg_duration": recent.avg_duration if timed else None,
            "throughput": throughput,
        },
        "health": health_of(life) if timed else None,
        "health_recent": health_of(recent) if timed else None,
        "health_by_throughput": health_of(recent, throughput=throughput) if timed else None,
        "last_at": moment_text_of(operation.last_at),
    }


def performance_body(system: System, unit: str, *, now: float | None = None) -> dict[str, Any]:
    """Return the documented summary of a unit (000-53), with its achievement; two queries."""
    now = time.time() if now is None else now
    rows = list(Operation.objects.filter(system=system, unit=unit))
    known = UnitVariety.objects.filter(system=system, unit=unit).first()
    life = sum((Totals(row.count, row.success, row.total_ms) for row in rows), Totals())
    recent = sum((recorder(row).recent(now) for row in rows), Totals())
    throughput = recent.count / WINDOW_SECONDS
    bodies = {row.name: operation_body(row, now=now) for row in rows}
    timed = bool(life.duration_ms)
    health = health_of(life) if timed else None
    return {
        "unit_id": unit,
        "performance": {**_performance(life, timed), "throughput": throughput},
        "recent": {**_performance(recent, timed), "throughput": throughput, "count": recent.count,
                   "window_seconds": WINDOW_SECONDS},
        "operations": {
            name: {
                "count": body["count"],
                "success_rate": body["success_rate"],
                "avg_duration": body["avg_duration"],
                "recent_errors": [each["error"] for each in body["errors"][:3]],
            }
            for name, body in bodies.items()
        },
        "health": health,
        "health_ratio": None if health is None else health / 100,
        "health_recent": health_of(recent) if timed else None,
        "health_by_throughput": health_of(recent, throughput=throughput) if timed else None,
        "achievement": _achievement(known, recent.success / WINDOW_SECONDS if rows else None),
        "status": "measured" if life.count else "no_data",
    }  # fmt: skip


def recent_rates(system: System, units: Iterable[str], *, now: float) -> dict[str, float]:
    """Return how many operations a second each unit ended well in the last five minutes."""
    rates: dict[str, float] = {}
    rows = Operation.objects.filter(system=system, unit__in=list(units), last_at__gte=now - WINDOW_SECONDS)
    for row in rows.iterator(chunk_size=200):
        rates[row.unit] = rates.get(row.unit, 0.0) + recorder(row).recent(now).success / WINDOW_SECONDS
    return rates


# --- Variety ----------------------------------------------------------------------------------------------------------
def latest_reading(system: System) -> Reading | None:
    """Return the newest reading of *system*, or None before the first."""
    return Reading.objects.filter(system=system).select_related("system").order_by("-slot").first()


def latest_readings(system_ids: Iterable[int], *, since: float) -> dict[int, Reading]:
    """Return the newest figures of each system, none older than *since*."""
    rows = Reading.objects.filter(system_id__in=list(system_ids), at__gte=since).defer("body").order_by("slot")
    return {row.system_id: row for row in rows}


def reading_body(reading: Reading) -> dict[str, Any]:
    """Return the figures of one reading as JSON."""
    return {
        "id": reading.pk,
        "system": reading.system.slug,
        "slot": reading.slot,
        "at": moment_text_of(reading.at),
        **reading.figures,
    }


def variety_body(system: System) -> dict[str, Any]:
    """Return all that the newest reading says of *system*; without one nothing is known."""
    reading = latest_reading(system)
    if reading is None or reading.body is None:
        return {"system": system.slug, "status": "no_data", "at": None, "window_seconds": WINDOW_SECONDS}
    body = unpacked(bytes(reading.body))
    body.pop("watch")
    return {**body, "system": system.slug, "status": "measured", "at": moment_text_of(reading.at)}


def unit_variety_body(row: UnitVariety) -> dict[str, Any]:
    """Return the panel of one unit as JSON."""
    panel: Mapping[str, Any] = unpacked(bytes(row.body))
    return {
        "id": row.pk, "system": row.system.slug, "unit": row.unit, "at": moment_text_of(row.at),
        "capability": row.capability, "potentiality": row.potentiality, **panel,
    }  # fmt: skip


def moment_text_of(at: float) -> str:
    """Return epoch seconds as RFC 3339."""
    return moment_text(datetime.fromtimestamp(at, UTC))


def _performance(totals: Totals, timed: bool) -> dict[str, float | None]:
    return {
        "success_rate": totals.success_rate,
        "avg_duration": totals.avg_duration if timed else None,
        "service_rate": totals.service_rate if timed else None,
    }


def _achievement(known: UnitVariety | None, actuality: float | None) -> dict[str, Any]:
    """Return the indices of the rate of work: the best rate held is what a unit could do, unless it is declared."""
    best = max(known.best_rate, actuality or 0.0) if known else 0.0  # the newest may be the best, and not yet read
    capability = (known.capability or best or None) if known else None
    found = achievement(actuality, capability, (known.potentiality or None) if known else None)
    basis = "declared" if known and known.capability else "best_held" if capability else "unknown"
    return {**found.to_wire(), "measure": "operations_per_second", "capability_from": basis}
