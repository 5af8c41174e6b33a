"""Keeping which columns of a table a person wants to see."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import Resolver404, resolve
from django.views.decorators.http import require_POST

from vsm_site.dashboard import tables
from vsm_site.dashboard.lists import TABLES
from vsm_site.dashboard.places import Place, in_system
from vsm_site.dashboard.reach import person


@require_POST
@in_system
def keep(request: HttpRequest, place: Place, name: str) -> HttpResponse:
    """Keep the columns that were ticked, and go back to the page: its address then says them too, for saved views."""
    if name not in TABLES:
        raise Http404("There is no such table.")
    path, query = _page_of(request)
    if "usual" in request.POST:
        names = tables.forget(person(request), TABLES[name])
    else:
        names = tables.keep(person(request), TABLES[name], request.POST.getlist("column"))
    return redirect(path + tables.address(query, columns=",".join(names)))


def _page_of(request: HttpRequest) -> tuple[str, QueryDict]:
    """Return path and query of the page that the form was on; Http404 for what is no page of the dashboard."""
    try:
        parts = urlsplit(request.POST.get("of", ""))
        match = resolve(parts.path)
    except (Resolver404, ValueError):
        raise Http404("There is no such page.") from None
    if parts.scheme or parts.netloc or match.namespace != "dashboard":
        raise Http404("There is no such page.")
    return parts.path, QueryDict(parts.query)
