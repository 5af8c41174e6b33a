"""Who looks at an open page, and when that ends: with the session, with the right to look, or with the account."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from subsystems.messaging.live import layer_errors
from subsystems.recursion.queries import people_in

logger = logging.getLogger(__name__)
GROUP = "dashboards"  # what concerns people rather than a system
LOGIN_NEEDED = 4401
NOT_YOURS = 4403


@dataclass(eq=False)
class Visitor:
    """Who has a socket open, as it was when it was opened; *close* ends it with a code."""

    user_id: int
    password: str  # its stored hash: a new password ends the sessions of the old one
    session_key: str
    close: Callable[[int], None]

    @property
    def session(self) -> str:
        return hashed(self.session_key)


def hashed(session_key: str) -> str:
    """Return what stands for a session where others could read it; the key itself is a secret."""
    return hashlib.sha256(session_key.encode()).hexdigest() if session_key else ""


def refused(system_id: int, visitors: Sequence[Visitor]) -> list[tuple[Visitor, int]]:
    """Return those of *visitors* who may not look at a system any more, with the code that tells why."""
    users = {visitor.user_id for visitor in visitors}
    passwords = dict(User.objects.filter(pk__in=users, is_active=True).values_list("pk", "password"))
    readers = set(people_in(system_id, "read").filter(pk__in=users).values_list("pk", flat=True))
    keys = {visitor.session_key for visitor in visitors}
    living = set(Session.objects.filter(pk__in=keys, expire_date__gt=timezone.now()).values_list("pk", flat=True))
    found = []
    for visitor in visitors:
        if passwords.get(visitor.user_id) != visitor.password or (
            visitor.session_key and visitor.session_key not in living
        ):
            found.append((visitor, LOGIN_NEEDED))
        elif visitor.user_id not in readers:
            found.append((visitor, NOT_YOURS))
    return found


def end(request: HttpRequest, **_: Any) -> None:
    """Close the open dashboards of the session that logs out."""
    if request.session.session_key is not None:
        _tell({"type": "session.ended", "session": hashed(request.session.session_key)})


def rights_changed(update_fields: frozenset[str] | None = None, **_: Any) -> None:
    """Have the rights of all who look looked up again, once what changed is committed."""
    if update_fields == frozenset({"last_login"}):
        return
    transaction.on_commit(lambda: _tell({"type": "rights.changed"}))


def _tell(message: dict[str, Any]) -> None:
    try:
        async_to_sync(get_channel_layer().group_send)(GROUP, message)
    except layer_errors() as error:
        logger.warning("Open dashboards were not told: %s", error)
