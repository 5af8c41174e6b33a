"""Which systems a list is about: the one its reader is in, another of theirs, or all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest

from subsystems.recursion.queries import ROOT_SLUG, systems_for
from vsm_site.dashboard.places import Place

EVERYWHERE = "*"


@dataclass(frozen=True)
class Reach:
    """Systems by id; with *nowhere*, what is of no system, too: the platform's own, which superusers see.

    *everything* needs no ids: it holds what is of systems that are gone, too.
    """

    system_ids: frozenset[int]
    nowhere: bool = False
    everything: bool = False

    def condition(self, field: str = "system_id") -> Q:
        """Return the condition for rows whose *field* is the id of a system."""
        if self.everything:
            return Q()
        held = Q(**{f"{field}__in": self.system_ids})
        return held | Q(**{f"{field}__isnull": True}) if self.nowhere else held

    def holds(self, system_id: int | None) -> bool:
        """Return whether what is of this system (or of none) is within."""
        return self.everything or (self.nowhere if system_id is None else system_id in self.system_ids)


def choices(place: Place) -> list[tuple[str, str]]:
    """Return what may be chosen from *place*; a single choice is none, and need not be shown."""
    others = [(system.slug, system.name) for system in place.systems if system != place.system]
    return [("", place.system.name), (EVERYWHERE, "All my systems"), *others] if others else []


def reach_of(request: HttpRequest, place: Place, chosen: str = "") -> Reach:
    """Return what *chosen*, one of the choices, means for whoever asks."""
    superuser = _is_superuser(request)
    if chosen == EVERYWHERE:
        return Reach(frozenset(system.pk for system in place.systems), everything=superuser)
    slug = chosen or place.system.slug
    ids = frozenset(system.pk for system in place.systems if system.slug == slug)
    return Reach(ids, nowhere=superuser and slug == ROOT_SLUG)


def whole_reach(request: HttpRequest, place: Place) -> Reach:
    """Return all that whoever asks may see: what belongs together may go through several systems."""
    return reach_of(request, place, EVERYWHERE)


def operated(request: HttpRequest) -> Reach:
    """Return where whoever asks may act."""
    if _is_superuser(request):
        return Reach(frozenset(), everything=True)
    return Reach(frozenset(systems_for(request.user, "operate").values_list("pk", flat=True)))


def person(request: HttpRequest) -> User:
    """Return who asks, where nobody gets who is not logged in."""
    assert isinstance(request.user, User)
    return request.user


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
