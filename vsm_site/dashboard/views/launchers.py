"""Launchers: which there are, what they have running, writing one, and starting and stopping workers."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext

from subsystems.kernel.errors import Refused
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control import steering
from subsystems.s3_control.launching import queries, services
from subsystems.s3_control.launching.models import Launcher
from subsystems.s3_control.models import Action
from vsm_site.dashboard import journeys
from vsm_site.dashboard.launcher_forms import EXAMPLES, LauncherForm, LaunchForm, NewLauncherForm
from vsm_site.dashboard.places import Place, in_system, operating
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 50
VERBS = {"worker.start": "start", "worker.stop": "stop"}  # with what the inputs of each are called after


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List launchers; a POST of who may adds one."""
    fleets = Fleet.objects.filter(system=place.system, own=False)
    form = NewLauncherForm(fleets, request.POST or None)
    if request.method == "POST":
        _refuse_others(request)
        if form.is_valid():
            given = dict(form.cleaned_data)
            try:
                row = services.save(given.pop("fleet"), given, by=person(request).get_username())
            except Refused as error:
                form.take(error)
            else:
                return redirect(_path(row, place))
    rows = Launcher.objects.filter(system=place.system).select_related("fleet")
    examples = [(kind, json.dumps(EXAMPLES[kind])) for kind in settings.LAUNCHERS]
    return page(
        request, place, "dashboard/launchers.html", status=400 if form.errors else 200, form=form, examples=examples,
        launchers=Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page")), permitted=settings.LAUNCHERS,
        parameters=parameters_without(request, "page"), may_write=queries.may_write(request.user),
        has_fleets=fleets.exists(),
    )  # fmt: skip


@in_system
def detail(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show one launcher and what it has now, asked at this moment; a POST of who may changes it."""
    row = _row(place, pk)
    form = LauncherForm(request.POST or None, launcher=row)
    if request.method == "POST":
        _refuse_others(request)
        if form.is_valid():
            try:
                services.save(row.fleet, form.cleaned_data, by=person(request).get_username(), launcher=row)
            except Refused as error:
                form.take(error)
            else:
                return redirect(_path(row, place))
    return _page(request, place, _row(place, pk), form=form)


@operating
def act(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Start or stop workers, or only say what that would do."""
    row = _row(place, pk)
    kind = request.POST.get("kind", "")
    if kind not in VERBS:
        raise PermissionDenied(gettext("A launcher starts and stops workers."))
    form = LaunchForm(request.POST, prefix=VERBS[kind])
    if form.is_valid():
        asked = steering.Request(
            row.fleet, kind, row.name, {"workers": form.cleaned_data["workers"]}, form.cleaned_data["reason"],
            dry_run="dry_run" in request.POST,
        )  # fmt: skip
        try:
            action = steering.propose(asked, by=person(request))
        except Refused as error:
            form.add_error("workers" if error.code == "cannot" else None, error.detail)
        else:
            return redirect(f"{reverse('dashboard:action', args=[action.pk])}{place.query}")
    return _page(request, place, row, wrong={kind: form})


@operating
def drop(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Delete a launcher."""
    _refuse_others(request)
    row = _row(place, pk)
    try:
        services.drop(row, by=person(request).get_username())
    except Refused as error:
        messages.error(request, error.detail)
        return redirect(_path(row, place))
    return redirect(f"{reverse('dashboard:launchers')}{place.query}")


def _page(
    request: HttpRequest, place: Place, row: Launcher, *, form: LauncherForm | None = None,
    wrong: dict[str, LaunchForm] | None = None,
) -> HttpResponse:  # fmt: skip
    wrong = wrong or {}
    form = form or LauncherForm(launcher=row)
    may_write = queries.may_write(request.user)
    return page(
        request, place, "dashboard/launcher.html", status=400 if wrong or form.errors else 200, launcher=row,
        seen=queries.seen_now(row), form=form, may_write=may_write,
        config=journeys.pretty(queries.launcher_body(row, whole=may_write)["config"]),
        start=wrong.get("worker.start") or LaunchForm(prefix="start"),
        stop=wrong.get("worker.stop") or LaunchForm(prefix="stop"),
        last=Action.objects.filter(fleet=row.fleet, target=row.name, kind__in=VERBS)[:10],
    )  # fmt: skip


def _row(place: Place, pk: int) -> Launcher:
    return get_object_or_404(Launcher.objects.select_related("fleet__system"), pk=pk, system=place.system)


def _path(row: Launcher, place: Place) -> Any:
    return f"{reverse('dashboard:launcher', args=[row.pk])}{place.query}"


def _refuse_others(request: HttpRequest) -> None:
    if not queries.may_write(request.user):
        raise PermissionDenied(
            gettext("Launchers are written by administrators of the system main: they run with its rights.")
        )
