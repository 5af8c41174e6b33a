"""One unit: its charts, its troubles, and what may be done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext

from alerts.models import Alert
from subsystems.fleets.worker_queries import WORKER, node_of
from subsystems.kernel.errors import Refused
from subsystems.s1_operations import services
from subsystems.s1_operations.models import Unit
from subsystems.s1_operations.queries import unit_body
from subsystems.s3_control import handing_over
from subsystems.s3_control.launching.queries import launcher_of
from vsm_site.dashboard import queries, time_ranges
from vsm_site.dashboard.alert_forms import QuietForm
from vsm_site.dashboard.forms import HttpUnitForm
from vsm_site.dashboard.lists import UNITS
from vsm_site.dashboard.places import Place, find_place, in_system, operating
from vsm_site.dashboard.reach import reach_of
from vsm_site.dashboard.unit_forms import UnitFilter
from vsm_site.dashboard.views import fleets
from vsm_site.dashboard.views.pages import page, parameters_without

PAGE_SIZE = 50


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List the units; the page follows what becomes of them."""
    wanted, table = UnitFilter(request.GET, place), UNITS.read(request)
    found = Unit.objects.none()
    if wanted.is_valid():
        reach = reach_of(request, place, wanted.of).condition()
        found = table.ordered(wanted.narrowed(Unit.objects.filter(reach).select_related("fleet")))
    shown: dict[str, Any] = {
        "table": table, "rows": Paginator(found, PAGE_SIZE).get_page(request.GET.get("page")),
        "parameters": parameters_without(request, "page"),
    }  # fmt: skip
    if request.headers.get("X-Part") == "rows":
        return render(request, "dashboard/_unit_rows.html", {"place": place, **shown})
    status = 400 if table.mistakes or not wanted.is_valid() else 200
    return page(request, place, "dashboard/units.html", status=status, filter=wanted, **shown)


@in_system
def detail(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show one unit."""
    unit = get_object_or_404(Unit.objects.select_related("fleet", "system"), pk=pk, system__in=place.systems)
    place = find_place(request.user, unit.system.slug) or place
    return page(
        request,
        place,
        "dashboard/unit.html",
        unit=unit,
        metrics=queries.unit_metrics(unit),
        failures=unit.collection_failures.all()[:20],
        alerts=Alert.objects.filter(unit=unit)[:20],
        quiet=QuietForm(auto_id="quiet-%s"),
        launcher=launcher_of(unit.fleet, node_of(unit)) if unit.kind == WORKER and unit.fleet else None,
        left=[each for _, each in handing_over.left_by([unit])] if handing_over.is_lost(unit) else None,
        script={"unit": unit_body(unit), "metrics": queries.unit_metrics(unit), **time_ranges.script(usual="15m")},
    )


@operating
def add(request: HttpRequest, place: Place) -> HttpResponse:
    """Watch one HTTP service."""
    form = HttpUnitForm(request.POST)
    if form.is_valid():
        try:
            unit = services.add_unit(place.system, "http", form.cleaned_data["name"], form.config())
        except Refused as error:
            form.take(error)
        else:
            messages.success(request, gettext("{name} is watched from now on.").format(name=unit.name))
            return redirect(f"/dashboard/units/{unit.pk}/")
    return fleets.shown(request, place, unit_form=form, status=400)


@operating
def pause(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Stop collecting a unit for now."""
    return _change(request, place, pk, services.pause_unit, "{} is paused: it is not collected until it is resumed.")


@operating
def resume(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Collect a paused unit again."""
    return _change(request, place, pk, services.resume_unit, "{} is collected again.")


@operating
def forget(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Stop watching a unit for good."""
    _change(request, place, pk, services.forget_unit, "{} is not watched any more.")
    return redirect(f"/dashboard/{place.query}")


def _change(request: HttpRequest, place: Place, pk: int, verb: Callable[[Unit], Any], sentence: str) -> HttpResponse:
    unit = get_object_or_404(Unit, pk=pk, system=place.system)
    try:
        verb(unit)
        messages.success(request, sentence.format(unit.name))
    except Refused as error:
        messages.error(request, error.detail)
    return redirect(f"/dashboard/units/{pk}/{place.query}")
