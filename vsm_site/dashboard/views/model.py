"""The diagram of the model on a page of its own, and what it shows beside the live numbers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from vsm_site.dashboard.model_queries import IN_SIGHT, line_of, model_body
from vsm_site.dashboard.places import Place, in_system
from vsm_site.dashboard.views.pages import page


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show Beer's diagram of the system, live, as large as the window."""
    body = model_body(place, now=timezone.now())
    return page(request, place, "dashboard/model.html", line=line_of(place), script={"model": body, "view": IN_SIGHT})


@in_system
def facts(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer what the diagram shows beside the live numbers; a page asks again after each assessment."""
    return JsonResponse(model_body(place, now=timezone.now()))
