"""The overview, and one page per subsystem or system."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse

from subsystems.health.queries import viability_body
from subsystems.kernel.words import TITLES, Subsystem
from vsm_site.dashboard import queries
from vsm_site.dashboard.places import Place, find_place, in_system
from vsm_site.dashboard.views.pages import page

MAX_SPARKLINES = 100
LONGEST_ID = 18  # digits that fit a database's column whatever they are
RANGES = {"1h": 3600, "6h": 6 * 3600, "24h": 86400, "7d": 7 * 86400}


@in_system
def overview(request: HttpRequest, place: Place) -> HttpResponse:
    """Show the whole system, live."""
    return page(request, place, "dashboard/overview.html")


@in_system
def system_detail(request: HttpRequest, place: Place, slug: str) -> HttpResponse:
    """Show one of S1-S5 of the current system, or (by its own slug) a whole system."""
    if slug not in set(Subsystem):
        place = find_place(request.user, slug) or place
    subsystem = slug if slug in set(Subsystem) else ""
    title = f"{slug.upper()} {TITLES[Subsystem(slug)]}" if subsystem else place.system.name
    return page(
        request,
        place,
        "dashboard/system.html",
        title=title,
        subsystem=subsystem,
        ranges=list(RANGES),
        viability=viability_body(place.system),
        script={"subsystem": subsystem},
    )


@in_system
def history(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer the scores of a subsystem, or of the whole, over a range."""
    subsystem, seconds = request.GET.get("subsystem", ""), RANGES.get(request.GET.get("range", "1h"))
    if seconds is None or (subsystem and subsystem not in set(Subsystem)):
        raise Http404("There is no such history.")
    return JsonResponse(queries.history(place.system, subsystem, seconds))


@in_system
def sparklines(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer the last 15 minutes of the key metric of each unit asked for."""
    wanted = request.GET.getlist("unit")[:MAX_SPARKLINES]
    ids = [int(text) for text in wanted if text.isdecimal() and len(text) <= LONGEST_ID]
    return JsonResponse(queries.unit_sparklines(place.system, ids))
