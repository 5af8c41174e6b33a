"""Explore: any series beside any other, with what happened meanwhile; all of it in the address."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext

from subsystems.kernel.errors import Invalid
from vsm_site.dashboard import exploring, queries, time_ranges
from vsm_site.dashboard.places import Place, in_system
from vsm_site.dashboard.reach import reach_of
from vsm_site.dashboard.time_ranges import read_span
from vsm_site.dashboard.views.pages import page
from vsm_site.dashboard.words import TITLES


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show the page; its script reads the address."""
    scores = [
        ("@viability", gettext("viability")),
        *((f"@{part}", f"{str(part).upper()} {TITLES[part]}") for part in TITLES),
    ]
    own = [*scores, (exploring.EVENTS, gettext("events recorded"))]
    metrics = queries.known_metrics(place.system)
    return page(
        request,
        place,
        "dashboard/explore.html",
        metrics=metrics,
        scores=own,
        functions=exploring.FUNCTIONS,
        script={**time_ranges.script(), "functions": exploring.FUNCTIONS, "scores": dict(own)},
    )


@in_system
def sources(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer which units have a metric."""
    metric, text = (request.GET.get(name, "").replace("\0", "") for name in ("metric", "q"))
    if metric == exploring.EVENTS:
        return JsonResponse({"sources": exploring.event_sorts(reach_of(request, place), text[:200])})
    return JsonResponse({"sources": exploring.sources(place.system, metric, text[:200])})


@in_system
def events(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer how many events of one sort were recorded over a range."""
    try:
        span = read_span(request.GET.dict())
    except Invalid as error:
        return JsonResponse({"detail": error.detail, "field": error.field}, status=400)
    what = request.GET.get("of", "").replace("\0", "")[:130]
    return JsonResponse(exploring.events(reach_of(request, place), what, span.start, span.end))


@in_system
def scores(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer the scores of one part over a range."""
    try:
        span = read_span(request.GET.dict())
        points = exploring.scores(place.system, request.GET.get("part", ""), span.start, span.end)
    except Invalid as error:
        return JsonResponse({"detail": error.detail, "field": error.field}, status=400)
    return JsonResponse({"points": points})


@in_system
def marks(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer what happened within a range."""
    try:
        span = read_span(request.GET.dict())
    except Invalid as error:
        return JsonResponse({"detail": error.detail, "field": error.field}, status=400)
    return JsonResponse(exploring.marks(place.system, span.start, span.end, place.query))
