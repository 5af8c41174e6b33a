"""What holds until further notice: told to every worker, told again to whoever comes later, taken back when it is over.

A worker's word is good for as long as that worker lives: one that started after its confirmation knows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from subsystems.kernel.errors import Refused
from subsystems.s1_operations.adapters.celery_control import FleetControl, FleetUnreachable, control_of
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.sealing import CannotOpen
from subsystems.s3_control import shares, steering
from subsystems.s3_control.models import Action, ActionItem, Confirmation, StandingOrder
from subsystems.s3_control.previews import rates_now, reference, workers_now
from subsystems.s3_control.workers import Worker, refusal

SURE_AFTER = timedelta(seconds=1.5)  # a worker tells its age in whole seconds
NONE = "none"  # what is kept of a worker that had no limit
READING = "reading"


@dataclass
class Coverage:
    """Which workers hold an order, and which do not or did not say."""

    confirmed: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)

    @property
    def expected(self) -> int:
        return len(self.confirmed) + len(self.missing)


Apply = Callable[[StandingOrder, FleetControl, datetime], Coverage]


# --- Beginning -------------------------------------------------------------------------------------------------------
def begin(
    action: Action, kind: StandingOrder.Kind, key: str, parameters: dict[str, Any], *, until: datetime | None = None
) -> StandingOrder:
    """Put an order in force; a limit replaces the one before it. Raises Refused when a pause is in force already."""
    assert action.fleet_id is not None  # acts are carried out only while their fleet is watched
    with transaction.atomic():
        before = StandingOrder.objects.select_for_update().filter(
            fleet_id=action.fleet_id, kind=kind, key=key, ended_at=None
        )
        former = before.first()
        if former is not None and kind == StandingOrder.Kind.PAUSE:
            raise Refused(f"{key} is paused already.", code="paused")
        before.update(ended_at=action.started_at)
        order = StandingOrder.objects.create(
            fleet_id=action.fleet_id, kind=kind, key=key, parameters=parameters, action=action, until=until
        )
        if former is not None:  # what workers had before any limit is still what they are to get back
            for each in former.confirmations.exclude(former=""):
                Confirmation.objects.create(
                    order=order, node=each.node, at=each.at, value=each.value, former=each.former
                )
    return order


def begin_revokes(action: Action, ids: Sequence[str], *, terminate: bool, until: datetime) -> StandingOrder:
    """Put the revokes of some tasks in force, and mark them done in their action."""
    assert action.fleet_id is not None
    with transaction.atomic():
        order = StandingOrder.objects.create(
            fleet_id=action.fleet_id, kind=StandingOrder.Kind.REVOKE, key=f"{action.pk}/{ids[0]}"[:200], action=action,
            parameters={"ids": list(ids), "terminate": terminate}, until=until,
        )  # fmt: skip
        action.items.filter(key__in=ids).update(state=ActionItem.State.DONE)
    return order


# --- Holding ---------------------------------------------------------------------------------------------------------
def revoke(order: StandingOrder, control: FleetControl, now: datetime) -> Coverage:
    """Tell each worker that does not know it which tasks are revoked; only pools that can, to stop them, too."""
    workers = workers_now(control)
    ignorant = [node for node in workers if not _holds(order, workers[node], now)]
    ids, terminate = order.parameters["ids"], order.parameters["terminate"]
    able = [node for node in ignorant if terminate and not refusal(workers[node], "terminate")]
    answers = control.tell("revoke", {"task_id": ids, "terminate": True}, able, within=5.0) if able else {}
    others = sorted(set(ignorant) - set(able))
    answers |= control.tell("revoke", {"task_id": ids}, others, within=5.0) if others else {}
    for node, wrong in answers.items():
        if not wrong:
            _confirm(order, node, now)
    return _coverage(order, control, workers, now)


def pause(order: StandingOrder, control: FleetControl, now: datetime) -> Coverage:
    """Let nobody read the queue. What a worker holds already it finishes."""
    workers = workers_now(control)
    readers = sorted(node for node, worker in workers.items() if order.key in (worker.queues or ()))
    for node in readers:
        _confirm(order, node, now, former=READING, value=READING)
    control.tell("cancel_consumer", {"queue": order.key}, readers)
    workers = workers_now(control) if readers else workers
    for node, worker in workers.items():
        if worker.queues is not None and order.key not in worker.queues:
            order.confirmations.filter(node=node).update(at=now, value="")
    quiet = {node for node, worker in workers.items() if worker.queues is not None and order.key not in worker.queues}
    return Coverage(quiet, (set(workers) | set(control.fleet.workers)) - quiet)


def limit(order: StandingOrder, control: FleetControl, now: datetime) -> Coverage:
    """Divide a limit among the workers that run its task, and tell each whose share is another now.

    What a worker held before is kept before it is told: where its answer is lost, the next look finds our own limit.
    """
    workers = workers_now(control)
    confirmed = {each.node: each for each in order.confirmations.all()}
    fresh = [node for node, worker in workers.items() if node not in confirmed or not _holds(order, worker, now)]
    rates = rates_now(control, order.key, fresh)
    knowing = [node for node in workers if node in rates or (node in confirmed and node not in fresh)]
    working = [node for node in knowing if workers[node].queues]
    wanted = shares.divided(shares.per_second(order.parameters["rate"]) or 0.0, working)
    held = {node: rates[node] if node in rates else confirmed[node].value for node in working}
    telling = shares.to_tell(wanted, held)
    told = {node: {"task_name": order.key, "rate_limit": rate} for node, rate in telling.items()}
    for node in working:
        if node not in confirmed:
            _confirm(order, node, now, former=rates[node] or NONE)
    answers = control.tell_each("rate_limit", told)
    for node in working:
        if node not in telling or answers.get(node) == "":
            _confirm(order, node, now, value=shares.celery_rate(wanted[node]))
    wrong = {node for node in telling if answers.get(node) != ""}
    silent = set(control.fleet.workers) - set(workers)
    return Coverage(set(working) - wrong, wrong | silent)


def covered(action: Action, control: FleetControl) -> dict[str, Any]:
    """Return which workers hold every order of *action*, and which do not."""
    orders = list(action.orders.filter(ended_at=None).prefetch_related("confirmations"))
    holders: list[set[str]] = [{each.node for each in order.holders()} for order in orders]
    everybody = set(control.fleet.workers).union(*holders)
    confirmed = set.intersection(*holders) if holders else set()
    return {"orders": len(orders), "confirmed": sorted(confirmed), "missing": sorted(everybody - confirmed)}


# --- Ending ----------------------------------------------------------------------------------------------------------
def release(order: StandingOrder) -> bool:
    """Let an order hold no more; return False when somebody has. What it changed is taken back by `take_back`."""
    return bool(StandingOrder.objects.filter(pk=order.pk, ended_at=None, ending=False).update(ending=True))


def take_back(order: StandingOrder, control: FleetControl, now: datetime) -> set[str]:
    """Give workers back what an order took from them; return those from whom nothing was heard yet.

    A worker that is gone, or that started anew since, has nothing to get back.
    """
    workers = workers_now(control)
    owed = {each.node: each for each in order.confirmations.exclude(former="")}
    waiting = {node for node in owed if node not in workers and node in control.fleet.workers}
    here = {node: each for node, each in owed.items() if node in workers and not _is_new(each, workers[node], now)}
    waiting |= (_read_again if order.kind == StandingOrder.Kind.PAUSE else _limit_again)(order, control, here, workers)
    if not waiting:
        StandingOrder.objects.filter(pk=order.pk, ended_at=None).update(ended_at=now)
    return waiting


def _read_again(
    order: StandingOrder, control: FleetControl, owed: dict[str, Confirmation], workers: dict[str, Worker]
) -> set[str]:
    missing = sorted(node for node in owed if order.key not in (workers[node].queues or ()))
    if not missing:
        return set()
    control.tell("add_consumer", {"queue": order.key}, missing)
    seen = workers_now(control, missing)
    return {node for node in missing if node not in seen or order.key not in (seen[node].queues or ())}


def _limit_again(
    order: StandingOrder, control: FleetControl, owed: dict[str, Confirmation], workers: dict[str, Worker]
) -> set[str]:
    formers = {node: "0" if each.former == NONE else each.former for node, each in owed.items()}
    told = {node: {"task_name": order.key, "rate_limit": rate} for node, rate in formers.items()}
    answers = control.tell_each("rate_limit", told)
    return {node for node in formers if node not in answers}


# --- The clock -------------------------------------------------------------------------------------------------------
def is_any_in_force() -> bool:
    """Return whether there is any order to keep."""
    return StandingOrder.objects.filter(ended_at=None, ending=False).exists()


def paused_queues(fleet_ids: Collection[int]) -> dict[int, set[str]]:
    """Return by fleet the queues that are paused now."""
    pauses = StandingOrder.objects.filter(fleet_id__in=fleet_ids, kind=StandingOrder.Kind.PAUSE, ended_at=None)
    found: dict[int, set[str]] = {}
    for fleet_id, queue in pauses.order_by().values_list("fleet_id", "key"):
        found.setdefault(fleet_id, set()).add(queue)
    return found


def keep_orders(*, now: datetime) -> int:
    """End what is due, and tell orders in force to workers that do not know them; return how many orders hold.

    A fleet that does not answer the collector is left out until it does: waiting for its broker would hold up others.
    """
    for order in StandingOrder.objects.filter(ended_at=None, ending=False, until__lte=now).select_related("fleet"):
        _end_due(order, now)
    in_force = StandingOrder.objects.filter(ended_at=None, ending=False, fleet__enabled=True)
    by_fleet: dict[int, list[StandingOrder]] = {}
    for order in in_force.select_related("fleet").prefetch_related("confirmations"):
        by_fleet.setdefault(order.fleet_id, []).append(order)
    for orders in by_fleet.values():
        if not orders[0].fleet.last_error:
            _keep_fleet(orders[0].fleet, orders, now)
    return sum(map(len, by_fleet.values()))


def _end_due(order: StandingOrder, now: datetime) -> None:
    due = StandingOrder.objects.filter(pk=order.pk, ended_at=None, ending=False)
    with transaction.atomic():
        if order.kind == StandingOrder.Kind.REVOKE:
            due.update(ended_at=now)  # workers forget by themselves
        elif due.update(until=None):  # whoever clears the time, resumes
            steering.resume_by_itself(order, now=now)


def _keep_fleet(fleet: Fleet, orders: Sequence[StandingOrder], now: datetime) -> None:
    try:
        with control_of(reference(fleet)) as control:
            workers = workers_now(control)
            for order in orders:
                if _needs_telling(order, workers, now):
                    APPLY[StandingOrder.Kind(order.kind)](order, control, now)
    except (FleetUnreachable, CannotOpen):
        return  # the collector says so; the next pass tries again


def _needs_telling(order: StandingOrder, workers: dict[str, Worker], now: datetime) -> bool:
    if order.kind == StandingOrder.Kind.PAUSE:
        return any(order.key in (worker.queues or ()) for worker in workers.values())
    holding = {node for node, worker in workers.items() if _holds(order, worker, now)}
    gone = {each.node for each in order.confirmations.all()} - set(workers)
    if order.kind == StandingOrder.Kind.RATE_LIMIT and gone:
        order.confirmations.filter(node__in=gone, former="").delete()
        return True
    return bool(set(workers) - holding)


APPLY: dict[StandingOrder.Kind, Apply] = {
    StandingOrder.Kind.REVOKE: revoke,
    StandingOrder.Kind.PAUSE: pause,
    StandingOrder.Kind.RATE_LIMIT: limit,
}


def _holds(order: StandingOrder, worker: Worker, now: datetime) -> bool:
    found = next((each for each in order.holders() if each.node == worker.node), None)
    return found is not None and not _is_new(found, worker, now)


def _is_new(confirmation: Confirmation, worker: Worker, now: datetime) -> bool:
    """Return whether a worker may have started after its confirmation."""
    if worker.uptime_seconds is None:
        return False
    return confirmation.at < now - timedelta(seconds=worker.uptime_seconds) + SURE_AFTER


def _coverage(order: StandingOrder, control: FleetControl, workers: Collection[str], now: datetime) -> Coverage:
    confirmed = set(order.confirmations.filter(Q(at=now) | Q(node__in=workers)).values_list("node", flat=True))
    return Coverage(confirmed, (set(workers) | set(control.fleet.workers)) - confirmed)


def _confirm(order: StandingOrder, node: str, now: datetime, *, value: str = "", former: str = "") -> None:
    found, made = Confirmation.objects.get_or_create(
        order=order, node=node, defaults={"at": now, "value": value, "former": former}
    )
    if not made:
        Confirmation.objects.filter(pk=found.pk).update(at=now, value=value, former=former or found.former)
