"""What S2 looks at, read in a handful of questions for all systems: controlled values, acts, tasks, schedules."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from subsystems.event_log.models import Event
from subsystems.fleets.models import BlindSpell, Listening, QueueState, TaskRetry, TaskRollUp
from subsystems.fleets.roll_ups import STEP_SECONDS as ROLL_UP_SECONDS
from subsystems.kernel.errors import Invalid
from subsystems.messaging.models import Message
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s2_coordination.dampers import Code
from subsystems.s2_coordination.models import Clearing, ScheduleRun
from subsystems.s2_coordination.monitor.conflicts import Act, Due, usual_runtime
from subsystems.s2_coordination.monitor.fairness import Claim
from subsystems.s2_coordination.monitor.lags import Line
from subsystems.s2_coordination.monitor.models import TenantShare
from subsystems.s2_coordination.monitor.oscillation import Floats, held_values
from subsystems.s2_coordination.queries import last_runs, schedules, timetable_of
from subsystems.s2_coordination.timetable import upcoming
from subsystems.telemetry import queries as telemetry
from subsystems.telemetry.sketch import Sketch

WINDOW_SECONDS, STEP_SECONDS = 7200.0, 60.0
FINE_SECONDS = 15.0  # for what keeps its value from one change to the next
HOUR = timedelta(hours=1)
MOST_ROWS = 20_000
MOST_EVENTS = 2_000
MOST_SCHEDULES = 200
MOST_DUE = 100
AT_ONCE = 100  # questions to telemetry
HEARD_SECONDS = 60.0
LEAST_DEPTH, LEAST_WORKERS, LEAST_RETRIES, LEAST_RATE, HALF_A_STEP = 5.0, 0.5, 5.0, 0.01, 0.3
DEMAND = "demand"  # nobody here steers it: that it swings is nobody's fault, and good to know
SERIES = (  # area, metric, least amplitude, title; slots and arrivals are told where a queue is scaled
    ("queue", "ready", LEAST_DEPTH, "Depth of"),
    ("workers", "consumers", LEAST_WORKERS, "Workers of"),
    ("workers", "slots", LEAST_WORKERS, "Slots of"),
    (DEMAND, "arrival_rate", LEAST_RATE, "Demand for"),
)
UP = {"alert.firing": 1.0, "alert.resolved": 0.0}


@dataclass(frozen=True)
class Controlled:
    """A value that somebody or something steers, or the demand that it is steered by.

    *moments* are when it was changed, where that is told exactly.
    """

    system_id: int
    area: str
    subject: str
    title: str
    at: Floats
    values: Floats
    step_seconds: float
    least_amplitude: float
    moments: Sequence[float] | None = None


@dataclass(frozen=True)
class FleetTold:
    """What a fleet's tasks came to in the last hour; None is not measured."""

    fleet: Fleet
    tasks: float | None
    seconds: float | None
    waiting: float | None


# --- Controlled values ------------------------------------------------------------------------------------------------
def controlled(now: datetime) -> Iterator[Controlled]:
    """Yield every value that is looked at, of all systems."""
    yield from _measured(now)
    yield from _steps(now)
    yield from _alerts(now)
    yield from _retries(now)


def _measured(now: datetime) -> Iterator[Controlled]:
    """Yield the depth of each queue, how many workers read it, how many slots they have, and what arrives."""
    end = now.timestamp()
    system_ids = list(Fleet.objects.filter(enabled=True).order_by().values_list("system_id", flat=True).distinct())
    asked = [(system_id, *each) for system_id in system_ids for each in SERIES]
    for begin in range(0, len(asked), AT_ONCE):
        part = asked[begin : begin + AT_ONCE]
        requests = [
            telemetry.Request((system_id,), metric, end - WINDOW_SECONDS, end, STEP_SECONDS)
            for system_id, _, metric, _, _ in part
        ]
        for (system_id, area, _, least, words), found in zip(part, telemetry.answer(requests, now=end), strict=True):
            for line in found.series:
                title = f"{words} {line.source}"
                yield Controlled(system_id, area, line.source, title, line.at, line.values, STEP_SECONDS, least)


def _steps(now: datetime) -> Iterator[Controlled]:
    """Yield for each damped subject the sum of what was done to it: up one, down one."""
    done: dict[tuple[int, str], list[tuple[float, int]]] = defaultdict(list)
    for system_id, act in acts(now, WINDOW_SECONDS):
        if not act.held_by and act.direction:
            done[system_id, act.subject].append((act.at, act.direction))
    for (system_id, subject), steps in done.items():
        at = [moment for moment, _ in steps]
        yield _held(system_id, "acts", subject, f"Acts on {subject}", at, np.cumsum([way for _, way in steps]), now)


def _alerts(now: datetime) -> Iterator[Controlled]:
    """Yield for each alert that fired lately when it did and when it did not."""
    since = now.timestamp() - WINDOW_SECONDS
    turns: dict[tuple[int, str], list[tuple[float, float, str]]] = defaultdict(list)
    for type_ in UP:
        rows = Event.objects.filter(type=type_).order_by("-position")
        told = rows.values_list("system_id", "correlation_id", "at", "data")[:MOST_EVENTS]
        for system_id, fingerprint, at, data in told:
            if system_id is not None and at.timestamp() >= since:
                turns[system_id, fingerprint].append((at.timestamp(), UP[type_], data))
    for (system_id, fingerprint), rows_of in turns.items():
        ordered = sorted(rows_of)
        title = str(json.loads(ordered[-1][2]).get("title") or fingerprint)
        moments = [row[0] for row in ordered]
        states = [row[1] for row in ordered]
        yield _held(system_id, "alerts", fingerprint, f"Alert {title}"[:300], moments, states, now)


def _held(
    system_id: int,
    area: str,
    subject: str,
    title: str,
    at: Sequence[float],
    values: Sequence[float] | Floats,
    now: datetime,
) -> Controlled:
    end = now.timestamp()
    grid = held_values(at, [float(value) for value in values], start=end - WINDOW_SECONDS, end=end, step=FINE_SECONDS)
    times = math.floor(end / FINE_SECONDS) * FINE_SECONDS - FINE_SECONDS * np.arange(len(grid), dtype=float)[::-1]
    return Controlled(system_id, area, subject, title, times, grid, FINE_SECONDS, HALF_A_STEP, moments=at)


def _retries(now: datetime) -> Iterator[Controlled]:
    """Yield how many tasks of each fleet were retried in each minute in which it was heard."""
    end = math.floor(now.timestamp() / STEP_SECONDS) * STEP_SECONDS
    start = end - WINDOW_SECONDS
    rows = TaskRetry.objects.filter(at__gte=start, at__lt=end).order_by("-at").values_list("fleet_id", "at")
    moments: dict[int, list[float]] = defaultdict(list)
    for fleet_id, at in rows[:MOST_ROWS]:
        moments[fleet_id].append(at.timestamp())
    fleets = Fleet.objects.in_bulk(list(moments))
    deaf = _deaf(list(fleets), datetime.fromtimestamp(start, now.tzinfo), now)
    grid = start + STEP_SECONDS * np.arange(WINDOW_SECONDS // STEP_SECONDS)
    for fleet_id, fleet in fleets.items():
        bins = ((np.asarray(moments[fleet_id]) - start) // STEP_SECONDS).astype(int)
        counts = np.bincount(bins, minlength=len(grid))[: len(grid)].astype(float)
        for began, ended in deaf.get(fleet_id, [(start, end)]):
            counts[(grid < ended) & (grid + STEP_SECONDS > began)] = np.nan
        yield Controlled(
            fleet.system_id, "retries", fleet.name, f"Retries of {fleet.name}", grid, counts, STEP_SECONDS,
            LEAST_RETRIES,
        )  # fmt: skip


def _deaf(fleet_ids: Sequence[int], start: datetime, now: datetime) -> dict[int, list[tuple[float, float]]]:
    """Return when events of fleets were missed; a fleet that is not heard now is not among them."""
    found = {
        row.fleet_id: [(start.timestamp() - 1, min(row.since.timestamp(), now.timestamp()))]
        for row in Listening.objects.filter(fleet_id__in=fleet_ids)
        if row.since is not None and (now - row.written_at).total_seconds() < HEARD_SECONDS
    }
    for spell in BlindSpell.objects.filter(fleet_id__in=list(found), ended_at__gte=start, lost=True):
        found[spell.fleet_id].append((spell.began_at.timestamp(), spell.ended_at.timestamp()))
    return found


# --- Acts and messages ------------------------------------------------------------------------------------------------
def acts(now: datetime, seconds: float) -> list[tuple[int, Act]]:
    """Return what was done to damped subjects, and what was refused because another writer had one."""
    since = now - timedelta(seconds=seconds)
    rows = Clearing.objects.filter(last_at__gte=since).exclude(done=False).order_by("last_at")
    return sorted(
        (
            (row.damper.system_id, _act(row))
            for row in rows.select_related("damper")[:MOST_ROWS]
            if row.done or row.code == Code.TAKEN
        ),
        key=lambda pair: pair[1].at,
    )


def _act(row: Clearing) -> Act:
    if row.code == Code.TAKEN:
        return Act(row.damper.subject, row.writer, row.direction, row.last_at.timestamp(), row.held_by, row.times)
    return Act(row.damper.subject, row.writer, row.direction, (row.ended_at or row.last_at).timestamp())


def lag_lines(now: datetime) -> dict[int, list[Line]]:
    """Return the messages of the last hour that were handled, by system: their ends and how long they took."""
    root = root_system().pk
    rows = Message.objects.filter(created_at__gte=now - HOUR, handled_at__isnull=False).exclude(channel="platform")
    columns = ("system_id", "channel", "sender", "recipient", "created_at", "handled_at")
    found: dict[int, list[Line]] = defaultdict(list)
    for system_id, channel, sender, recipient, created, handled in rows.order_by("-number").values_list(*columns)[
        :MOST_ROWS
    ]:
        found[system_id or root].append((channel, sender, recipient, (handled - created).total_seconds()))
    return found


# --- What is shared ---------------------------------------------------------------------------------------------------
def fleets_told(now: datetime) -> list[FleetTold]:
    """Return what each fleet got and what waits in its queues."""
    fleets = list(Fleet.objects.filter(enabled=True).select_related("system"))
    ids = [fleet.pk for fleet in fleets]
    since = now - HOUR
    heard = set(_deaf(ids, since, now))
    got = {pk: [0.0, 0.0] for pk in heard}
    ended = TaskRollUp.objects.filter(fleet_id__in=ids, at__gte=since.timestamp() - ROLL_UP_SECONDS)
    for fleet_id, succeeded, failed, runtimes in ended.values_list("fleet_id", "succeeded", "failed", "runtimes"):
        if fleet_id in got:
            got[fleet_id][0] += succeeded + failed
            got[fleet_id][1] += Sketch.from_bytes(bytes(runtimes)).sum if runtimes else 0.0
    waiting = _waiting(ids, now)
    return [_told(each, got.get(each.pk), waiting.get(each.pk)) for each in fleets]


def _told(fleet: Fleet, got: Sequence[float] | None, waiting: float | None) -> FleetTold:
    return FleetTold(fleet, None, None, waiting) if got is None else FleetTold(fleet, got[0], got[1], waiting)


def _waiting(fleet_ids: Sequence[int], now: datetime) -> dict[int, float]:
    found: dict[int, float] = {}
    rows = QueueState.objects.filter(fleet_id__in=fleet_ids, observed_at__gte=now.timestamp() - HEARD_SECONDS)
    for fleet_id, ready in rows.values_list("fleet_id", "ready"):
        if ready is not None:
            found[fleet_id] = found.get(fleet_id, 0.0) + ready
    return found


def claims(told: Iterable[FleetTold]) -> dict[str, dict[int, tuple[Claim, Claim]]]:
    """Return by broker, where several systems share one, what each system got: tasks, and seconds of workers."""
    shared: dict[str, dict[int, list[FleetTold]]] = defaultdict(lambda: defaultdict(list))
    for each in told:
        if each.fleet.broker_display:
            shared[each.fleet.broker_display][each.fleet.system_id].append(each)
    weights = dict(TenantShare.objects.values_list("system_id", "weight"))
    return {
        broker: {pk: _claims(fleets, weights.get(pk, 1.0)) for pk, fleets in by_system.items()}
        for broker, by_system in shared.items()
        if len(by_system) > 1
    }


def _claims(told: Sequence[FleetTold], weight: float) -> tuple[Claim, Claim]:
    name = told[0].fleet.system.slug
    tasks, seconds = _sum(each.tasks for each in told), _sum(each.seconds for each in told)
    waiting = _sum(each.waiting for each in told)
    mean = seconds / tasks if tasks and seconds is not None else None
    waiting_seconds = 0.0 if waiting == 0 else None if waiting is None or mean is None else waiting * mean
    return Claim(name, tasks, waiting, weight), Claim(name, seconds, waiting_seconds, weight)


def _sum(numbers: Iterable[float | None]) -> float | None:
    known = list(numbers)
    return None if any(number is None for number in known) else sum(number or 0.0 for number in known)


def shared_queues(now: datetime) -> list[tuple[str, str, list[Fleet]]]:
    """Return the queues that several fleets of one broker read: broker, queue, fleets."""
    rows = QueueState.objects.filter(
        fleet__enabled=True, readers__gt=0, observed_at__gte=now.timestamp() - HEARD_SECONDS
    ).exclude(fleet__broker_display="")
    found: dict[tuple[str, str], list[Fleet]] = defaultdict(list)
    for row in rows.select_related("fleet__system").order_by("pk")[:MOST_ROWS]:
        found[row.fleet.broker_display, row.name].append(row.fleet)
    return [(*key, fleets) for key, fleets in found.items() if len(fleets) > 1]


# --- Schedules --------------------------------------------------------------------------------------------------------
def dues(now: datetime) -> list[Due]:
    """Return when schedules are due within a day, and how long their runs usually take."""
    found = list(schedules().filter(task__enabled=True)[:MOST_SCHEDULES])
    runs = last_runs([schedule.pk for schedule in found])
    told = []
    for schedule in found:
        try:
            table = timetable_of(schedule.task, schedule.anchor_at)
        except Invalid:
            continue
        times = [each.at.timestamp() for each in upcoming(table, now, MOST_DUE) if each.at <= now + timedelta(days=1)]
        runtime = usual_runtime(_runtimes(runs.get(schedule.pk, [])))
        told.append(
            Due(schedule.task_id, schedule.task.name, schedule.task.task, schedule.task.queue or "", runtime, times)
        )
    return told


def _runtimes(runs: Iterable[ScheduleRun]) -> list[float]:
    return [
        (run.finished_at - run.started_at).total_seconds()
        for run in runs
        if run.started_at is not None and run.finished_at is not None and run.state == ScheduleRun.State.SUCCEEDED
    ]


def by_system(pairs: Iterable[tuple[int, Act]]) -> Mapping[int, list[Act]]:
    """Return acts by the system that they belong to."""
    found: dict[int, list[Act]] = defaultdict(list)
    for system_id, act in pairs:
        found[system_id].append(act)
    return found
