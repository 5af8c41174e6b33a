"""One unit: its charts, its troubles, and what may be done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from alerts.models import Alert
from subsystems.kernel.errors import Refused
from subsystems.s1_operations import services
from subsystems.s1_operations.models import Unit
from subsystems.s1_operations.queries import unit_body
from vsm_site.dashboard import queries
from vsm_site.dashboard.alert_forms import QuietForm
from vsm_site.dashboard.forms import HttpUnitForm
from vsm_site.dashboard.places import Place, find_place, in_system, operating
from vsm_site.dashboard.views import fleets
from vsm_site.dashboard.views.pages import page

RANGES = {"15m": 900, "1h": 3600, "6h": 6 * 3600, "24h": 86400}


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
        ranges=RANGES,
        metrics=queries.unit_metrics(unit),
        failures=unit.collection_failures.all()[:20],
        alerts=Alert.objects.filter(unit=unit)[:20],
        quiet=QuietForm(auto_id="quiet-%s"),
        script={"unit": unit_body(unit), "metrics": queries.unit_metrics(unit), "ranges": RANGES},
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
            messages.success(request, f"{unit.name} is watched from now on.")
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
