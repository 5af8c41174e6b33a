"""What is known of a pool: how much there is, what each unit uses, does and needs. What is not measured is None."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db.models import Sum

from subsystems.fleets.models import TaskCount, TaskRollUp
from subsystems.fleets.snapshots import WorkerSeen
from subsystems.fleets.task_counts import Event
from subsystems.fleets.watching import worker_states
from subsystems.messaging import limits
from subsystems.messaging.limit_policy import Layer, limit_of
from subsystems.messaging.models import Message
from subsystems.s3_control.bargaining.models import PoolUnit, ResourcePool
from subsystems.s3_control.models import StandingOrder
from subsystems.s3_control.scaling import steps
from subsystems.s3_control.scaling.models import ScalingPolicy
from subsystems.s3_control.shares import per_second
from subsystems.telemetry.queries import window
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record

SEEN_SECONDS = 30.0  # a worker that was not seen for longer is not known
RATE_SECONDS = 60.0
LEAST_SECONDS = 5.0  # between two counts, before a rate is told from them
HEADROOM = 1.25  # a rate that is asked for beside the one that is used
FULL, IDLE = 0.9, 0.5  # of a rate that is held, from which more is asked for, and below which less is enough


@dataclass(frozen=True)
class UnitSeen:
    """One unit now: what it has to work with, what it uses of it, what it achieves, what it needs."""

    used: float | None = None
    size: float | None = None  # slots that are there, or the limit in force
    performance: float | None = None
    need: float | None = None
    counted: float | None = None
    readers: Sequence[WorkerSeen] = ()


@dataclass(frozen=True)
class Seen:
    """A pool now. Where *why* says something, nothing is to be offered on it."""

    capacity: float | None
    why: str = ""
    units: Mapping[str, UnitSeen] = field(default_factory=dict)
    at: float | None = None  # of the oldest of what it rests on, epoch seconds


def look(pool: ResourcePool, units: Sequence[PoolUnit], *, now: datetime) -> Seen:
    """Return what is known of *pool* now, and keep what units have and use as samples of theirs."""
    found = LOOKS[ResourcePool.Kind(pool.kind)](pool, units, now)
    if not found.why and not found.capacity:
        found = replace(found, why="There is nothing to give away: the pool is empty.")
    _keep(pool, found, now)
    return found


def subject(pool: ResourcePool, name: str) -> str:
    """Return what a unit of a pool is called wherever it is measured and steered."""
    return f"{pool.fleet.name}/{name}" if pool.fleet else name


def _keep(pool: ResourcePool, found: Seen, now: datetime) -> None:
    at, size = now.timestamp(), "slots" if pool.whole else "rate_limit"
    batches = {}
    for name, unit in found.units.items():
        told = {size: unit.size, "allotment_used": unit.used}
        samples = [Sample(metric, at, value, {}) for metric, value in told.items() if value is not None]
        if samples:
            batches[subject(pool, name)] = samples
    if batches:
        record(batches, system_id=pool.system_id, now=at)


# --- Slots -----------------------------------------------------------------------------------------------------------
def _slots(pool: ResourcePool, units: Sequence[PoolUnit], now: datetime) -> Seen:
    assert pool.fleet is not None
    since = now.timestamp() - SEEN_SECONDS
    workers = [seen for seen in worker_states([pool.fleet.pk]).values() if seen.observed_at >= since]
    if pool.fleet.last_error or not workers:
        return Seen(None, f"No worker of {pool.fleet} was seen for {SEEN_SECONDS:.0f} s.")
    readers = {unit.name: [seen for seen in workers if _belongs(pool, unit, seen)] for unit in units}
    counts = Counter(worker.name for each in readers.values() for worker in each)
    if shared := sorted(name for name, count in counts.items() if count > 1):
        return Seen(None, f"{shared[0]} works for two units of this pool: whose its slots are is not known.")
    size = steps.slots(workers)
    if size is None:
        return Seen(None, "A worker does not tell the size of its pool.")
    rates, needs = _rates(pool, workers, now), _needs(pool, now)
    found = {name: _slots_of(each, rates, needs.get(name)) for name, each in readers.items()}
    at = min(worker.observed_at for worker in workers)
    return Seen(float(size) if pool.limit is None else pool.limit, "", found, at)


def _belongs(pool: ResourcePool, unit: PoolUnit, worker: WorkerSeen) -> bool:
    return worker.role == unit.name if pool.by == ResourcePool.By.ROLE else unit.name in worker.queues


def _slots_of(readers: Sequence[WorkerSeen], rates: Mapping[str, float], need: float | None) -> UnitSeen:
    size, busy = (steps.slots(readers), steps.busy(readers)) if readers else (0, 0)
    done = None if any(worker.name not in rates for worker in readers) else sum(rates[each.name] for each in readers)
    each = done / busy if done is not None and busy else None
    return UnitSeen(
        None if busy is None else float(busy), None if size is None else float(size), each, need, readers=readers
    )


def _rates(pool: ResourcePool, workers: Sequence[WorkerSeen], now: datetime) -> dict[str, float]:
    """Return the tasks a second that each worker began in the last minute."""
    assert pool.fleet is not None
    names = {f"{pool.fleet.name}/{worker.name}": worker.name for worker in workers}
    end = now.timestamp()
    lines = window(pool.system_id, "processed_total", sources=list(names), start=end - RATE_SECONDS, end=end)
    return {
        names[source]: float((values[-1] - values[0]) / (at[-1] - at[0]))
        for (source, _), (at, values) in lines.items()
        if len(at) >= 2 and values[-1] >= values[0]
    }


def _needs(pool: ResourcePool, now: datetime) -> dict[str, float]:
    """Return the slots that the auto-scaler wants for each queue: from its backlog, rates, waits and objectives."""
    if pool.by != ResourcePool.By.QUEUE:
        return {}
    looked = ScalingPolicy.objects.filter(fleet=pool.fleet_id, role="", enabled=True, desired__isnull=False)
    fresh = [row for row in looked if row.looked_at and (now - row.looked_at).total_seconds() <= SEEN_SECONDS]
    return {row.queue: float(row.desired or 0) for row in fresh}


# --- Rates -----------------------------------------------------------------------------------------------------------
def _task_rates(pool: ResourcePool, units: Sequence[PoolUnit], now: datetime) -> Seen:
    assert pool.fleet is not None
    if pool.limit is None:
        return Seen(None, "How many tasks a second there are to give away is not known: set the pool's limit.")
    since = now.timestamp() - SEEN_SECONDS
    seen_at = [seen.observed_at for seen in worker_states([pool.fleet.pk]).values() if seen.observed_at >= since]
    if pool.fleet.last_error or not seen_at:
        return Seen(None, f"No worker of {pool.fleet} was seen for {SEEN_SECONDS:.0f} s.")
    names = [unit.name for unit in units]
    counts = TaskCount.objects.filter(fleet=pool.fleet_id, event=Event.STARTED, name__in=names).order_by()
    totals = dict(counts.values_list("name").annotate(total=Sum("n")))
    limits_now = _limits_in_force(pool)
    succeed = _successes(pool, names, now)
    found = {
        unit.name: _rated(unit, float(totals.get(unit.name, 0)), limits_now.get(unit.name, 0.0), succeed, now)
        for unit in units
    }
    return Seen(pool.limit, "", found, min(seen_at))


def _rated(unit: PoolUnit, total: float, limit: float, succeed: Mapping[str, float], now: datetime) -> UnitSeen:
    used = unit.used
    if unit.counted is not None and unit.counted_at is not None:
        seconds = (now - unit.counted_at).total_seconds()
        if total < unit.counted or seconds > RATE_SECONDS:
            used = None  # counted anew, or too long ago
        elif seconds >= LEAST_SECONDS:
            used = (total - unit.counted) / seconds
    return UnitSeen(used, limit, succeed.get(unit.name), None, total)


def _limits_in_force(pool: ResourcePool) -> dict[str, float]:
    """Return the limit of each task that workers hold now; 0 is none."""
    orders = StandingOrder.objects.filter(
        fleet=pool.fleet_id, kind=StandingOrder.Kind.RATE_LIMIT, ended_at=None, ending=False
    ).prefetch_related("confirmations")
    return {
        order.key: sum(per_second(each.value) or 0.0 for each in order.holders()) for order in orders
    }  # fmt: skip


def _successes(pool: ResourcePool, names: Sequence[str], now: datetime) -> dict[str, float]:
    """Return which share of each task's ends of the last hour was a success."""
    rows = TaskRollUp.objects.filter(fleet=pool.fleet_id, name__in=names, at__gte=int(now.timestamp()) - 3600)
    told = rows.order_by().values_list("name").annotate(good=Sum("succeeded"), bad=Sum("failed"))
    return {name: good / (good + bad) for name, good, bad in told if good + bad}


def _message_rates(pool: ResourcePool, units: Sequence[PoolUnit], now: datetime) -> Seen:
    """Return what systems say a second on all channels, beside their limits in the rate limiter."""
    rows = limits.policy.rows()
    limit = limit_of(Layer.SYSTEM, "", pool.system_id, rows=rows)
    capacity = pool.limit if pool.limit is not None else limit.limit / limit.period_seconds if limit else None
    if capacity is None:
        return Seen(None, "How many messages a second there are to give away is not known: set the pool's limit.")
    since = datetime.fromtimestamp(now.timestamp() - RATE_SECONDS, now.tzinfo)
    said = Message.objects.filter(created_at__gt=since, system__in=[unit.system_id for unit in units]).order_by()
    totals = dict(said.values_list("system_id").annotate(total=Sum("count")))
    found = {}
    for unit in units:
        own = [limit_of(layer, "", unit.system_id, rows=rows) for layer in (Layer.SYSTEM, Layer.BARGAIN)]
        size = min((each.limit / each.period_seconds for each in own if each), default=0.0)
        found[unit.name] = UnitSeen(totals.get(unit.system_id, 0) / RATE_SECONDS, size)
    return Seen(capacity, "", found, now.timestamp())


LOOKS: Mapping[ResourcePool.Kind, Callable[[ResourcePool, Sequence[PoolUnit], datetime], Seen]] = {
    ResourcePool.Kind.SLOTS: _slots,
    ResourcePool.Kind.TASK_RATE: _task_rates,
    ResourcePool.Kind.MESSAGE_RATE: _message_rates,
}


def need_of(pool: ResourcePool, seen: UnitSeen, held: float) -> float | None:
    """Return how much a unit needs by what was measured; None where nothing speaks for another amount.

    Slots: what the auto-scaler wants for the queue. Rates: a quarter more than is used, once nearly all of what is held
    is used or less than half of it.
    """
    if pool.whole:
        return seen.need
    if seen.used is None or (held and IDLE * held <= seen.used < FULL * held):
        return None
    return round(max(seen.used * HEADROOM, 0.01), 2)
