"""What every page needs around its own content."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from vsm_site.dashboard.key_metrics import KEY_METRICS
from vsm_site.dashboard.navigation import SECTIONS, groups_for
from vsm_site.dashboard.people import preferences_of
from vsm_site.dashboard.places import Place
from vsm_site.dashboard.walls import wall_of
from vsm_site.dashboard.words import TITLES

# Pages that draw units one by one; all others are told of none, only of how many there are.
UNITS_IN_SIGHT = {"dashboard/overview.html", "dashboard/system.html", "dashboard/model.html"}


def page(
    request: HttpRequest,
    place: Place,
    template: str,
    *,
    status: int = 200,
    script: dict[str, Any] | None = None,
    **context: Any,
) -> HttpResponse:
    """Render *template* with the frame it sits in; *script* is handed to its JavaScript as data."""
    match = request.resolver_match
    everything = {
        "place": place,
        "nav": SECTIONS.get(match.url_name or "" if match else "", ""),
        "sidebar": groups_for(place),
        "to_wall": _to_wall(request),
        "home": _home(request, place),
        "flower_url": flower_url(request),
        "config": {
            **_config(request, place),
            "view": {} if template in UNITS_IN_SIGHT else {"units": 0},
            **({"wall": wall} if (wall := wall_of(request, place)) else {}),
            **(script or {}),
        },
        **context,
    }
    return render(request, template, everything, status=status)


def parameters_without(request: HttpRequest, name: str) -> str:
    """Return the parameters of this page, but the one that its links to other pages set themselves."""
    parameters = request.GET.copy()
    parameters.pop(name, None)
    return parameters.urlencode()


def flower_url(request: HttpRequest) -> str:
    """Return where Flower is: on the host by which this page was reached, at its own port; empty when it is off."""
    if not settings.FLOWER_PORT:
        return ""
    host, _, port = request.get_host().rpartition(":")
    name = host if host and port.isdigit() else request.get_host()
    return f"http://{name}:{settings.FLOWER_PORT}/"


def _to_wall(request: HttpRequest) -> str:
    query = request.GET.copy()
    query["wall"] = "1"
    return f"?{query.urlencode()}"


def _home(request: HttpRequest, place: Place) -> str:
    """Return where the overview is, also for who has chosen another first page."""
    query = place.query or ("?view=" if preferences_of(request.user).first_view_id else "")
    return f"{reverse('dashboard:overview')}{query}"


def _config(request: HttpRequest, place: Place) -> dict[str, Any]:
    return {
        "person": request.user.pk,
        "system": place.system.slug,
        "query": place.query,
        "mayOperate": place.may_operate,
        "keyMetrics": KEY_METRICS,
        "titles": {str(key): str(title) for key, title in TITLES.items()},
    }
