"""What a token lets its bearer push, remembered for a second: a look-up each time would cost more than the samples."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied

from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import ApiToken, System
from subsystems.recursion.queries import holds
from subsystems.recursion.services import find_token
from vsm_site.api.authentication import MAX_SECRET
from vsm_site.api.systems import choose_system

REMEMBERED_SECONDS = 1.0  # a token that is revoked is refused a second later at the latest
MAX_REMEMBERED = 10_000
SCOPE = ApiToken.Scope.INGEST.value


class Nobody(NotAuthenticated):
    """No token at all; the header says what would be one."""

    default_detail = "Samples need a token: Authorization: Bearer <token>."
    auth_header = 'Bearer realm="vsm"'


class Unknown(AuthenticationFailed):
    """A token that is not valid."""

    default_detail = "This token is not valid."
    auth_header = 'Bearer realm="vsm"'


@dataclass(slots=True)
class Grant:
    """A living token with scope ingest, and the systems that it was found to write to."""

    token: ApiToken
    read_at: float  # monotonic
    systems: dict[str | None, System] = field(default_factory=dict)

    def system(self, slug: object = None) -> System:
        """Return the system of *slug*, or the one that goes without saying. Raises Invalid naming `system`."""
        if slug is not None and not (isinstance(slug, str) and slug.isprintable()):
            raise Invalid("The system must be named by its slug.", field="system")
        found = self.systems.get(slug)
        if found is None:
            found = self.systems[slug] = choose_system(self.token.user, self.token, SCOPE, slug)
        return found


_grants: dict[str, Grant] = {}
_lock = threading.Lock()


def grant_of(authorization: str | None) -> Grant:
    """Return what the header *authorization* grants.

    A session is no way in: a page of another site could make a browser use one.
    Raises Nobody, Unknown, or PermissionDenied for a token without the scope.
    """
    if authorization is None:
        raise Nobody
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or len(secret) > MAX_SECRET or not secret.isascii():
        raise Unknown
    grant = _grants.get(secret)
    if grant is None or time.monotonic() - grant.read_at > REMEMBERED_SECONDS or _expired(grant.token):
        grant = _read(secret)
    return grant


def forget_grants() -> None:
    """Look every token up anew."""
    with _lock:
        _grants.clear()


def _read(secret: str) -> Grant:
    read_at = time.monotonic()
    token = find_token(secret)
    if token is None:
        with _lock:
            _grants.pop(secret, None)
        raise Unknown
    if not holds(token.user, SCOPE, token):
        raise PermissionDenied("This needs the scope 'ingest', which this token does not hold.")
    grant = Grant(token, read_at)
    with _lock:
        if len(_grants) >= MAX_REMEMBERED:
            _grants.clear()
        _grants[secret] = grant
    return grant


def _expired(token: ApiToken) -> bool:
    return token.expires_at is not None and token.expires_at <= timezone.now()
