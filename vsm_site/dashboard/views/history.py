"""The history of tasks: searching it, one task with its life and family, failures by kind, latencies."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from subsystems.fleets import queries
from subsystems.fleets.models import Task
from subsystems.fleets.searching import NEWEST, SLOWEST
from subsystems.fleets.states import FINAL, State
from subsystems.s1_operations.models import Fleet
from vsm_site.dashboard import lifelines, zones
from vsm_site.dashboard.history_forms import FleetFilter, LatencyFilter, TaskFilter
from vsm_site.dashboard.lists import TASKS
from vsm_site.dashboard.places import Place, in_system
from vsm_site.dashboard.reach import reach_of, whole_reach
from vsm_site.dashboard.time_ranges import DAY, RANGES, USUAL
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 50
SHOWN_GROUPS, SHOWN_KINDS = 100, 200
BLIND_FOR = timedelta(days=1)  # how long a spell is told above the list, unless the list is about its time
ORDERS = {"-seen": NEWEST, "-ran": SLOWEST}  # what the table's orders are called in the history
PART = "X-Part"  # the header by which the page asks for its rows alone


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Search the history."""
    wanted = TaskFilter(request.GET, place, _names(request, place))
    valid = wanted.is_valid()
    fleets = _fleets(request, place, wanted) if valid else {}
    names = {fleet.pk: fleet.name for fleet in fleets.values()}
    table = TASKS.read(request, without=() if len(fleets) > 1 else ("fleet",))
    order = ORDERS[table.sort]
    found = queries.search(list(fleets), wanted.wanted(order), after=wanted.after(), limit=PAGE_SIZE) if valid else None
    context: dict[str, Any] = {
        "tasks": _rows(found.tasks, names) if found else [],
        "next": str(found.next) if found and found.next else "",
        "searched_until": found.searched_until if found else None,
        "newest": valid and not wanted.cleaned_data["cursor"],
        "table": table,
        "narrows": valid and wanted.narrows,
        "parameters": parameters_without(request, "cursor"),
        "only_own": all(fleet.own for fleet in fleets.values()),
    }
    if request.headers.get(PART) == "rows" and valid:
        return render(request, "dashboard/_task_rows.html", {"place": place, **context})
    return page(
        request,
        place,
        "dashboard/history.html",
        status=200 if valid and not table.mistakes else 400,
        filter=wanted,
        export=_export(wanted, order) if valid else "",
        trouble=_trouble(list(fleets.values()), wanted) if valid else [],
        script={"follows": context["newest"] and order == NEWEST and wanted.ends_now},
        **context,
    )


@in_system
def detail(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show all of one task."""
    fleets = {fleet.pk: fleet for fleet in Fleet.objects.filter(whole_reach(request, place).condition())}
    task = Task.objects.filter(pk=pk, fleet_id__in=list(fleets)).first()
    if task is None:
        raise Http404("There is no such task in the history.")
    tries, family = queries.retries_of(task), queries.relatives(task)
    seen_until = task.finished_at or timezone.now()
    spells = queries.blind_spells([task.fleet_id], since=task.seen_at, until=seen_until)
    return page(
        request,
        place,
        "dashboard/task.html",
        task=task,
        state=State(task.state).name.lower(),
        shape=_shape(task.state),
        fleet=fleets[task.fleet_id],
        tries=tries,
        bars=_bars(task, [each.at for each in tries]),
        family=family,
        children=_rows(family.children, {}),
        group=_rows(family.group, {}),
        spells=[spell for spell in spells if spell.lost],
        ended=task.state >= FINAL,
        script={"follows": task.finished_at is None, "uuid": task.uuid},
    )


@in_system
def exceptions(request: HttpRequest, place: Place) -> HttpResponse:
    """List failures by kind."""
    wanted = FleetFilter(request.GET, place, _names(request, place))
    valid = wanted.is_valid()
    groups = queries.exception_groups(list(_fleets(request, place, wanted)))[:SHOWN_GROUPS] if valid else []
    return page(
        request, place, "dashboard/task_exceptions.html", filter=wanted, groups=groups, status=200 if valid else 400
    )


@in_system
def latencies(request: HttpRequest, place: Place) -> HttpResponse:
    """Show how long tasks waited and ran."""
    wanted = LatencyFilter(request.GET, place, _names(request, place))
    valid = wanted.is_valid()
    rows: list[dict[str, Any]] = []
    by = (wanted.cleaned_data["by"] or "name").split(",") if valid else ["name"]
    if valid:
        given = wanted.cleaned_data
        until = (given["until"] or timezone.now()).timestamp()
        since = max(until - DAY, given["since"].timestamp() if given["since"] else until - RANGES[USUAL])
        rows = queries.latencies(list(_fleets(request, place, wanted)), since=since, until=until, by=by)[:SHOWN_KINDS]
    return page(
        request, place, "dashboard/task_latencies.html", filter=wanted, rows=rows, by=by, status=200 if valid else 400
    )


def _export(wanted: TaskFilter, order: str) -> str:
    """Return the filter in the words of the API."""
    given = wanted.cleaned_data
    words = {"q": "search", "since": "from", "until": "to"}
    own = {"cursor", "of", "range", "from", "to"}  # the last three are said as moments
    chosen = {words.get(name, name): value for name, value in given.items() if value and name not in own}
    if order != NEWEST:
        chosen["order"] = order
    for name in ("from", "to"):
        if name in chosen:
            chosen[name] = chosen[name].timestamp()
    return urlencode(chosen)


def _names(request: HttpRequest, place: Place) -> list[str]:
    fleets = Fleet.objects.filter(whole_reach(request, place).condition())
    return sorted(set(fleets.values_list("name", flat=True)))


def _fleets(request: HttpRequest, place: Place, wanted: FleetFilter) -> dict[int, Fleet]:
    """Return the fleets that the filter is about, by id."""
    chosen = wanted.cleaned_data["fleet"]
    named = Q(name=chosen) if chosen else Q()
    fleets = Fleet.objects.filter(reach_of(request, place, wanted.of).condition(), named)
    return {fleet.pk: fleet for fleet in fleets.select_related("listening", "history_rules")}


def _rows(tasks: list[Task], names: dict[int, str]) -> list[dict[str, Any]]:
    return [
        {
            "task": task,
            "state": State(task.state).name.lower(),
            "shape": _shape(task.state),
            "fleet": names.get(task.fleet_id, ""),
        }
        for task in tasks
    ]


def _shape(state: int) -> str:
    if state == State.SUCCESS:
        return "healthy"
    if state == State.FAILURE:
        return "unhealthy"
    if state in (State.RETRY, State.REVOKED, State.REJECTED):
        return "degraded"
    return "unknown" if state == State.UNKNOWN else "severity-info"


def _bars(task: Task, tries: list[datetime]) -> list[lifelines.Bar]:
    """Return the picture of a task's life. One that ended unseen is drawn up to the last thing known of it."""
    return lifelines.bars(
        sent=_epoch(task.sent_at),
        received=_epoch(task.received_at),
        eta=_epoch(task.eta_at),
        started=_epoch(task.started_at),
        tries=[each.timestamp() for each in tries],
        last_started=_epoch(task.last_started_at),
        ended=_epoch(task.changed_at if task.state == State.UNKNOWN else task.finished_at),
        now=timezone.now().timestamp(),
    )


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _trouble(fleets: list[Fleet], wanted: TaskFilter) -> list[str]:
    """Return what makes the list less than the truth: fleets that are not heard well, and times of blindness."""
    now = timezone.now()
    told = []
    for fleet in fleets:
        if hasattr(fleet, "listening"):
            told += [f"{fleet.name}: {sentence}" for sentence in queries.hearing_body(fleet, now=now)["advice"]]
    since = wanted.cleaned_data["since"] or now - BLIND_FOR
    names = {fleet.pk: fleet.name for fleet in fleets}
    for spell in queries.blind_spells(list(names), since=since, until=wanted.cleaned_data["until"])[:20]:
        if spell.lost:
            times = f"{zones.told(spell.began_at)} to {zones.told(spell.ended_at, 'clock zone')}"
            told.append(f"{names[spell.fleet_id]}: events may be missing from {times}. {spell.get_reason_display()}.")
    return told
