"""Carrying acts out: each in short steps, with what it knows kept in its row, so that a restart goes on where it was.

Whoever works on an action holds a lease. An act that must not happen twice says in its row that it begins before it
does; who finds that mark later does not do it again and says that it is uncertain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Count, Q, When

from subsystems.kernel.errors import Refused
from subsystems.s1_operations.adapters.celery_control import FleetUnreachable, NoQueue, control_of
from subsystems.s1_operations.sealing import CannotOpen
from subsystems.s3_control import acts, captures, emptying, handing_over, pacing, recommending, shares, standing
from subsystems.s3_control.hooks import carrying as hooks
from subsystems.s3_control.launching import carrying as launching
from subsystems.s3_control.launching.adapters.base import LauncherUnreachable
from subsystems.s3_control.models import Action, ActionItem, CapturedTask, ResentTask, StandingOrder
from subsystems.s3_control.previews import REVOKES_AT_ONCE, matching, parked_in, rates_now, reference, workers_now
from subsystems.s3_control.steering import LASTS, note, show
from subsystems.s3_control.stepping import SHOWN_WITHIN_SECONDS, UNCERTAIN, Outcome, Work, verified
from subsystems.s3_control.workers import Worker, refusal, resized

GIVE_UP = timedelta(minutes=10)  # with a broker that stays away
UNREACHABLE_AGAIN = timedelta(seconds=5)
LOST_AFTER = timedelta(seconds=30)  # a proposed act whose message did not arrive is found by the clock
SILENT = "no answer"


def carry_out(action_id: str, *, now: datetime) -> bool:
    """Begin a proposed action; return False when somebody else has."""
    claimed = Action.objects.filter(pk=UUID(action_id), state=Action.State.PROPOSED).update(
        state=Action.State.APPLYING, started_at=now, leased_until=now + LASTS
    )
    if claimed:
        _step(UUID(action_id), now, {})
    return bool(claimed)


def is_any_due(*, now: datetime) -> bool:
    """Return whether there is anything to carry on with."""
    return Action.objects.filter(_due(now)).exists()


def is_steering_due(*, now: datetime) -> bool:
    """Return whether the clock has anything to do here: an action to carry on with, or an order to keep."""
    return is_any_due(now=now) or standing.is_any_in_force()


def _due(now: datetime) -> Q:
    due = Q(state=Action.State.APPLYING, leased_until__lte=now)
    return due | Q(state=Action.State.PROPOSED, requested_at__lte=now - LOST_AFTER)


def carry_on(*, now: datetime, limit: int = 50) -> int:
    """Take the next step of each action that is due; return how many were taken.

    Fleets that answered the collector go first, and one whose broker is away is tried once: it holds up no other.
    """
    due = _due(now)
    taken, away = 0, dict[int, str]()
    answers_first = Case(When(fleet__last_error="", then=0), default=1)
    for pk in list(
        Action.objects.filter(due).order_by(answers_first, "requested_at").values_list("pk", flat=True)[:limit]
    ):
        claimed = Action.objects.filter(due, pk=pk).update(state=Action.State.APPLYING, leased_until=now + LASTS)
        if claimed:
            Action.objects.filter(pk=pk, started_at=None).update(started_at=now)
            _step(pk, now, away)
            taken += 1
    return taken


def _step(pk: UUID, now: datetime, away: dict[int, str]) -> None:
    """Take one step of an action; *away* is by fleet why its broker did not answer just now."""
    action = Action.objects.select_related("fleet").get(pk=pk)
    if action.fleet is None:
        return _keep(action, Outcome(Action.State.FAILED, "The fleet is not watched any more."), now)
    if action.fleet.pk in away:
        return _keep(action, _unreachable(action, "the broker", away[action.fleet.pk], now), now)
    if "fit" not in action.memory and (why := recommending.unfit(action, now=now)):
        return _keep(action, Outcome(Action.State.FAILED, why), now)
    try:
        with control_of(reference(action.fleet)) as control:
            action.memory["fit"] = True  # looked at until the first step was taken, and not in the midst of it
            outcome = STEPS[action.kind](Work(action, control, now))
    except FleetUnreachable as error:
        away[action.fleet.pk] = str(error)
        outcome = _unreachable(action, "the broker", str(error), now)
    except LauncherUnreachable as error:
        outcome = _unreachable(action, "the launcher", str(error), now)
    except (Refused, CannotOpen) as error:
        outcome = Outcome(Action.State.FAILED, str(error))
    return _keep(action, outcome, now)


def _unreachable(action: Action, who: str, why: str, now: datetime) -> Outcome:
    if now - action.requested_at > GIVE_UP and action.kind not in PATIENT:
        return Outcome(Action.State.FAILED, f"{who.capitalize()} does not answer: {why}")
    return Outcome(detail=f"Waits for {who}: {why}", again=UNREACHABLE_AGAIN)


@transaction.atomic
def _keep(action: Action, outcome: Outcome, now: datetime) -> None:
    """Write what a step came to; an end is written once and told."""
    action.detail = outcome.detail[:500] or action.detail
    action.after = dict(outcome.after) if outcome.after is not None else action.after
    for name, count in outcome.counts.items():
        setattr(action, name, count)
    values: dict[str, Any] = {
        "detail": action.detail, "after": action.after, "done": action.done, "failed": action.failed,
        "total": action.total, "memory": action.memory,
    }  # fmt: skip
    if outcome.state is None:
        values["leased_until"] = action.leased_until = now + outcome.again
    else:
        action.state, action.finished_at = outcome.state, now
        values |= {"state": outcome.state, "finished_at": now, "leased_until": None, "memory": {}}
    written = Action.objects.filter(pk=action.pk, state=Action.State.APPLYING).update(**values)
    if written and outcome.state is None:
        show(action)
    elif written:
        note(action, {"verified": "ActionVerified", "applied": "ActionApplied"}.get(action.state, "ActionFailed"))
        recommending.follow(action, now=now)


# --- What a worker is told once, and must show afterwards ------------------------------------------------------------
Told = Callable[[Work], dict[str, str]]
Shown = Callable[[Work, Worker], bool]


def _once(tell: Told, shows: Shown, nodes: Callable[[Work], list[str]]) -> Callable[[Work], Outcome]:
    """Return the steps of an act that tells workers something once, and looks until each shows it."""

    def step(work: Work) -> Outcome:
        wanted = nodes(work)
        if "answers" not in work.memory:
            if not work.begin_once():
                return Outcome(Action.State.FAILED, UNCERTAIN)
            work.memory["answers"] = tell(work)
        seen = workers_now(work.control, wanted)
        showing = {node for node, worker in seen.items() if shows(work, worker)}
        return _judged(work, wanted, showing, {"workers": {node: worker.body() for node, worker in seen.items()}})

    return step


def _judged(work: Work, wanted: Sequence[str], showing: set[str], after: dict[str, Any]) -> Outcome:
    answers: dict[str, str] = work.memory["answers"]
    wrong = {node: answers.get(node, SILENT) for node in wanted if node not in showing}
    counts = {"done": len(showing), "failed": len(wrong), "total": len(wanted)}
    refused = {node: why for node, why in wrong.items() if why and why != SILENT}
    if not wrong:
        return verified(f"{len(showing)} of {len(wanted)} workers show it.", after, **counts)
    if work.elapsed_seconds < SHOWN_WITHIN_SECONDS and not refused:
        return Outcome(counts=counts)
    words = "; ".join(f"{node}: {why or 'said yes, and does not show it'}" for node, why in sorted(wrong.items()))
    state = Action.State.APPLIED if showing or SILENT in wrong.values() else Action.State.FAILED
    return Outcome(state, words, {**after, "not_confirmed": wrong}, counts)


def _itself(work: Work) -> list[str]:
    return [work.target]


def _tell_consume(method: str) -> Told:
    return lambda work: work.control.tell(method, {"queue": work.parameters().queue}, [work.target])


def _reads(work: Work, worker: Worker) -> bool:
    return worker.queues is not None and work.parameters().queue in worker.queues


def _reads_not(work: Work, worker: Worker) -> bool:
    return worker.queues is not None and work.parameters().queue not in worker.queues


def _tell_resize(sign: int) -> Told:
    def tell(work: Work) -> dict[str, str]:
        worker = workers_now(work.control, [work.target]).get(work.target)
        if worker is None:
            return {}
        by = sign * work.parameters().by
        bounds = resized(worker, by)
        work.memory["size"] = None if worker.size is None else worker.size + by
        work.memory["bounds"] = bounds
        if bounds is not None:
            return work.control.tell("autoscale", {"max": bounds[0], "min": bounds[1]}, [work.target])
        return work.control.tell("pool_grow" if sign > 0 else "pool_shrink", {"n": abs(by)}, [work.target])

    return tell


def _has_size(work: Work, worker: Worker) -> bool:
    bounds = work.memory.get("bounds")
    return worker.autoscale == tuple(bounds) if bounds else worker.size == work.memory.get("size")


def _tell_autoscale(work: Work) -> dict[str, str]:
    given = work.parameters()
    return work.control.tell("autoscale", {"max": given.max, "min": given.min}, [work.target])


def _has_bounds(work: Work, worker: Worker) -> bool:
    return worker.autoscale == (work.parameters().max, work.parameters().min)


# --- Limits ----------------------------------------------------------------------------------------------------------
def _rate_limit(work: Work) -> Outcome:
    given = work.parameters()
    rates = rates_now(work.control, work.target, given.nodes or sorted(workers_now(work.control)))
    rate = given.rate if shares.per_second(given.rate) else "0"
    told = {"task_name": work.target, "rate_limit": rate}
    work.memory["answers"] = work.control.tell("rate_limit", told, sorted(rates))
    after = rates_now(work.control, work.target, sorted(rates))
    showing = {node for node, held in after.items() if shares.same(held, rate)}
    return _judged(work, sorted({*rates, *given.nodes}), showing, {"rates": after})


def _time_limit(work: Work) -> Outcome:
    given = work.parameters()
    workers = workers_now(work.control)
    known = rates_now(work.control, work.target, given.nodes or sorted(workers))
    unable = {node: why for node in known if (why := refusal(workers[node], "time_limit"))}
    able = sorted(set(known) - set(unable))
    told = {"task_name": work.target, "soft": given.soft_seconds, "hard": given.hard_seconds}
    answers = work.memory["answers"] = {**work.control.tell("time_limit", told, able), **unable}
    showing = {node for node in able if answers.get(node) == ""}  # its word is all that a worker gives for this
    return _judged(work, sorted({*known, *given.nodes}), showing, {"unable": unable})


def _fleet_rate_limit(work: Work) -> Outcome:
    order = StandingOrder.objects.filter(action=work.action).first() or standing.begin(
        work.action, StandingOrder.Kind.RATE_LIMIT, work.target, {"rate": work.parameters().rate}
    )
    return _ordered(work, order, standing.limit)


def _pause(work: Work) -> Outcome:
    minutes = work.parameters().minutes
    until = None if minutes is None else work.action.requested_at + timedelta(minutes=minutes)
    order = StandingOrder.objects.filter(action=work.action).first() or standing.begin(
        work.action, StandingOrder.Kind.PAUSE, work.target, {}, until=until
    )
    return _ordered(work, order, standing.pause)


def _ordered(work: Work, order: StandingOrder, apply: standing.Apply) -> Outcome:
    """Apply a new standing order; it holds from now on, whatever becomes of this action."""
    coverage = apply(order, work.control, work.now)
    counts = {"done": len(coverage.confirmed), "failed": len(coverage.missing), "total": coverage.expected}
    after = {"confirmed": sorted(coverage.confirmed), "missing": sorted(coverage.missing)}
    if not coverage.missing:
        return verified(f"{len(coverage.confirmed)} workers hold it; who comes later gets it, too.", after, **counts)
    if work.elapsed_seconds < SHOWN_WITHIN_SECONDS:
        return Outcome(counts=counts)
    words = f"Not confirmed by {', '.join(after['missing'])}; it is told again until it is."
    return Outcome(Action.State.APPLIED, words, after, counts)


def _end_order(kind: StandingOrder.Kind) -> Callable[[Work], Outcome]:
    def step(work: Work) -> Outcome:
        order = StandingOrder.objects.filter(fleet=work.action.fleet, kind=kind, key=work.target, ended_at=None).first()
        if "order" not in work.memory:
            if order is None:
                return Outcome(Action.State.FAILED, "No such order is in force any more.")
            work.memory["order"] = order.pk
            standing.release(order)
        if order is not None and order.pk == work.memory["order"]:
            order.refresh_from_db()
            missing = standing.take_back(order, work.control, work.now)
            if missing:
                return Outcome(detail=f"Waits for {', '.join(sorted(missing))}.")
        given_back = StandingOrder.objects.get(pk=work.memory["order"]).confirmations.exclude(former="")
        nodes = sorted(given_back.values_list("node", flat=True))
        return verified(f"{len(nodes)} workers have what they had before.", {"workers": nodes}, done=len(nodes))

    return step


# --- Many tasks ------------------------------------------------------------------------------------------------------
def _items(work: Work) -> None:
    """Write down what the act is about, once: ids as given, or those that the filter means now."""
    if work.memory.get("listed"):
        return
    which = work.parameters()
    assert work.action.fleet is not None
    ids = which.ids or matching(work.action.fleet, work.action.kind, which).values_list("uuid", flat=True)
    unique = list(dict.fromkeys(ids))[: acts.MAX_IDS]
    rows = [ActionItem(action=work.action, key=key) for key in unique]
    ActionItem.objects.bulk_create(rows, batch_size=500, ignore_conflicts=True)
    work.memory["listed"] = True
    Action.objects.filter(pk=work.action.pk).update(memory=work.memory, total=len(rows))
    work.action.total = len(rows)


def _tally(action: Action) -> dict[str, int]:
    rows = action.items.order_by().values_list("state").annotate(count=Count("id"))
    return {str(state): count for state, count in rows}


def _chunk(work: Work, most: int) -> list[str]:
    """Return the ids that may be dealt with now, by the act's pace."""
    found = _tally(work.action)
    left = found.get("pending", 0)
    count = pacing.allowed(
        work.parameters().per_second, elapsed_seconds=work.elapsed_seconds, done=sum(found.values()) - left, left=left,
        most=most,
    )  # fmt: skip
    pending = work.action.items.filter(state=ActionItem.State.PENDING).values_list("key", flat=True)
    return list(pending[:count])


def _progress(work: Work, words: str, after: Mapping[str, Any] | None = None) -> Outcome:
    found = _tally(work.action)
    bad = found.get("failed", 0) + found.get("uncertain", 0)
    counts = {"done": found.get("done", 0), "failed": bad, "total": sum(found.values())}
    if found.get("pending"):
        return Outcome(detail=f"{counts['done']:,} of {counts['total']:,}.", after=after, counts=counts)
    if not counts["done"]:
        return Outcome(Action.State.FAILED, f"None of {counts['total']:,} {words}.", after, counts)
    state = Action.State.APPLIED if bad else Action.State.VERIFIED
    return Outcome(state, f"{counts['done']:,} of {counts['total']:,} {words}.", after, counts)


def _retry(work: Work) -> Outcome:
    _items(work)
    fleet = work.control.fleet.id
    return _sent_again(work, lambda keys: dict.fromkeys(captures.still_open(fleet, keys), "it has not ended yet"))


def _resend(work: Work) -> Outcome:
    """Send lost tasks again: what is not lost any more (its broker gave it out again, say) is left alone."""
    _items(work)
    fleet = work.action.fleet
    assert fleet is not None

    def blocked(keys: Sequence[str]) -> dict[str, str]:
        lost = handing_over.lost_among(fleet, keys, now=work.now)
        return {key: "it is not lost" for key in keys if key not in lost}

    return _sent_again(work, blocked)


Blocked = Callable[[Sequence[str]], Mapping[str, str]]  # by task why it must not be sent again


def _sent_again(work: Work, blocked: Blocked) -> Outcome:
    sending = work.action.items.filter(state=ActionItem.State.SENDING)
    sending.update(state=ActionItem.State.UNCERTAIN, result=UNCERTAIN)  # whoever claimed them is gone
    keys = _chunk(work, pacing.MOST_AT_ONCE)
    known = {row.task_id: row for row in CapturedTask.objects.filter(fleet=work.action.fleet, task_id__in=keys)}
    why = blocked(keys)
    for key in keys:
        _send_one(work, key, known.get(key), why.get(key, ""))
    return _progress(work, "sent again with their true arguments")


def _send_one(work: Work, key: str, captured: CapturedTask | None, why: str) -> None:
    item = work.action.items.filter(key=key, state=ActionItem.State.PENDING)
    if captured is None or why:
        why = why or "its message was not captured when it was published"
        item.update(state=ActionItem.State.FAILED, result=why)
        return
    if work.action.kind == "task.resend" and not _claim_resend(work.action, key):
        item.update(state=ActionItem.State.FAILED, result="it was sent again before")
        return
    if not item.update(state=ActionItem.State.SENDING):
        return
    claimed = work.action.items.filter(key=key, state=ActionItem.State.SENDING)
    try:
        message = captures.again(captured, work.action.pk)
        work.control.publish(message.body, queue=message.queue, headers=message.headers, properties=message.properties)
    except (NoQueue, CannotOpen) as error:
        claimed.update(state=ActionItem.State.FAILED, result=str(error)[:300])
        ResentTask.objects.filter(action=work.action, task_id=key).delete()
    else:
        claimed.update(state=ActionItem.State.DONE, result=message.task_id)


def _claim_resend(action: Action, key: str) -> bool:
    """Claim a lost task for this action; return False where another has: it is sent again once, whoever asks."""
    assert action.fleet_id is not None  # acts are carried out only while their fleet is watched
    new_id = str(captures.new_id(action.pk, key))
    found, _ = ResentTask.objects.get_or_create(
        fleet_id=action.fleet_id, task_id=key, defaults={"new_id": new_id, "action": action}
    )
    return bool(found.action_id == action.pk)


def _revoke(work: Work) -> Outcome:
    """Flag tasks as revoked everywhere, some at a time: each worker looks every id up in its result backend."""
    _items(work)
    keys = _chunk(work, REVOKES_AT_ONCE)
    given = work.parameters()
    if keys:
        until = work.action.requested_at + timedelta(hours=given.hours)
        order = standing.begin_revokes(work.action, keys, terminate=given.terminate, until=until)
        standing.revoke(order, work.control, work.now)
    coverage = standing.covered(work.action, work.control)
    outcome = _progress(work, "revoked", coverage)
    if outcome.state and coverage["missing"]:
        outcome.state = Action.State.APPLIED
        outcome.detail += f" Not confirmed by {', '.join(coverage['missing'])}: told again until it is."
    return outcome


# --- Queues ----------------------------------------------------------------------------------------------------------
def _purge(work: Work) -> Outcome:
    if not work.begin_once():
        return Outcome(Action.State.FAILED, UNCERTAIN)
    count = work.control.purge(work.target)
    return verified(f"{count:,} messages thrown away.", {"purged": count}, done=count, total=count)


def _move(source: Callable[[Work], str], target: Callable[[Work], str]) -> Callable[[Work], Outcome]:
    def step(work: Work) -> Outcome:
        here, there = source(work), target(work)
        if "total" not in work.memory:  # what was there at the start: what comes later is not meant
            work.control.ensure_queue(there)
            work.memory["total"] = min(work.control.depth(here), work.parameters().limit)
        total, done = int(work.memory["total"]), work.action.done
        count = pacing.allowed(
            work.parameters().per_second, elapsed_seconds=work.elapsed_seconds, done=done, left=total - done
        )
        moved = work.control.move(here, there, count)
        done += moved
        after = {"from": here, "to": there, "moved": done, "left": work.control.depth(here)}
        if done < total and moved == count:
            return Outcome(None, f"{done:,} of {total:,}.", after, {"done": done, "total": total})
        return verified(f"{done:,} messages moved from {here} to {there}.", after, done=done, total=total)

    return step


def _trigger(work: Work) -> Outcome:
    if not work.begin_once():
        return Outcome(Action.State.FAILED, UNCERTAIN)
    given = work.parameters()
    task_id = str(work.action.pk)
    body, headers, properties = work.control.task_message(task_id, work.target, given.args, given.kwargs)
    work.control.publish(captures.encoded(body), queue=given.queue, headers=headers, properties=properties)
    return verified(f"Sent as task {task_id}.", {"task_id": task_id, "queue": given.queue}, done=1, total=1)


STEPS: dict[str, Callable[[Work], Outcome]] = {
    "task.trigger": _trigger,
    "task.retry": _retry,
    "task.resend": _resend,
    "task.revoke": _revoke,
    "task.rate_limit": _rate_limit,
    "task.fleet_rate_limit": _fleet_rate_limit,
    "task.end_fleet_rate_limit": _end_order(StandingOrder.Kind.RATE_LIMIT),
    "task.time_limit": _time_limit,
    "worker.add_consumer": _once(_tell_consume("add_consumer"), _reads, _itself),
    "worker.cancel_consumer": _once(_tell_consume("cancel_consumer"), _reads_not, _itself),
    "worker.grow": _once(_tell_resize(1), _has_size, _itself),
    "worker.shrink": _once(_tell_resize(-1), _has_size, _itself),
    "worker.autoscale": _once(_tell_autoscale, _has_bounds, _itself),
    "worker.drain": emptying.drain,
    "fleet.scale_in": emptying.drain,
    "webhook.call": hooks.call,
    "webhook.undo": hooks.call,
    "worker.start": launching.start,
    "worker.stop": launching.stop,
    "queue.pause": _pause,
    "queue.resume": _end_order(StandingOrder.Kind.PAUSE),
    "queue.purge": _purge,
    "queue.park": _move(lambda work: work.target, lambda work: acts.parking_queue(work.target)),
    "queue.replay": _move(lambda work: parked_in(work.target, work.parameters()), lambda work: work.target),
}
PATIENT = {
    "queue.resume",
    "task.end_fleet_rate_limit",
    "worker.drain",
    "worker.stop",
    "fleet.scale_in",
    "task.retry",
    "task.resend",
    "task.revoke",
}
