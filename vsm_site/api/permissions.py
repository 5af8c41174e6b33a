"""What a caller may do: one scope per method, held somewhere; the object's own system is checked by the view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser, User
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from subsystems.recursion.models import ApiToken
from subsystems.recursion.queries import holds

if TYPE_CHECKING:  # the framework loads this module while it loads its own views
    from rest_framework.views import APIView


def scope_of(view: object, method: str | None) -> str:
    """Return the scope that *method* needs: from the view's `scopes`, else read for safe methods and operate."""
    named: dict[str, str] = getattr(view, "scopes", {})
    return named.get(method or "GET") or ("read" if method in SAFE_METHODS else "operate")


def person(request: Request) -> User:
    """Return who asks, where the permissions have let only people in who are known."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


def caller(request: Request) -> tuple[User | AnonymousUser, ApiToken | None]:
    """Return who asks and the token they came with."""
    return request.user, request.auth if isinstance(request.auth, ApiToken) else None


class HasScope(BasePermission):
    """The caller holds the scope of this method in some system at all."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        user, token = caller(request)
        scope = scope_of(view, request.method)
        self.message = f"This needs the scope {scope!r}, which {'this token does' if token else 'you do'} not hold."
        return bool(user.is_authenticated) and holds(user, scope, token)


class InPerson(BasePermission):
    """The caller came with a password or a session: a token must not make tokens."""

    message = "Tokens are managed with a name and a password or from the pages, not with a token."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.user and request.user.is_authenticated) and request.auth is None
