"""The search: as a page of its own, and as data for the dialog that every page has."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import patch_vary_headers

from vsm_site.dashboard.places import Place, in_system
from vsm_site.dashboard.reach import person, whole_reach
from vsm_site.dashboard.search import LEAST_OF_ID, NEWEST_ALERTS, SHOWN, search
from vsm_site.dashboard.views.pages import page


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show what was found, or answer it as JSON to who accepts nothing else."""
    text = request.GET.get("q", "")
    found = search(text, place, whole_reach(request, place), person(request))
    answer: HttpResponse
    if request.headers.get("Accept") == "application/json":
        answer = JsonResponse({"groups": [group.to_wire() for group in found]})
    else:
        limits = {"shown": SHOWN, "least": LEAST_OF_ID, "newest": NEWEST_ALERTS}
        answer = page(request, place, "dashboard/search.html", text=text.replace("\0", ""), found=found, limits=limits)
    patch_vary_headers(answer, ["Accept"])
    return answer
