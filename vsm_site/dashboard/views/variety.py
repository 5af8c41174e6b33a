"""How varied a system is: what is asked of it, what it answers, what is decided about it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from subsystems.kernel.errors import Invalid
from subsystems.variety.queries import variety_body
from vsm_site.dashboard import queries, time_ranges
from vsm_site.dashboard.places import Place, in_system
from vsm_site.dashboard.time_ranges import read_span
from vsm_site.dashboard.views.pages import page


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show the three-way panel, live."""
    script = {"variety": variety_body(place.system), **time_ranges.script()}
    return page(request, place, "dashboard/variety.html", script=script)


@in_system
def history(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer the three varieties over a range."""
    try:
        span = read_span(request.GET.dict())
    except Invalid as error:
        return JsonResponse({"detail": error.detail, "field": error.field}, status=400)
    return JsonResponse(queries.variety_history(place.system, span.start, span.end))
