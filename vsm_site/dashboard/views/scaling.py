"""The auto-scaler: which queues are scaled, what was decided and why, and a policy tried before it is switched on."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from subsystems.kernel.errors import Refused
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.launching.models import Launcher
from subsystems.s3_control.models import Recommendation
from subsystems.s3_control.scaling import queries, services
from subsystems.s3_control.scaling.columns import load_of, read_text
from subsystems.s3_control.scaling.gathering import AUTHOR
from subsystems.s3_control.scaling.models import ScalingPolicy
from vsm_site.dashboard import trials
from vsm_site.dashboard.places import Place, in_system, operating, refuse_readers
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.scaling_forms import HOURS, LoadForm, NewScalingForm, ScalingForm
from vsm_site.dashboard.views.pages import page

SHOWN = 20


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List which queues are scaled; a POST adds one."""
    fleets = Fleet.objects.filter(system=place.system, own=False)
    form = NewScalingForm(fleets, request.POST or None)
    if request.method == "POST":
        refuse_readers(place)
        if form.is_valid():
            given = dict(form.cleaned_data)
            try:
                row = services.save_policy(given.pop("fleet"), given, by=person(request).get_username())
            except Refused as error:
                form.take(error)
            else:
                return redirect(f"{reverse('dashboard:scaling-policy', args=[row.pk])}{place.query}")
    return page(
        request,
        place,
        "dashboard/scaling.html",
        status=400 if form.errors else 200,
        policies=ScalingPolicy.objects.filter(system=place.system).select_related("fleet"),
        form=form,
        has_fleets=fleets.exists(),
    )


@in_system
def detail(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show one policy, what was decided last, and what it would have done; a POST changes it."""
    row = get_object_or_404(ScalingPolicy.objects.select_related("fleet"), pk=pk, system=place.system)
    form = ScalingForm(request.POST or None, instance=row)
    if request.method == "POST":
        refuse_readers(place)
        if form.is_valid():
            try:
                services.save_policy(row.fleet, form.settings(), by=person(request).get_username(), policy=row)
            except Refused as error:
                form.take(error)
            else:
                return redirect(f"{reverse('dashboard:scaling-policy', args=[row.pk])}{place.query}")
    return _shown(request, place, row.pk, form, LoadForm(), **_tried(request, row))


@in_system
@require_POST
def rehearse(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Try a policy on a load that was pasted or uploaded; nothing is done, so whoever may look may try."""
    row = get_object_or_404(ScalingPolicy.objects.select_related("fleet"), pk=pk, system=place.system)
    given, told = LoadForm(request.POST, request.FILES), {}
    if given.is_valid():
        try:
            told = _pictured(queries.trial_of(row, load_of(read_text(given.text()))))
        except Refused as error:
            given.take(error)
    return _shown(request, place, row.pk, ScalingForm(instance=row), given, **told)


def _shown(
    request: HttpRequest, place: Place, pk: int, form: ScalingForm, given: LoadForm, **told: Any
) -> HttpResponse:
    shown = ScalingPolicy.objects.select_related("fleet").get(pk=pk)
    steps = Recommendation.objects.filter(system=place.system, subject=shown.subject, author=AUTHOR)
    return page(
        request,
        place,
        "dashboard/scaling_policy.html",
        status=400 if form.errors or given.errors else 200,
        policy=shown,
        form=form,
        load_form=given,
        recommendations=steps[:SHOWN],
        hours=HOURS,
        launchers=[
            row for row in Launcher.objects.filter(fleet=shown.fleet, enabled=True) if shown.queue in row.queues
        ],
        **told,
    )


def _tried(request: HttpRequest, row: ScalingPolicy) -> dict[str, Any]:
    """Return what the policy would have done with the load of the asked hours, if any were asked for."""
    chosen = request.GET.get("hours", "")
    if chosen not in dict(HOURS):
        return {}
    try:
        found = queries.trial(row, hours=float(chosen), now=timezone.now())
    except Refused as error:
        return {"chosen": chosen, "trouble": error.detail}
    return {"chosen": chosen, **_pictured(found)}


def _pictured(found: queries.Trials) -> dict[str, Any]:
    return {**found._asdict(), "lines": trials.lines(found.damped, found.bare)}


@operating
def drop(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Scale a queue no more."""
    row = get_object_or_404(ScalingPolicy.objects.select_related("fleet"), pk=pk, system=place.system)
    services.drop_policy(row, by=person(request).get_username())
    return redirect(f"{reverse('dashboard:scaling')}{place.query}")
