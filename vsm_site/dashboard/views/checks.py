"""Checks: jobs that are to say that they ran, and what was heard of them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext

from alerts.checks import beating, queries, services
from alerts.checks.models import Check, Ping
from alerts.checks.timing import Shown
from alerts.notices.durations import duration_text
from subsystems.kernel.errors import Refused
from subsystems.recursion.queries import ROOT_SLUG
from vsm_site.dashboard.check_forms import CheckForm, check_initial, span
from vsm_site.dashboard.lists import CHECKS
from vsm_site.dashboard.places import Place, find_place, in_system, operating, refuse_readers
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 50
URGENCY = [Shown.DOWN, Shown.LATE, Shown.NEW, Shown.UP, Shown.PAUSED]
BARS = {"success": "good", "fail": "bad", "missed": "bad", "start": "open", "log": "skipped"}
BADGES = {"down": "unhealthy", "late": "degraded", "up": "healthy", "new": "unknown", "paused": "unknown"}


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List the checks, those in trouble first; watch another job."""
    if request.method == "POST":
        refuse_readers(place)
        form = CheckForm(request.POST)
        made = _saved(request, form, Check(system=place.system)) if form.is_valid() else None
        if made is not None:
            messages.success(request, gettext("{name} waits for its first ping.").format(name=made.name))
            return redirect(f"/dashboard/checks/{made.pk}/")
        return _index(request, place, form, status=400)
    return _index(request, place, CheckForm())


@in_system
def detail(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show one check: how it stands, what was heard, how a job says that it ran; change it."""
    check = get_object_or_404(Check.objects.select_related("system"), pk=pk, system__in=place.systems)
    place = find_place(request.user, check.system.slug) or place
    form = CheckForm(request.POST or None, initial=check_initial(check))
    if request.method == "POST":
        refuse_readers(place)
        if form.is_valid() and _saved(request, form, check) is not None:
            messages.success(request, gettext("{name} is saved.").format(name=check.name))
            return redirect(f"/dashboard/checks/{pk}/")
        check = Check.objects.select_related("system").get(pk=pk)
    rows = Paginator(check.history.all(), PAGE_SIZE).get_page(request.GET.get("page"))
    return page(
        request, place, "dashboard/check.html", check=check, row=_row(check, queries.strips([check])[check.pk]),
        form=form, rows=rows, parameters=parameters_without(request, "page"),
        url=queries.ping_url(check) if place.may_operate else "", status=400 if form.is_bound else 200,
    )  # fmt: skip


@operating
def pause(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Wait for nothing for now, or again."""
    check = get_object_or_404(Check, pk=pk, system=place.system)
    on = request.POST.get("enabled") == "1"
    services.save_check(check, person(request), now=timezone.now(), enabled=on)
    told = gettext("{name} waits for its next ping.") if on else gettext("{name} is paused.")
    messages.success(request, told.format(name=check.name))
    return redirect(f"/dashboard/checks/{pk}/{place.query}")


@operating
def delete(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Delete a check with its history."""
    check = get_object_or_404(Check, pk=pk, system=place.system)
    services.delete_check(check, person(request), now=timezone.now())
    messages.success(request, gettext("{name} is gone.").format(name=check.name))
    return redirect(f"/dashboard/checks/{place.query}")


def _index(request: HttpRequest, place: Place, form: CheckForm, *, status: int = 200) -> HttpResponse:
    now = timezone.now()
    table = CHECKS.read(request)
    checks = list(table.ordered(Check.objects.filter(system=place.system).select_related("system")))
    if not table.sort:
        checks.sort(key=lambda check: URGENCY.index(queries.shown_as(check, now=now)))  # stable: by name within
    shown = Paginator(checks, PAGE_SIZE).get_page(request.GET.get("page"))
    strips = queries.strips(shown.object_list)
    return page(
        request, place, "dashboard/checks.html", form=form, rows=shown, parameters=parameters_without(request, "page"),
        listed=[_row(check, strips[check.pk]) for check in shown],
        status=400 if table.mistakes else status, table=table,
        heartbeat=beating.body(now=now) if place.system.slug == ROOT_SLUG else None,
    )  # fmt: skip


def _row(check: Check, strip: list[Ping]) -> dict[str, Any]:
    state = queries.shown_as(check, now=timezone.now())
    when = (
        f"{check.crontab} {check.time_zone}"
        if check.crontab
        else gettext("every {duration}").format(duration=duration_text(check.every_seconds or 0))
    )
    bars = [{"x": 6 * at, "class": BARS[each.kind], "words": _words(each)} for at, each in enumerate(strip)]
    return {
        "check": check, "state": str(state), "badge": BADGES[state], "when": when, "bars": bars,
        "grace": duration_text(check.grace_seconds), "took": span(check.duration_seconds),
        "running": check.started_at is not None,
    }  # fmt: skip


def _words(ping: Ping) -> str:
    code = f", exit code {ping.exit_code}" if ping.exit_code is not None else ""
    took = f", took {span(ping.duration_seconds)}" if ping.duration_seconds is not None else ""
    return f"{ping.at:%Y-%m-%d %H:%M:%S} {ping.get_kind_display()}{code}{took}"


def _saved(request: HttpRequest, form: CheckForm, check: Check) -> Check | None:
    try:
        return services.save_check(check, person(request), now=timezone.now(), **form.fields_given())
    except Refused as error:
        form.take(error)
        return None
