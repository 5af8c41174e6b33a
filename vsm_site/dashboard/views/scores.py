"""The scores explained, and emergencies with what was to be done."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext

from subsystems.health.queries import scores_body, viability_body
from subsystems.kernel.errors import Refused
from subsystems.s5_policy import queries, responding
from subsystems.s5_policy.models import Emergency
from vsm_site.dashboard.places import Place, in_system, operating
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page, parameters_without
from vsm_site.dashboard.words import TITLES

PAGE_SIZE = 20


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Explain every score: what it means, its value or why it is unknown, what it was made from."""
    body = scores_body(place.system)
    viability = viability_body(place.system)
    titles = {"overall": gettext("The whole"), **{str(key): f"{key.upper()} {title}" for key, title in TITLES.items()}}
    explained = [{**each, "parts": list(each["inputs"].items())} for each in body["scores"]]
    cards = [
        {
            "card": card, "title": title, "vital": viability["subsystems"].get(card),
            "scores": [each for each in explained if each["card"] == card],
        }
        for card, title in titles.items()
    ]  # fmt: skip
    return page(request, place, "dashboard/scores.html", cards=cards, at=body["at"], viability=viability)


@in_system
def emergencies(request: HttpRequest, place: Place) -> HttpResponse:
    """List when the whole was unhealthy, with what S5 advised and who has done it."""
    found = Emergency.objects.filter(system=place.system)
    rows = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    return page(
        request, place, "dashboard/emergencies.html", tab="emergencies", rows=rows,
        parameters=parameters_without(request, "page"), policy=queries.emergency_policy(place.system),
    )  # fmt: skip


@operating
def tick(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Mark a line of a checklist as done, or take that back."""
    row = get_object_or_404(Emergency, pk=pk, system=place.system)
    number = request.POST.get("number", "")
    at = int(number) if number.isdecimal() and len(number) < 5 else -1
    try:
        responding.tick(row, at, by=person(request), done=request.POST.get("done") == "1", now=timezone.now())
    except Refused as error:
        messages.error(request, error.detail)
    return redirect(f"/dashboard/policy/emergencies/{place.query}")
