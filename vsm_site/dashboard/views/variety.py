"""How varied a system is: what is asked of it, what it answers, what is decided about it."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect

from subsystems.kernel.errors import Refused
from subsystems.variety.queries import policy, variety_body
from subsystems.variety.services import judge_by
from vsm_site.dashboard import queries
from vsm_site.dashboard.places import Place, in_system, refuse_readers
from vsm_site.dashboard.variety_forms import PolicyForm
from vsm_site.dashboard.views.overview import RANGES
from vsm_site.dashboard.views.pages import page


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show the three-way panel, live, and what it is judged by; change that."""
    if request.method != "POST":
        return _shown(request, place, PolicyForm(policy(place.system)))
    refuse_readers(place)
    form = PolicyForm(policy(place.system), request.POST)
    if form.is_valid():
        try:
            judge_by(place.system, form.wanted(), actor=request.user.get_username())
        except Refused as error:
            form.take(error)
        else:
            messages.success(request, "The next reading is judged by this.")
            return redirect(f"/dashboard/variety/{place.query}")
    return _shown(request, place, form, status=400)


def _shown(request: HttpRequest, place: Place, form: PolicyForm, *, status: int = 200) -> HttpResponse:
    return page(
        request,
        place,
        "dashboard/variety.html",
        status=status,
        ranges=list(RANGES),
        form=form,
        script={"variety": variety_body(place.system)},
    )


@in_system
def history(request: HttpRequest, place: Place) -> HttpResponse:
    """Answer the three varieties over a range."""
    seconds = RANGES.get(request.GET.get("range", "1h"))
    if seconds is None:
        raise Http404("There is no such history.")
    return JsonResponse(queries.variety_history(place.system, seconds))
