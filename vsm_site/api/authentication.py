"""Who is asking: a bearer token, a session, or (only to get a token) a name and a password."""

from __future__ import annotations

import base64
import binascii

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from subsystems.recursion.models import ApiToken
from subsystems.recursion.services import find_token

MAX_SECRET = 200  # ours are 47 characters; nothing longer is worth hashing


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`; the token becomes `request.auth`."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        secret = _credentials(request, "bearer")
        if secret is None:
            return None
        token = _token(secret)
        if token is None:
            raise AuthenticationFailed("This token is not valid: unknown, expired, or of a person who may not log in.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="vsm"'


class BasicAuthentication(BaseAuthentication):
    """A name and a password, counted by the lockout like every other login."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        encoded = _credentials(request, "basic")
        if encoded is None:
            return None
        username, password = _decoded(encoded)
        # The lockout needs the plain request: it counts by address, and marks the request for its middleware.
        user = authenticate(request=request._request, username=username, password=password)
        if not isinstance(user, User):
            raise AuthenticationFailed("The name or the password is wrong.")
        return user, None

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="vsm"'


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI document about tokens."""

    target_class = BearerAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class BasicScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI document about name and password."""

    target_class = BasicAuthentication
    name = "password"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "basic"}


def principal(request: HttpRequest) -> tuple[User, ApiToken | None] | None:
    """Return who makes a plain Django *request*, with the token used; None when nobody is known.

    A token that is not valid is never covered up by a session.
    """
    secret = _credentials(request, "bearer")
    if secret is not None:
        token = _token(secret)
        return None if token is None else (token.user, token)
    user = getattr(request, "user", None)
    return (user, None) if isinstance(user, User) and user.is_active else None


def _token(secret: str) -> ApiToken | None:
    return find_token(secret) if len(secret) <= MAX_SECRET and secret.isascii() else None


def _credentials(request: Request | HttpRequest, scheme: str) -> str | None:
    """Return what follows *scheme* in the Authorization header; None when another scheme, or none, is used."""
    name, _, rest = str(request.META.get("HTTP_AUTHORIZATION", "")).partition(" ")
    return rest.strip() if name.lower() == scheme else None


def _decoded(encoded: str) -> tuple[str, str]:
    try:
        username, separator, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeError, ValueError):
        raise AuthenticationFailed("The Basic credentials cannot be read.") from None
    if not separator or "\0" in username + password:
        raise AuthenticationFailed("The Basic credentials cannot be read.")
    return username, password
