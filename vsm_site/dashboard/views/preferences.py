"""What whoever is logged in prefers: the page of it, and the two that are changed in passing."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from vsm_site.dashboard import people, saved_views, zones
from vsm_site.dashboard.models import Preferences
from vsm_site.dashboard.places import Place, in_system
from vsm_site.dashboard.preference_forms import PreferencesForm
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.views.pages import page

BEFORE = "preferences_before"  # in the session: what the last change replaced


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """Show and change what you prefer."""
    by = person(request)
    form = PreferencesForm(by, place.systems, people.preferences_of(by), request.POST or None)
    if form.is_valid():
        request.session[BEFORE] = people.keep(by, **form.given())
        messages.success(request, _("Kept."))
        return redirect(f"{reverse('dashboard:preferences')}{place.query}")
    return page(
        request, place, "dashboard/preferences.html", status=400 if form.is_bound else 200, form=form,
        undoable=BEFORE in request.session, zones=zones.names(),
    )  # fmt: skip


@require_POST
@in_system
def take_back(request: HttpRequest, place: Place) -> HttpResponse:
    """Prefer again what was preferred before the last change."""
    before: dict[str, Any] | None = request.session.pop(BEFORE, None)
    if before:
        known = saved_views.visible(person(request), place.systems).filter(pk=before["first_view_id"]).exists()
        people.keep(person(request), **{**before, "first_view_id": before["first_view_id"] if known else None})
        messages.success(request, _("It is as it was before."))
    return redirect(f"{reverse('dashboard:preferences')}{place.query}")


@require_POST
@login_required
def keep(request: HttpRequest) -> HttpResponse:
    """Keep what a button of the frame has changed: the theme, or whether single keys work."""
    given: dict[str, Any] = {}
    if (theme := request.POST.get("theme")) is not None:
        if theme not in Preferences.Theme.values:
            return JsonResponse({"detail": _("There is no such theme.")}, status=400)
        given["theme"] = theme
    if "single_keys" in request.POST:
        given["single_keys"] = request.POST["single_keys"] == "on"
    people.keep(person(request), **given)
    return JsonResponse({})


def first_page(request: HttpRequest, place: Place) -> str:
    """Return the address that opens instead of the bare overview; empty where that is what is wanted."""
    chosen = people.preferences_of(request.user).first_view_id
    if request.GET or not chosen:
        return ""
    view = saved_views.visible(person(request), place.systems).filter(pk=chosen).first()
    address = saved_views.address(view, with_system=len(place.systems) > 1) if view else ""
    return "" if address == request.path else address
