"""Which systems a request is about, and views that never show another tenant's objects."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import ApiToken, System
from subsystems.recursion.queries import ROOT_SLUG, Principal, systems_for
from vsm_site.api.permissions import caller, scope_of

Row = TypeVar("Row", bound=Model)


def choose_system(user: Principal, token: ApiToken | None, scope: str, slug: object = None) -> System:
    """Return the system of *slug*; without one the token's, the root, or the only one where *scope* is held.

    Raises Invalid (field `system`) when there is no such system for this caller, or more than one could be meant.
    """
    systems = systems_for(user, scope, token)
    if slug is not None:
        # A database refuses to compare with NUL.
        found = systems.filter(slug=slug).first() if isinstance(slug, str) and "\0" not in slug else None
        if found is None:
            raise Invalid(f"You hold the scope {scope!r} in no system of this name.", field="system")
        return found
    if token is not None and token.system is not None:
        return token.system
    candidates = list(systems.filter(slug=ROOT_SLUG)) or list(systems[:2])
    if len(candidates) != 1:
        raise Invalid("Name the system that is meant.", field="system", code="required")
    return candidates[0]


def requested_system(request: Request, scope: str = "read") -> System:
    """Return the system that the parameter `system` names, or the one that goes without saying."""
    user, token = caller(request)
    return choose_system(user, token, scope, request.query_params.get("system"))


class InSystems(GenericViewSet[Row], Generic[Row]):
    """Objects of the systems in which the caller holds the scope of the method.

    An object that may be read but not changed answers 403; one of another system does not exist: 404.
    """

    def get_queryset(self) -> QuerySet[Row]:
        return self.held(scope_of(self, self.request.method))

    def held(self, scope: str) -> QuerySet[Row]:
        """Return the rows of the systems in which the caller holds *scope*."""
        user, token = caller(self.request)
        return super().get_queryset().filter(system__in=systems_for(user, scope, token))

    def get_object(self) -> Row:
        try:
            return super().get_object()
        except Http404:
            if self.request.method not in SAFE_METHODS and self._may_read():
                raise PermissionDenied("You may see this, but not change it.") from None
            raise

    def _may_read(self) -> bool:
        key: Any = self.kwargs[self.lookup_url_kwarg or self.lookup_field]
        return self.held("read").filter(**{self.lookup_field: key}).exists()


def operated_system(request: Request, given: System | None) -> System:
    """Return the system that something is to be made in. Raises Invalid when the caller may not operate it."""
    user, token = caller(request)
    return choose_system(user, token, "operate", None if given is None else given.slug)


def require_root_admin(request: Request) -> None:
    """Raise PermissionDenied unless the caller administers the root system, and with it the whole platform."""
    user, token = caller(request)
    if not systems_for(user, "admin", token).filter(slug=ROOT_SLUG).exists():
        raise PermissionDenied("This needs the scope 'admin' in the root system.")
