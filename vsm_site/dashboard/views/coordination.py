"""S2: what swings and what damps it, who is in whose way, how fair and how quick coordination is."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext

from subsystems.kernel.errors import Refused
from subsystems.s2_coordination import damping
from subsystems.s2_coordination.models import Damper
from subsystems.s2_coordination.monitor import queries
from subsystems.s2_coordination.monitor.models import CoordinationFinding
from vsm_site.dashboard.journeys import pretty
from vsm_site.dashboard.places import Place, in_system, operating
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.swings import picture
from vsm_site.dashboard.views.pages import page, parameters_without

OVER_PER_PAGE = 20
MOST_OPEN = 100


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show all that S2 knows of a system."""
    found = queries.findings().filter(system=place.system)
    over = Paginator(found.exclude(ended_at=None), OVER_PER_PAGE).get_page(request.GET.get("page"))
    readable = [system.pk for system in place.systems]
    return page(
        request,
        place,
        "dashboard/coordination.html",
        told=queries.coordination_body(place.system, readable=readable, now=timezone.now()),
        open=[_finding(row) for row in found.filter(ended_at=None)[:MOST_OPEN]],
        over=[_finding(row) for row in over],
        rows=over,
        parameters=parameters_without(request, "page"),
        trend=picture({"points_shown": _lags(place), "points_step": 60}),
    )


@operating
def lift(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Let a subject go."""
    row = get_object_or_404(Damper, pk=pk, system=place.system)
    try:
        damping.lift(row, by=person(request), now=timezone.now())
    except Refused as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, gettext("{subject} is free.").format(subject=row.subject))
    return _back(place)


def _lags(place: Place) -> list[float | None]:
    return [reading.body.get("lag_seconds") for reading in queries.trend(place.system)]


def _finding(row: CoordinationFinding) -> dict[str, Any]:
    evidence = {name: value for name, value in row.evidence.items() if not name.startswith("points_")}
    body = queries.finding_body(row)
    return {
        **body,
        "picture": picture(row.evidence),
        "evidence_text": pretty(evidence),
        "label": row.get_kind_display(),
    }


def _back(place: Place) -> HttpResponse:
    return redirect(f"/dashboard/coordination/{place.query}")
