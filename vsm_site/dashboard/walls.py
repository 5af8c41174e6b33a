"""Wall screens: pages that nobody sits at, and the saved views that one goes through."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict

from vsm_site.dashboard import saved_views
from vsm_site.dashboard.models import SavedView
from vsm_site.dashboard.places import Place
from vsm_site.dashboard.reach import person

SHORTEST, USUAL, LONGEST = 10, 30, 3600  # seconds that a view stays
MOST = 20  # views of a round
PREFIX = "wall"  # of the parameters that are about the screen, not about what it shows
DIGITS = 18  # that fit a database's column whatever they are


def wall_of(request: HttpRequest, place: Place) -> dict[str, Any] | None:
    """Return what the script of a wall screen needs; None on a page that somebody sits at."""
    given = request.GET
    if given.get("wall") != "1":
        return None
    views = _views(request, place, given.getlist("wall-view"))
    every, at = _number(given.get("wall-every", ""), USUAL), _number(given.get("wall-at", ""), 0)
    return {
        "every": min(max(every, SHORTEST), LONGEST),
        "next": address_of(views, (at + 1) % len(views), every, place) if len(views) > 1 else "",
        "leave": without(request.path, given),
    }


def chosen(request: HttpRequest, place: Place) -> str:
    """Return where the round of the views that were chosen begins; empty when none was."""
    views = _views(request, place, request.GET.getlist("wall-view"))
    return address_of(views, 0, _number(request.GET.get("wall-every", ""), USUAL), place) if views else ""


def address_of(views: list[SavedView], at: int, every: int, place: Place) -> str:
    """Return the address of one view of a round, which leads to the next by itself."""
    address = saved_views.address(views[at], with_system=len(place.systems) > 1)
    round_ = [("wall", 1), ("wall-every", every), *(("wall-view", view.pk) for view in views), ("wall-at", at)]
    return f"{address}{'&' if '?' in address else '?'}{urlencode(round_)}"


def without(path: str, given: QueryDict) -> str:
    """Return the address of the same page for somebody who sits at it."""
    rest = [(name, value) for name, values in given.lists() if not name.startswith(PREFIX) for value in values]
    return f"{path}?{urlencode(rest)}" if rest else path


def _views(request: HttpRequest, place: Place, wanted: list[str]) -> list[SavedView]:
    """Return those of the views that the reader may see, in the order they were asked for."""
    ids = [int(text) for text in wanted[:MOST] if text.isdecimal() and len(text) <= DIGITS]
    if not ids:
        return []
    found = saved_views.visible(person(request), place.systems).in_bulk(ids)
    return [found[pk] for pk in ids if pk in found]


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() and len(text) <= DIGITS else otherwise
