"""Fleets: the Celery applications that are watched."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext

from subsystems.fleets import queries
from subsystems.fleets import services as history
from subsystems.kernel.errors import Refused
from subsystems.s1_operations import services
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.queries import fleet_body
from vsm_site.dashboard.forms import FleetForm, HttpUnitForm
from vsm_site.dashboard.history_rules_form import HistoryRulesForm
from vsm_site.dashboard.places import Place, in_system, operating, refuse_readers
from vsm_site.dashboard.views.pages import page

SPELLS_OF, SHOWN_SPELLS = timedelta(days=7), 20


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List the fleets; watch another one."""
    if request.method != "POST":
        return shown(request, place)
    refuse_readers(place)
    form = FleetForm(request.POST)
    if form.is_valid():
        try:
            fleet = services.watch_fleet(place.system, form.cleaned_data["url"], name=form.cleaned_data["name"])
        except Refused as error:
            form.take(error)
        else:
            messages.success(
                request,
                gettext("{name} is watched: its workers and queues appear by themselves.").format(name=fleet.name),
            )
            return redirect(f"/dashboard/fleets/{place.query}")
    return shown(request, place, fleet_form=form, status=400)


@operating
def forget(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Stop watching a fleet."""
    fleet = get_object_or_404(Fleet, pk=pk, system=place.system)
    try:
        services.forget_fleet(fleet)
        messages.success(request, gettext("{name} is not watched any more.").format(name=fleet.name))
    except Refused as error:
        messages.error(request, error.detail)
    return redirect(f"/dashboard/fleets/{place.query}")


@in_system
def history_rules(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show and change what of a fleet's tasks is kept, what is hidden, and where its results are."""
    refuse_readers(place)
    fleet = get_object_or_404(Fleet.objects.select_related("listening", "history_rules"), pk=pk, system=place.system)
    rules = fleet.history_rules if hasattr(fleet, "history_rules") else history.default_rules(fleet)
    form = HistoryRulesForm(rules, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            history.set_rules(fleet, **form.wanted())
        except Refused as error:
            form.take(error)
        else:
            messages.success(
                request, gettext("The history of {name} is kept by this from now on.").format(name=fleet.name)
            )
            return redirect(f"/dashboard/fleets/{place.query}")
    status = 400 if form.errors else 200
    return page(request, place, "dashboard/history_rules.html", status=status, fleet=fleet, rules=rules, form=form)


def shown(
    request: HttpRequest,
    place: Place,
    *,
    fleet_form: FleetForm | None = None,
    unit_form: HttpUnitForm | None = None,
    status: int = 200,
) -> HttpResponse:
    """Show the page with both forms, as they are or as they were refused."""
    rows = list(Fleet.objects.filter(system=place.system).select_related("listening", "history_rules"))
    now = timezone.now()
    fleets = [{**fleet_body(fleet), "hearing": queries.hearing_body(fleet, now=now)} for fleet in rows]
    spells = queries.blind_spells([fleet.pk for fleet in rows], since=timezone.now() - SPELLS_OF)
    return page(
        request,
        place,
        "dashboard/fleets.html",
        status=status,
        fleets=fleets,
        spells=spells[:SHOWN_SPELLS],
        fleet_form=fleet_form or FleetForm(),
        unit_form=unit_form or HttpUnitForm(),
    )
