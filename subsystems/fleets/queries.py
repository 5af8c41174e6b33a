"""Reads of the history: lists of any length in pages, one task with its relatives, failures, latencies, blindness."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import connection
from django.db.models import F, Q, QuerySet

from subsystems.fleets.models import (
    BlindSpell,
    ExceptionGroup,
    HistoryRules,
    Listening,
    Task,
    TaskRetry,
    TaskRollUp,
)
from subsystems.fleets.roll_ups import STEP_SECONDS, Tally, opened
from subsystems.fleets.rolling_up import noted
from subsystems.fleets.searching import ORDERS, SLOWEST, Position, Wanted
from subsystems.fleets.states import State
from subsystems.kernel.times import moment_text
from subsystems.s1_operations.models import Fleet

SCANNED = 50_000  # rows that one search for a text reads; the next page goes on where it ended
FEW = 500  # tasks within bounds of runtime that are sorted; where there are more, the newest of them are near
MAX_RELATIVES = 200
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_EXACT = {"name": "name", "worker": "worker", "queue": "queue", "uuid": "uuid", "fingerprint": "fingerprint"}
_TEXTS = ("name", "args", "kwargs", "result", "exception")


@dataclass(frozen=True)
class Found:
    """One page. *searched_until* is set when a search for a text stopped there and not at the end of the history."""

    tasks: list[Task]
    next: Position | None = None
    searched_until: datetime | None = None


def search(fleet_ids: Sequence[int], wanted: Wanted, *, after: Position | None = None, limit: int = 50) -> Found:
    """Return a page of the tasks of *fleet_ids* after a position, in the order that is wanted."""
    if not fleet_ids:
        return Found([])
    key = ORDERS[wanted.order]
    pages = [_matching(fleet_id, wanted, after) for fleet_id in sorted(fleet_ids)]
    if wanted.order != SLOWEST and (wanted.min_runtime is not None or wanted.max_runtime is not None):
        pages = _by_runtime(pages, wanted)
    floor = _floor(pages, wanted)
    narrowed = [page if floor is None else page.filter(seen_at__gt=floor) for page in pages]
    rows = _merged([_unindexed(page, wanted).order_by(f"-{key}", "-pk") for page in narrowed], key, limit + 1)
    if len(rows) > limit:
        return Found(rows[:limit], _position(rows[limit - 1], key))
    if floor is not None:
        return Found(rows, Position(floor.timestamp(), 1 << 62), floor)
    return Found(rows)


def every(fleet_ids: Sequence[int], wanted: Wanted, *, at_a_time: int = 2_000) -> Iterator[list[Task]]:
    """Give all tasks that are wanted, a page after the other."""
    after: Position | None = None
    while True:
        found = search(fleet_ids, wanted, after=after, limit=at_a_time)
        yield found.tasks
        if found.next is None:
            return
        after = found.next


def _matching(fleet_id: int, wanted: Wanted, after: Position | None) -> QuerySet[Task]:
    tasks = Task.objects.filter(fleet_id=fleet_id).defer("traceback")
    tasks = tasks.filter(**{column: getattr(wanted, name) for name, column in _EXACT.items() if getattr(wanted, name)})
    if wanted.root:
        tasks = tasks.filter(Q(root_id=wanted.root) | Q(uuid=wanted.root))
    if wanted.states:
        tasks = tasks.filter(state__in=[int(state) for state in wanted.states])
    bounds = {
        "seen_at__gte": wanted.since,
        "seen_at__lte": wanted.until,
    }
    if wanted.order == SLOWEST:
        bounds["runtime_seconds__gte"] = wanted.min_runtime or 0.0  # without one it has no place in the order
        bounds["runtime_seconds__lte"] = wanted.max_runtime
    tasks = tasks.filter(**{name: value for name, value in bounds.items() if value is not None})
    if after is None:
        return tasks
    key = ORDERS[wanted.order]
    return tasks.filter(**{f"{key}__lte": after.value}).exclude(**{key: after.value, "pk__gte": after.id})


def _by_runtime(pages: list[QuerySet[Task]], wanted: Wanted) -> list[QuerySet[Task]]:
    """Return the newest within bounds of runtime: by their ids where there are few, for among the newest they are far
    to seek; otherwise past the index of runtimes, along which all of them would have to be sorted.
    """
    bounds = {"gte": wanted.min_runtime, "lte": wanted.max_runtime}
    given = {how: value for how, value in bounds.items() if value is not None}
    within = [page.filter(**{f"runtime_seconds__{how}": value for how, value in given.items()}) for page in pages]
    statement, values = _union([page.order_by("-runtime_seconds").values("pk")[: FEW + 1] for page in within])
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        ids = [pk for (pk,) in cursor.fetchall()]
    if len(ids) <= FEW:
        return [page.filter(pk__in=ids) for page in pages]
    past = [page.alias(ran=F("runtime_seconds") + 0.0) for page in pages]
    return [page.filter(**{f"ran__{how}": value for how, value in given.items()}) for page in past]


def _floor(pages: Sequence[QuerySet[Task]], wanted: Wanted) -> datetime | None:
    """Return the moment down to which a search that no index serves looks; None when it looks at everything."""
    if not (wanted.text or wanted.min_wait is not None) or wanted.order == SLOWEST:
        return None
    share = SCANNED // len(pages)
    statement, values = _union([page.order_by("-seen_at").values("seen_at")[share : share + 1] for page in pages])
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT max(seen_at) FROM ({statement}) AS ends", values)  # noqa: S608
        (moment,) = cursor.fetchone()
    return None if moment is None else datetime.fromtimestamp(moment, UTC)


def _unindexed(tasks: QuerySet[Task], wanted: Wanted) -> QuerySet[Task]:
    """Return what of *tasks* fits the conditions that no index serves."""
    text = wanted.text
    if wanted.min_wait is not None:
        tasks = tasks.filter(wait_seconds__gte=wanted.min_wait)
    if not text:
        return tasks
    condition = Q(uuid=text)
    for column in _TEXTS:
        condition |= Q(**{f"{column}__icontains": text})
    return tasks.filter(condition)


def _merged(pages: Sequence[QuerySet[Task]], key: str, limit: int) -> list[Task]:
    """Return the first rows of several lists, in one statement.

    Each fleet's list is read along its own index; `fleet_id IN (…)` would sort the rows of all of them first.
    """
    if len(pages) == 1:
        return list(pages[0][:limit])
    together, values = _union([page[:limit] for page in pages])
    statement = f"SELECT * FROM ({together}) AS whole ORDER BY {key} DESC, id DESC LIMIT {int(limit)}"  # noqa: S608
    return list(Task.objects.raw(statement, values))


def _union(lists: Sequence[QuerySet[Task, Any]]) -> tuple[str, list[Any]]:
    """Return several lists, each with its own order and limit, as one statement; Django has none that SQLite takes."""
    parts: list[str] = []
    values: list[Any] = []
    for number, rows in enumerate(lists):
        statement, parameters = rows.query.sql_with_params()
        parts.append(f"SELECT * FROM ({statement}) AS part{number}")  # noqa: S608
        values += parameters
    return " UNION ALL ".join(parts), values


def _position(task: Task, key: str) -> Position:
    value = getattr(task, key)
    return Position(value.timestamp() if isinstance(value, datetime) else float(value), task.pk)


# --- One task -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Relatives:
    """A task's family. *chord* is the task that waits for its group."""

    parent: Task | None
    root: Task | None
    children: list[Task]
    group: list[Task]
    chord: Task | None


def relatives(task: Task) -> Relatives:
    """Return the tasks that called *task*, that it called, and that run beside it; two queries."""
    mine = Task.objects.filter(fleet_id=task.fleet_id).defer("traceback")
    above = {task.parent_id, task.root_id, task.chord_id} - {None}
    known = {other.uuid: other for other in mine.filter(uuid__in=above)} if above else {}
    children = list(mine.filter(parent_id=task.uuid).order_by("seen_at")[:MAX_RELATIVES])
    group = mine.filter(group_id=task.group_id).exclude(pk=task.pk).order_by("seen_at") if task.group_id else None
    return Relatives(
        known.get(task.parent_id or ""),
        known.get(task.root_id or ""),
        children,
        [] if group is None else list(group[:MAX_RELATIVES]),
        known.get(task.chord_id or ""),
    )


def retries_of(task: Task) -> list[TaskRetry]:
    """Return the tries of *task* that ended in another."""
    return list(TaskRetry.objects.filter(fleet_id=task.fleet_id, uuid=task.uuid).order_by("at"))


def task_body(task: Task, fleets: dict[int, str]) -> dict[str, Any]:
    """Return one row of the history as JSON, without its traceback; *fleets* are names by id."""
    return {
        "id": task.pk,
        "fleet": fleets.get(task.fleet_id, ""),
        "uuid": task.uuid,
        "name": task.name,
        "state": State(task.state).name.lower(),
        "worker": task.worker,
        "queue": task.queue,
        "exchange": task.exchange,
        "routing_key": task.routing_key,
        "args": task.args,
        "kwargs": task.kwargs,
        "result": task.result,
        "exception": task.exception,
        "fingerprint": None if task.fingerprint is None else str(task.fingerprint),
        "retries": task.retries,
        "sent_at": moment_text(task.sent_at),
        "received_at": moment_text(task.received_at),
        "started_at": moment_text(task.started_at),
        "last_started_at": moment_text(task.last_started_at),
        "finished_at": moment_text(task.finished_at),
        "changed_at": moment_text(task.changed_at),
        "seen_at": moment_text(task.seen_at),
        "eta_at": moment_text(task.eta_at),
        "expires_at": moment_text(task.expires_at),
        "wait_seconds": task.wait_seconds,
        "runtime_seconds": task.runtime_seconds,
        "parent_id": task.parent_id,
        "root_id": task.root_id or task.uuid,
        "group_id": task.group_id,
        "chord_id": task.chord_id,
        "trace_id": task.trace_id,
        "clock": task.clock,
    }


def brief(task: Task) -> dict[str, Any]:
    """Return what a list of relatives shows of a task."""
    return {"id": task.pk, "uuid": task.uuid, "name": task.name, "state": State(task.state).name.lower()}


def detail_body(task: Task, fleets: dict[int, str]) -> dict[str, Any]:
    """Return all that is known of one task as JSON."""
    family = relatives(task)
    return {
        **task_body(task, fleets),
        "traceback": task.traceback,
        "tries": [
            {"at": moment_text(each.at), "worker": each.worker, "exception": each.exception}
            for each in retries_of(task)
        ],
        "parent": None if family.parent is None else brief(family.parent),
        "chord": None if family.chord is None else brief(family.chord),
        "children": [brief(each) for each in family.children],
        "group": [brief(each) for each in family.group],
    }


# --- Failures and latencies -----------------------------------------------------------------------------------------
def exception_groups(fleet_ids: Sequence[int]) -> QuerySet[ExceptionGroup]:
    """Return the kinds of failures of *fleet_ids*, the latest first."""
    return ExceptionGroup.objects.filter(fleet_id__in=list(fleet_ids)).select_related("fleet")


def exception_body(group: ExceptionGroup) -> dict[str, Any]:
    return {
        "id": group.pk,
        "fleet": group.fleet.name,
        "fingerprint": str(group.fingerprint),  # more bits than a number in JavaScript has
        "type": group.type,
        "message": group.message,
        "task_name": group.task_name,
        "count": group.count,
        "first_seen_at": moment_text(group.first_seen_at),
        "last_seen_at": moment_text(group.last_seen_at),
        "last_uuid": group.last_uuid,
        "traceback": group.traceback,
    }


def latencies(fleet_ids: Sequence[int], *, since: float, until: float, by: Sequence[str]) -> list[dict[str, Any]]:
    """Return counts and percentiles of what ended in a range, from roll-ups; most failures, then most tasks first.

    *by* are `name` and `queue`, either or both. The range is widened to whole roll-ups.
    """
    rows = TaskRollUp.objects.filter(
        fleet_id__in=list(fleet_ids), at__gt=since - STEP_SECONDS, at__lte=until
    ).values_list("name", "queue", "succeeded", "failed", "others", "retried", "runtimes", "waits")
    found: dict[tuple[str, ...], Tally] = defaultdict(Tally)
    for name, queue, *numbers in rows.iterator(chunk_size=1_000):
        key = tuple({"name": name, "queue": queue}[part] for part in by)
        found[key].merge(Tally.from_row(*numbers))
    for ends in noted(fleet_ids):
        if since - STEP_SECONDS < ends.at <= until:
            found[tuple({"name": ends.name, "queue": ends.queue}[part] for part in by)].add(ends)
    bodies = [{**dict(zip(by, key, strict=True)), **_tally_body(tally)} for key, tally in found.items()]
    return sorted(bodies, key=lambda body: (-body["failed"], -body["count"]))


def _tally_body(tally: Tally) -> dict[str, Any]:
    return {
        "count": tally.succeeded + tally.failed + tally.others,
        "succeeded": tally.succeeded,
        "failed": tally.failed,
        "others": tally.others,
        "retried": tally.retried,
        "runtime": _percentiles(tally.runtimes),
        "wait": _percentiles(tally.waits),
    }


def _percentiles(sketch: Any) -> dict[str, float | None]:
    if sketch is None:
        return dict.fromkeys([*SHARES, "max"])
    open_ = opened(sketch)
    return {**dict(zip(SHARES, open_.quantiles(list(SHARES.values())), strict=True)), "max": open_.max}


# --- How well it is heard -------------------------------------------------------------------------------------------
def blind_spells(fleet_ids: Sequence[int], *, since: datetime, until: datetime | None = None) -> list[BlindSpell]:
    """Return the times between two moments in which events may have been missed, the latest first."""
    spells = BlindSpell.objects.filter(fleet_id__in=list(fleet_ids), ended_at__gte=since)
    if until is not None:
        spells = spells.filter(began_at__lte=until)
    return list(spells[:100])


def spell_body(spell: BlindSpell) -> dict[str, Any]:
    return {
        "reason": spell.reason,
        "why": str(spell.get_reason_display()),
        "began_at": moment_text(spell.began_at),
        "ended_at": moment_text(spell.ended_at),
        "lost": spell.lost,
        "dropped": spell.dropped,
    }


def hearing_body(fleet: Fleet, *, now: datetime) -> dict[str, Any]:
    """Return how well a fleet is heard, and what to do where it is not; select its `listening` and `history_rules`."""
    listening = _one_of(fleet, "listening")
    if listening is None:
        return {"heard": False, "since": None, "advice": ["Nothing was heard of this fleet yet."]}
    heard = listening.since is not None and (now - listening.written_at).total_seconds() < HEARD_WITHIN
    return {
        "heard": heard,
        "since": moment_text(listening.since) if heard else None,
        "written_at": moment_text(listening.written_at),
        "last_event_at": moment_text(listening.last_event_at),
        "events": listening.events,
        "unreadable": listening.unreadable,
        "missed": listening.missed,
        "hears_sending": listening.hears_sending,
        "workers": listening.workers,
        "advice": [*advice(listening, heard=heard), *_advice_on_results(_one_of(fleet, "history_rules"))],
    }


def _one_of(fleet: Fleet, name: str) -> Any:
    """Return what a fleet has one of at most; None where it has none."""
    try:
        return getattr(fleet, name)
    except ObjectDoesNotExist:
        return None


def _advice_on_results(rules: HistoryRules | None) -> list[str]:
    if rules is None or not rules.result_backend_error:
        return []
    return [f"Its result backend {rules.result_backend_display} does not answer: {rules.result_backend_error}"]


HEARD_WITHIN = 15.0
SKEW_SECONDS = 2.0


def advice(listening: Listening, *, heard: bool) -> list[str]:
    """Return in words what keeps a fleet from being heard well, each with what to change."""
    told: list[str] = []
    if not heard:
        told.append("Its broker cannot be reached now: what happens meanwhile may stay unknown.")
    silent = [name for name, each in listening.workers.items() if each.get("tells_tasks") is False]
    if silent:
        told.append(
            f"{_named(silent)} tell nothing of their tasks: start them with -E, or set worker_send_task_events = True."
        )
    if listening.hears_sending is False:
        told.append(
            "Clients do not tell what they send, so queues and waits are unknown: set task_send_sent_event = True "
            "where tasks are sent from."
        )
    skewed = [name for name, each in listening.workers.items() if abs(each.get("skew_seconds") or 0.0) > SKEW_SECONDS]
    if skewed:
        told.append(f"The clocks of {_named(skewed)} are off by more than {SKEW_SECONDS:g} s: let them run NTP.")
    if listening.missed:
        told.append(f"Workers started {listening.missed} tasks of which no event came.")
    if listening.unreadable:
        told.append(
            f"{listening.unreadable} messages were no JSON: set event_serializer = 'json', as Celery does by itself."
        )
    return told


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
