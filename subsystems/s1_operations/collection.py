"""The collection cycle: every unit measured at once, every 5 seconds, whatever any one of them does (002-16 to 002-27).

Measuring happens in one event loop with nothing of the database in it; then everything is written in a handful of
statements, however many units there are.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from subsystems.kernel.errors import Refused
from subsystems.kernel.health import mean_known
from subsystems.kernel.slots import slot_of
from subsystems.kernel.telemetry_events import span
from subsystems.messaging.live import push
from subsystems.messaging.services import announce
from subsystems.messaging.slots import claim, slot_once
from subsystems.s1_operations import adapters, rounds, services
from subsystems.s1_operations.adapters.agent import SILENT_AFTER_SECONDS
from subsystems.s1_operations.adapters.base import CYCLE_TIMEOUT_SECONDS, Adapter, Context, FleetRef, Reading, UnitRef
from subsystems.s1_operations.adapters.celery_link import FleetRound
from subsystems.s1_operations.models import CollectionCycle, CollectionFailure, Fleet, Unit
from subsystems.s1_operations.queries import fleet_body, fleet_ref, unit_body, unit_ref, watched_units
from subsystems.s1_operations.sealing import CannotOpen
from subsystems.telemetry import merging
from subsystems.telemetry.queries import latest
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record, record_table

logger = logging.getLogger(__name__)
T = TypeVar("T")
PERIOD_SECONDS = 5
SHARD_SIZE = 250  # polled units that one process measures within a second on one core
MAX_SHARDS = 20
STANDING = {"host", "celery_worker", "celery_queue", "agent"}  # never sharded: they cost no request of their own
# Events come every 2 s and rounds every 5 s. With the slot's length added, silence shows within 15 s.
SILENT_AFTER = {"celery_worker": 8.0, "celery_queue": 12.0, "host": 60.0}
SILENT_METRICS = {"celery_worker": {"worker_up": 0.0}}
RATIO_MAX_AGE_SECONDS = 60.0
HOST = socket.gethostname()  # the unit whose operations these are
_started_at = timezone.now()  # silence is only what this process could have heard


@dataclass
class Findings:
    """What measuring brought: readings, and how each fleet's broker answered ("" is well)."""

    readings: list[Reading] = field(default_factory=list)
    fleet_errors: dict[int, str] = field(default_factory=dict)
    rounds: dict[int, FleetRound] = field(default_factory=dict)


@dataclass
class Seen:
    """What one cycle saw, for its record and for who waits for it."""

    slot: int
    unit_count: int = 0
    answered_count: int = 0
    sample_count: int = 0
    duration_ms: float = 0.0


def collect(*, now: datetime | None = None) -> Seen | None:
    """Collect the current slot; None when somebody else has it."""
    now = now or timezone.now()
    with slot_once("collect", PERIOD_SECONDS, now=now) as slot:
        return None if slot is None else run_cycle(slot, now=now)


def collect_shard(slot: int, shard: int, shards: int) -> Seen | None:
    """Collect one part of the polled units of a slot, once."""
    now = timezone.now()
    if not claim(f"collect:{shard}/{shards}", slot, PERIOD_SECONDS, now=now):
        return None
    units = [unit for unit in watched_units() if unit.kind not in STANDING and unit.pk % shards == shard]
    seen = _measure_and_write(slot, units, [], {}, now)
    _count_in(seen)
    return seen


def run_cycle(slot: int, *, now: datetime) -> Seen:
    """Measure everything that is watched, write it down, and tell who waits for it."""
    units, fleets = list(watched_units()), list(Fleet.objects.filter(enabled=True))
    if not any(fleet.own for fleet in fleets) or not any(unit.kind == "host" for unit in units):
        services.ensure_own_units()
        units, fleets = list(watched_units()), list(Fleet.objects.filter(enabled=True))
    services.let_go_silent(units, now=now)
    polled = [unit for unit in units if unit.kind not in STANDING]
    shards = _fan_out(slot, len(polled))
    elsewhere = {unit.pk for unit in polled if unit.pk % shards}
    mine = [unit for unit in units if unit.pk not in elsewhere]
    seen = _measure_and_write(slot, mine, fleets, _task_ratios(units), now)
    seen.unit_count = len(units)
    _record_cycle(seen, now)
    services.settle_silences(now=now)
    _tell_ticks(seen, units, now)
    announce("collection.completed", {"slot": slot})
    return seen


def collect_now() -> Seen:
    """Collect at once, outside the schedule."""
    now = timezone.now()
    return run_cycle(slot_of(now, PERIOD_SECONDS), now=now)


def probe_unit(unit: Unit) -> Reading:
    """Measure one unit now. Raises Refused for a unit that only speaks by itself."""
    if unit.kind == "agent":
        raise Refused("An agent pushes; it cannot be asked.", field="unit_id")
    if unit.state in {Unit.State.PAUSED, Unit.State.GONE}:
        raise Refused(f"{unit.name} is {unit.state}.", field="unit_id")
    now = timezone.now()
    fleets = [unit.fleet] if unit.fleet else []
    found = measure([unit], fleets, {}, now)
    mine = [reading for reading in found.readings if reading.unit_id == unit.pk]
    _write(slot_of(now, PERIOD_SECONDS), [unit], Findings(mine, found.fleet_errors), now)
    return mine[0] if mine else Reading(unit.pk, error="nothing was measured", heard=False)


def _measure_and_write(
    slot: int, units: Sequence[Unit], fleets: Sequence[Fleet], ratios: Mapping[str, float], now: datetime
) -> Seen:
    started = time.perf_counter()
    found = measure(units, fleets, ratios, now)
    rounds.hand_on(found.rounds, now)  # before the samples: whoever hears of an alert about them asks for what was seen
    seen = _write(slot, units, found, now)
    _write_fleets(fleets, found.fleet_errors, now)
    seen.duration_ms = (time.perf_counter() - started) * 1000
    return seen


# --- Measuring: no database from here --------------------------------------------------------------------------------
def measure(units: Sequence[Unit], fleets: Sequence[Fleet], ratios: Mapping[str, float], now: datetime) -> Findings:
    """Ask every unit, at once, within 3 s. What a unit does cannot fail the others."""
    found = Findings()
    references = _fleet_refs(fleets, units, found)
    context = Context(
        now=now.timestamp(), fleets=references, http_allow=settings.HTTP_ALLOW, task_ratios=ratios, threads=_threads()
    )
    by_kind: dict[str, list[UnitRef]] = defaultdict(list)
    for unit in units:
        by_kind[unit.kind].append(unit_ref(unit))
    if references:
        by_kind.setdefault("celery_worker", [])
        by_kind.setdefault("celery_queue", [])
        by_kind.setdefault("host", [])
    found.readings = _run(_gather(by_kind, context))
    for fleet in references:
        task = context.shared.get(f"fleet:{fleet.id}")
        if task is not None and task.done() and not task.cancelled():
            answered: FleetRound = task.result()
            found.fleet_errors[fleet.id] = answered.error
            found.rounds[fleet.id] = answered
    return found


def _fleet_refs(fleets: Sequence[Fleet], units: Sequence[Unit], found: Findings) -> list[FleetRef]:
    references, queues = [], services.own_queues()
    for fleet in fleets:
        try:
            references.append(fleet_ref(fleet, units, queues))
        except CannotOpen as error:
            found.fleet_errors[fleet.pk] = str(error)
    return references


async def _gather(by_kind: Mapping[str, Sequence[UnitRef]], context: Context) -> list[Reading]:
    registry = adapters.registry()
    offered = [(registry[kind], refs) for kind, refs in by_kind.items() if kind in registry]
    gone = [
        _not_collected(ref, "its adapter is not installed")
        for kind in by_kind.keys() - registry.keys()
        for ref in by_kind[kind]
    ]
    answers = await asyncio.gather(*(_collect_kind(adapter, refs, context) for adapter, refs in offered))
    return [*gone, *(reading for readings in answers for reading in readings)]


async def _collect_kind(adapter: Adapter, refs: Sequence[UnitRef], context: Context) -> list[Reading]:
    told = {
        "unit_id": adapter.kind, "operation": "collect", "units": len(refs),
        "unit": HOST, "recorded_as": f"collect {adapter.kind}",
    }  # fmt: skip
    try:
        with span("vsm.s1.operation", told):
            async with asyncio.timeout(CYCLE_TIMEOUT_SECONDS):
                if adapters.is_built_in(adapter):
                    return await adapter.collect(refs, context)
                return await _collect_apart(adapter, refs, context)
    except TimeoutError:
        return [_not_collected(ref, f"no answer within {CYCLE_TIMEOUT_SECONDS:g} s") for ref in refs]
    except Exception as error:  # the door of adapters: one that breaks costs its own units, never the tick
        logger.exception("The adapter %s failed.", adapter.kind)
        return [_not_collected(ref, f"{type(error).__name__}: {error}") for ref in refs]


_busy: set[str] = set()  # plug-ins whose last call has not returned


async def _collect_apart(adapter: Adapter, refs: Sequence[UnitRef], context: Context) -> list[Reading]:
    """Run a plug-in in a thread and loop of its own: one that blocks holds up nobody but itself."""
    if adapter.kind in _busy:
        return [_not_collected(ref, "the adapter's last call has not returned") for ref in refs]
    _busy.add(adapter.kind)

    def call() -> list[Reading]:
        try:
            return asyncio.run(adapter.collect(refs, context))
        finally:
            _busy.discard(adapter.kind)

    return await context.in_thread(call)


def _not_collected(ref: UnitRef, why: str) -> Reading:
    return Reading(ref.id, error=why, heard=False)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* in a fresh loop; unlike `asyncio.run`, without waiting for threads that hang in a name lookup."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(32, thread_name_prefix="names"))
    try:
        return loop.run_until_complete(work)
    finally:
        _cancel_rest(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _cancel_rest(loop: asyncio.AbstractEventLoop) -> None:
    rest = asyncio.all_tasks(loop)
    for task in rest:
        task.cancel()
    if rest:
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))


_pools: dict[int, ThreadPoolExecutor] = {}


def _threads() -> ThreadPoolExecutor:
    """Return the threads for what blocks, one set per process: a fork must not inherit dead ones."""
    pid = os.getpid()
    if pid not in _pools:
        _pools.clear()
        _pools[pid] = ThreadPoolExecutor(16, thread_name_prefix="adapters")
    return _pools[pid]


# --- Writing: a handful of statements --------------------------------------------------------------------------------
def _write(slot: int, units: Sequence[Unit], found: Findings, now: datetime) -> Seen:
    by_id = {unit.pk: unit for unit in units}
    left = services.left_since(now)
    pairs = [(by_id[r.unit_id], r) for r in found.readings if r.unit_id in by_id and r.unit_id not in left]
    pairs += _appeared(found.readings, units)
    silent = _fallen_silent(units, {unit.pk for unit, reading in pairs if reading.heard}, now)
    sample_count = _record_samples(pairs, silent, now)
    with transaction.atomic():
        _write_units(pairs, now)
        _write_failures(slot, pairs, now)
    for seconds, group in _by_patience(silent).items():
        services.silence(group, unheard_since=now - timedelta(seconds=seconds))
    return Seen(slot, len(units), _answered(units, pairs, now), sample_count)


def _appeared(readings: Sequence[Reading], units: Sequence[Unit]) -> list[tuple[Unit, Reading]]:
    """Make units of what nobody knew; one that was let go comes back, a paused one stays so."""
    new = [reading for reading in readings if reading.unit_id is None and reading.fleet_id is not None]
    if not new:
        return []
    fleets = Fleet.objects.in_bulk({reading.fleet_id for reading in new if reading.fleet_id is not None})
    found = [(_new_unit(fleets[r.fleet_id], r), r) for r in new if r.fleet_id in fleets]
    Unit.objects.bulk_create([unit for unit, _ in found], ignore_conflicts=True)
    for system_id in {unit.system_id for unit, _ in found}:
        merging.come_back(system_id, [unit.name for unit, _ in found if unit.system_id == system_id])
    made = (
        Unit.objects.filter(system__in={unit.system_id for unit, _ in found}, name__in=[unit.name for unit, _ in found])
        .exclude(state=Unit.State.PAUSED)
        .select_related("fleet")
    )
    by_name = {(unit.system_id, unit.kind, unit.name): unit for unit in made}
    keyed = [(by_name.get((unit.system_id, unit.kind, unit.name)), reading) for unit, reading in found]
    return [(unit, reading) for unit, reading in keyed if unit is not None]


def _new_unit(fleet: Fleet, reading: Reading) -> Unit:
    kind = _kind_of(reading)
    return Unit(system_id=fleet.system_id, fleet=None if kind == "host" else fleet, kind=kind, name=reading.name[:200])


def _kind_of(reading: Reading) -> str:
    if "worker_up" in reading.metrics:
        return "celery_worker"
    return "host" if "disk_ratio" in reading.metrics else "celery_queue"


def _record_samples(pairs: Sequence[tuple[Unit, Reading]], silent: Sequence[Unit], now: datetime) -> int:
    at = now.timestamp()
    rows = [(unit, reading.metrics) for unit, reading in pairs]
    rows += [(unit, SILENT_METRICS[unit.kind]) for unit in silent if unit.kind in SILENT_METRICS]
    batches: dict[int, dict[str, list[Sample]]] = defaultdict(dict)
    for unit, metrics in rows:
        if metrics:
            batches[unit.system_id][unit.name] = [Sample(metric, at, value) for metric, value in metrics.items()]
    accepted = sum(record(batch, system_id=system_id, now=at).accepted for system_id, batch in batches.items())
    accepted += _record_tables(pairs, at)
    for unit, metrics in rows:
        if metrics:
            push(unit.system_id, "samples", str(unit.pk), {metric: [at, value] for metric, value in metrics.items()})
    return accepted


def _record_tables(pairs: Sequence[tuple[Unit, Reading]], at: float) -> int:
    tables = [(unit.system_id, reading.table) for unit, reading in pairs if reading.table is not None]
    return sum(record_table(table, system_id=system_id, now=at).accepted for system_id, table in tables)


def _write_units(pairs: Sequence[tuple[Unit, Reading]], now: datetime) -> None:
    heard = [unit for unit, reading in pairs if reading.heard]
    woken = [unit for unit in heard if unit.state != Unit.State.ACTIVE]
    changed = [unit for unit, reading in pairs if _take_over(unit, reading)]
    active = Unit.objects.exclude(state=Unit.State.PAUSED)  # somebody may have paused one while it was measured
    active.filter(pk__in=[unit.pk for unit in heard]).update(last_seen_at=now)
    if woken:
        active.filter(pk__in=[unit.pk for unit in woken]).update(state=Unit.State.ACTIVE)
    Unit.objects.bulk_update(changed, ["score", "health_parts", "last_error"])
    for unit in heard:
        unit.last_seen_at, unit.state = now, Unit.State.ACTIVE
    for unit in {unit.pk: unit for unit in [*woken, *changed]}.values():
        push(unit.system_id, "unit", str(unit.pk), unit_body(unit))


def _take_over(unit: Unit, reading: Reading) -> bool:
    """Give *unit* what the reading says of its health; return whether that is news."""
    before = (unit.score, unit.health_parts, unit.last_error)
    if reading.heard or (reading.parts and unit.state != Unit.State.SILENT):
        parts = {name: None if value is None else round(value, 3) for name, value in reading.parts.items()}
        unit.health_parts, unit.score = parts, mean_known(parts.values())
    unit.last_error = reading.error[:300]
    return before != (unit.score, unit.health_parts, unit.last_error)


def _write_failures(slot: int, pairs: Sequence[tuple[Unit, Reading]], now: datetime) -> None:
    failures = [
        CollectionFailure(unit=unit, slot=slot, at=now, details=reading.error[:300])
        for unit, reading in pairs
        if not reading.heard
    ]
    CollectionFailure.objects.bulk_create(failures)
    if failures:
        sample = failures[0]
        logger.warning("Not collected: %d units, such as %s: %s", len(failures), sample.unit.name, sample.details)


def _write_fleets(fleets: Sequence[Fleet], errors: Mapping[int, str], now: datetime) -> None:
    Fleet.objects.filter(pk__in=[pk for pk, error in errors.items() if not error]).update(connected_at=now)
    changed = [fleet for fleet in fleets if fleet.pk in errors and fleet.last_error != errors[fleet.pk][:300]]
    for fleet in changed:
        fleet.last_error = errors[fleet.pk][:300]
        fleet.connected_at = fleet.connected_at if fleet.last_error else now
        push(fleet.system_id, "fleet", str(fleet.pk), fleet_body(fleet))
    Fleet.objects.bulk_update(changed, ["last_error"])


# --- Silence ----------------------------------------------------------------------------------------------------------
def patience(unit: Unit) -> float:
    """Return after how many seconds without a word *unit* is silent."""
    configured = unit.config.get("silent_after_seconds") if unit.kind == "agent" else None
    return float(configured or SILENT_AFTER.get(unit.kind, SILENT_AFTER_SECONDS))


def _fallen_silent(units: Iterable[Unit], heard: set[int], now: datetime) -> list[Unit]:
    return [
        unit
        for unit in units
        if unit.state == Unit.State.ACTIVE
        and unit.pk not in heard
        and (now - max(unit.last_seen_at or _started_at, _started_at)).total_seconds() >= patience(unit)
    ]


def _by_patience(units: Iterable[Unit]) -> dict[float, list[Unit]]:
    groups: dict[float, list[Unit]] = defaultdict(list)
    for unit in units:
        groups[patience(unit)].append(unit)
    return groups


def _answered(units: Sequence[Unit], pairs: Sequence[tuple[Unit, Reading]], now: datetime) -> int:
    agents = sum(
        unit.last_seen_at is not None and (now - unit.last_seen_at).total_seconds() < patience(unit)
        for unit in units
        if unit.kind == "agent"
    )
    return agents + sum(reading.heard for _, reading in pairs)


# --- The cycle's record ----------------------------------------------------------------------------------------------
def _fan_out(slot: int, count: int) -> int:
    """Send the shards that other workers take; return how many there are, of which the first is ours."""
    shards = min(MAX_SHARDS, max(1, math.ceil(count / SHARD_SIZE)))
    try:
        for shard in range(1, shards):
            arguments = {"slot": slot, "shard": shard, "shards": shards}
            current_app.send_task("s1_operations.collect_shard", kwargs=arguments, expires=PERIOD_SECONDS, retry=False)
    except OperationalError as error:
        logger.warning("Could not hand shards to other workers: %s", error)
    return shards


def _record_cycle(seen: Seen, now: datetime) -> None:
    CollectionCycle.objects.update_or_create(
        slot=seen.slot,
        defaults={
            "started_at": now,
            "duration_ms": seen.duration_ms,
            "unit_count": seen.unit_count,
            "answered_count": seen.answered_count,
            "sample_count": seen.sample_count,
        },
    )


def _count_in(seen: Seen) -> None:
    """Add a shard to the record of its cycle, whichever of them ended first."""
    with transaction.atomic():
        cycle, _ = CollectionCycle.objects.select_for_update().get_or_create(
            slot=seen.slot, defaults={"started_at": timezone.now()}
        )
        cycle.answered_count += seen.answered_count
        cycle.sample_count += seen.sample_count
        cycle.duration_ms = max(cycle.duration_ms or 0.0, seen.duration_ms)
        cycle.save(update_fields=["answered_count", "sample_count", "duration_ms"])


def _tell_ticks(seen: Seen, units: Sequence[Unit], now: datetime) -> None:
    counts = Counter(unit.system_id for unit in units)
    answered = Counter(
        unit.system_id
        for unit in units
        if unit.last_seen_at is not None and (now - unit.last_seen_at).total_seconds() < patience(unit)
    )
    for system_id, count in counts.items():
        body = {
            "slot": seen.slot,
            "at": now.isoformat().replace("+00:00", "Z"),
            "duration_ms": round(seen.duration_ms, 1),
            "unit_count": count,
            "answered_count": answered[system_id],
        }
        push(system_id, "tick", "tick", body)


def _task_ratios(units: Sequence[Unit]) -> dict[str, float]:
    """Return the share of tasks that succeeded lately, for workers whose events tell (section 3.7)."""
    workers: dict[int, list[str]] = defaultdict(list)
    for unit in units:
        if unit.kind == "celery_worker":
            workers[unit.system_id].append(unit.name)
    oldest = timezone.now().timestamp() - RATIO_MAX_AGE_SECONDS
    ratios: dict[str, float] = {}
    for system_id, names in workers.items():
        for name, values in latest(system_id, sources=names, metrics=["task_rate", "failure_rate"]).items():
            done, failed = values.get("task_rate"), values.get("failure_rate")
            if done and failed and done[0] >= oldest and done[1] > 0:
                ratios[name] = min(max(1.0 - failed[1] / done[1], 0.0), 1.0)
    return ratios
