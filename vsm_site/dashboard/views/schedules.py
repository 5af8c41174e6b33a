"""Schedules: next runs, how punctual the last ones were, pauses, and which beat leads."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from subsystems.kernel import triggerable
from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.queries import ROOT_SLUG
from subsystems.s2_coordination import queries, services
from subsystems.s2_coordination.models import Schedule, ScheduleRun
from subsystems.s2_coordination.queries import When
from subsystems.s3_control.queries import triggerable_by
from subsystems.s3_control.services import check_arguments
from subsystems.s3_control.tasks import SCHEDULED
from vsm_site.celery import app
from vsm_site.dashboard import punctuality, zones
from vsm_site.dashboard.forms import PauseForm, ScheduleForm
from vsm_site.dashboard.places import Place, in_system, operating, refuse_readers
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page
from vsm_site.schedules import SlotSchedule

PAGE_SIZE = 50
POLICIES = ("overlap", "catch_up", "catch_up_limit", "grace_seconds", "longest_run_seconds")


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List the schedules; make another one."""
    _refuse_elsewhere(place)
    if request.method != "POST":
        return _shown(request, place)
    refuse_readers(place)
    form = ScheduleForm(request.POST, choices=_offered(request))
    if form.is_valid():
        try:
            schedule = _create(request, form.cleaned_data)
        except Refused as error:
            form.take(error)
        else:
            messages.success(request, gettext("{schedule} is scheduled.").format(schedule=schedule))
            return redirect(f"/dashboard/schedules/{place.query}")
    return _shown(request, place, form=form, status=400)


@in_system
def detail(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show one schedule: its next runs through changes of the clock, and what became of each due time."""
    schedule = _find(place, pk)
    return _detail(request, place, schedule)


@operating
def pause(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Pause a schedule for a stated time."""
    schedule = _find(place, pk)
    form = PauseForm(request.POST)
    if not form.is_valid():
        return _detail(request, place, schedule, form=form, status=400)
    now = timezone.now()
    until = now + timedelta(minutes=form.cleaned_data["minutes"])
    services.pause(schedule, until, by=person(request), reason=form.cleaned_data["reason"], now=now)
    messages.success(
        request,
        gettext("{schedule} is paused until {until}; then it goes on by itself.").format(
            schedule=schedule, until=zones.told(until, "minute zone")
        ),
    )
    return _back(place, pk)


@operating
def resume(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """End a pause now."""
    try:
        services.resume(_find(place, pk), by=person(request), now=timezone.now())
    except Refused as error:
        messages.error(request, error.detail)
    return _back(place, pk)


@operating
def switch(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Switch a schedule on or off."""
    schedule = _find(place, pk)
    services.change(schedule, {"enabled": not schedule.task.enabled}, by=person(request), now=timezone.now())
    return _back(place, pk)


@operating
def delete(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Delete a schedule with its history."""
    schedule = _find(place, pk)
    name = str(schedule)
    services.delete(schedule, by=person(request), now=timezone.now())
    messages.success(request, gettext("{name} is deleted.").format(name=name))
    return redirect(f"/dashboard/schedules/{place.query}")


def _refuse_elsewhere(place: Place) -> None:
    """Schedules are the installation's, and shown in the root system alone."""
    if place.system.slug != ROOT_SLUG:
        raise Http404(f"Schedules are in the system {ROOT_SLUG!r}.")


def _find(place: Place, pk: int) -> Schedule:
    _refuse_elsewhere(place)
    found = queries.schedules().filter(task_id=pk).first()
    if found is None:
        raise Http404("There is no such schedule.")
    return found


def _back(place: Place, pk: int) -> HttpResponse:
    return redirect(f"{reverse('dashboard:schedule', args=[pk])}{place.query}")


def _shown(request: HttpRequest, place: Place, *, form: ScheduleForm | None = None, status: int = 200) -> HttpResponse:
    now = timezone.now()
    found = list(queries.schedules())
    runs = queries.last_runs([schedule.pk for schedule in found])
    rows = [
        {
            **queries.schedule_body(schedule, runs.get(schedule.pk, []), now=now),
            "bars": punctuality.bars(runs.get(schedule.pk, [])),
        }
        for schedule in found
    ]
    return page(
        request,
        place,
        "dashboard/schedules.html",
        status=status,
        rows=rows,
        core=_core(),
        beats=queries.leader_body(now=now),
        form=form or ScheduleForm(choices=_offered(request)),
    )


def _detail(
    request: HttpRequest, place: Place, schedule: Schedule, *, form: PauseForm | None = None, status: int = 200
) -> HttpResponse:
    now = timezone.now()
    runs = list(ScheduleRun.objects.filter(schedule=schedule)[: queries.SHOWN_PAST])
    history = Paginator(ScheduleRun.objects.filter(schedule=schedule), PAGE_SIZE).get_page(request.GET.get("page"))
    return page(
        request,
        place,
        "dashboard/schedule.html",
        status=status,
        schedule=queries.schedule_body(schedule, runs, now=now),
        upcoming=queries.next_runs(schedule, now=now, count=10) if schedule.task.enabled else [],
        changes=_changes(schedule),
        runs=history,
        run_rows=[queries.run_body(run) for run in history],
        bars=punctuality.bars(runs),
        form=form or PauseForm(),
    )


def _changes(schedule: Schedule) -> list[dict[str, Any]]:
    try:
        table = queries.timetable_of(schedule.task, schedule.anchor_at)
    except Invalid:
        return []
    return queries.clock_bodies(table, queries.zone_of(schedule.task), now=timezone.now())


def _core() -> list[dict[str, Any]]:
    """Return the platform's own jobs, whose times are code."""
    entries = sorted(app.conf.beat_schedule.items())
    return [
        {"name": name, "task": entry["task"], "every_seconds": entry["schedule"].period_seconds}
        for name, entry in entries
        if isinstance(entry["schedule"], SlotSchedule)
    ]


def _offered(request: HttpRequest) -> list[tuple[str, str]]:
    may_trigger = triggerable_by(request.user)
    return [(entry.name, entry.name) for entry in triggerable.listed() if may_trigger(entry)]


def _create(request: HttpRequest, given: dict[str, Any]) -> Schedule:
    entry = triggerable.find(given["task"])
    if not triggerable_by(request.user)(entry):
        raise PermissionDenied(
            gettext("Scheduling {name} takes {scope!r} in the root system.").format(name=entry.name, scope=entry.scope)
        )
    try:
        arguments = json.loads(given["arguments"] or "{}")
    except ValueError:
        raise Invalid(gettext("This is not JSON."), field="arguments") from None
    checked = check_arguments(entry.name, arguments)
    when = When(given["every_seconds"], given["crontab"], given["timezone"] or "UTC", given["at"])
    policies = {name: given[name] for name in POLICIES}
    return services.create(
        given["name"], SCHEDULED, {"name": entry.name, "arguments": checked}, when, policies,
        by=person(request), now=timezone.now(),
    )  # fmt: skip
