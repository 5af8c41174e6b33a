"""Where in the tree of systems a person is, and what they may do there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from subsystems.recursion.models import System
from subsystems.recursion.queries import ROOT_SLUG, Principal, systems_for
from vsm_site.dashboard.zones import in_their_zone

P = ParamSpec("P")


@dataclass(frozen=True)
class Place:
    """The system a page is about, and the others its reader could go to."""

    system: System
    systems: list[System]
    may_operate: bool

    @property
    def query(self) -> str:
        """Return what keeps the reader in this system when following a link; nothing when there is only one."""
        return "?" + urlencode({"system": self.system.slug}) if len(self.systems) > 1 else ""


def readable_system(user: Principal, slug: str) -> System | None:
    """Return the system *slug* (or the reader's first) if *user* may read it."""
    return _chosen(list(systems_for(user)), slug)


def find_place(user: Principal, slug: str = "") -> Place | None:
    """Return where *user* is. None when they belong nowhere; Http404 for a system that is not theirs."""
    systems = list(systems_for(user))
    if not systems:
        return None
    system = _chosen(systems, slug)
    if system is None:
        raise Http404(f"There is no system {slug!r} that you may see.")
    return Place(system, systems, systems_for(user, "operate").filter(pk=system.pk).exists())


def in_system(
    view: Callable[Concatenate[HttpRequest, Place, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Give a page to those who are logged in, together with the place they are in."""

    @wraps(view)
    def inner(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        place = find_place(request.user, request.GET.get("system", ""))
        if place is None:
            return render(request, "dashboard/no_system.html", status=403)
        return view(request, place, *args, **kwargs)

    return login_required(in_their_zone(inner))


def operating(
    view: Callable[Concatenate[HttpRequest, Place, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Give a verb (POST only) to those who may operate the system they are in."""

    @wraps(view)
    def inner(request: HttpRequest, place: Place, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        refuse_readers(place)
        return view(request, place, *args, **kwargs)

    return require_POST(in_system(inner))


def refuse_readers(place: Place) -> None:
    """Raise PermissionDenied unless the reader may operate here."""
    if not place.may_operate:
        raise PermissionDenied(gettext("You may look at {system}, not change it.").format(system=place.system))


def _chosen(systems: list[System], slug: str) -> System | None:
    wanted = slug or ROOT_SLUG
    found = next((system for system in systems if system.slug == wanted), None)
    return found if found or slug else next(iter(systems), None)
