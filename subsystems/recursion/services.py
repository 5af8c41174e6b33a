"""Making and checking API tokens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import ApiToken, System
from subsystems.recursion.queries import systems_for

USED_RESOLUTION = timedelta(minutes=1)  # how fresh `last_used_at` is kept: not a write per request


def create_token(
    user: User, *, name: str, scopes: Sequence[str], system: System | None = None, expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """Make a token for *user* and return it with its secret, which is shown only now.

    Raises Invalid when a scope does not exist or the user does not hold it.
    """
    unknown = sorted(set(scopes) - set(ApiToken.Scope.values))
    if unknown or not scopes:
        raise Invalid(
            f"Scopes are {', '.join(ApiToken.Scope.values)}; got {', '.join(unknown) or 'none'}.", field="scopes"
        )
    _refuse_more_than_held(user, scopes, system)
    secret = f"vsm_{secrets.token_urlsafe(32)}"
    token = ApiToken.objects.create(
        user=user,
        name=name,
        scopes=sorted(set(scopes)),
        system=system,
        expires_at=expires_at,
        prefix=secret[:10],
        digest=digest(secret),
    )
    return token, secret


def find_token(secret: str, *, now: datetime | None = None) -> ApiToken | None:
    """Return the living token of *secret*, or None."""
    now = now or timezone.now()
    token = ApiToken.objects.select_related("user", "system").filter(digest=digest(secret)).first()
    if token is None or not token.user.is_active or (token.expires_at and token.expires_at <= now):
        return None
    if token.last_used_at is None or now - token.last_used_at > USED_RESOLUTION:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def digest(secret: str) -> str:
    """Return what is stored of a secret. It has 256 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _refuse_more_than_held(user: User, scopes: Sequence[str], system: System | None) -> None:
    for scope in scopes:
        held = systems_for(user, scope)
        if not (held.filter(pk=system.pk) if system else held).exists():
            raise Invalid(f"You do not hold the scope {scope!r} yourself.", field="scopes")
