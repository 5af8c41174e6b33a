"""Rows for tests: valid by default, and every field can be given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from django.contrib.auth.models import User

from subsystems.messaging.envelope import new_id
from subsystems.messaging.models import Message
from subsystems.recursion.models import ApiToken, Membership, System
from subsystems.recursion.queries import root_system
from subsystems.recursion.services import create_token
from subsystems.s1_operations.models import Unit

PASSWORD = "correct-horse-battery"
_numbers = count(1)


def make_system(slug: str = "", **fields: Any) -> System:
    """Return a new system; without a slug it gets one that nobody has."""
    slug = slug or f"system-{next(_numbers)}"
    return System.objects.create(slug=slug, name=fields.pop("name", slug.title()), **fields)


def make_user(
    username: str = "", *, role: str = "", system: System | None = None, superuser: bool = False, **fields: Any
) -> User:
    """Return a new user with the password PASSWORD; *role* makes it a member of *system* (the root by default)."""
    username = username or f"user-{next(_numbers)}"
    fields = {"password": PASSWORD, "is_staff": superuser, "is_superuser": superuser, **fields}
    user = User.objects.create_user(username, **fields)
    if role:
        Membership.objects.create(user=user, system=system or root_system(), role=role)
    return user


def make_unit(name: str = "", *, kind: str = "agent", system: System | None = None, **fields: Any) -> Unit:
    """Return a new unit, in the root system unless another is given."""
    name = name or f"unit-{next(_numbers)}"
    return Unit.objects.create(system=system or root_system(), kind=kind, name=name, **fields)


def make_message(**fields: Any) -> Message:
    """Return a message that waits in the outbox."""
    fields = {
        "id": new_id(), "channel": "coordination", "sender": "s2", "recipient": "s1", "type": "test.said", **fields,
    }  # fmt: skip
    return Message.objects.create(**fields)


def make_token(
    scopes: Sequence[str] = ("read",), *, user: User | None = None, system: System | None = None, **fields: Any
) -> tuple[ApiToken, str]:
    """Return a new token and its secret; without a user it belongs to a new superuser."""
    user = user or make_user(superuser=True)
    return create_token(user, name=fields.pop("name", "test"), scopes=scopes, system=system, **fields)


def bearer(secret: str) -> dict[str, str]:
    """Return the headers with which the Django test client presents a token."""
    return {"authorization": f"Bearer {secret}"}
