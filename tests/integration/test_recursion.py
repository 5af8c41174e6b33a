"""Strangers get nothing; members get their branch of the tree; a token gets no more than its owner."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from subsystems.kernel.errors import Invalid
from subsystems.recursion import queries, services
from subsystems.recursion.models import ApiToken, Membership, System

pytestmark = pytest.mark.django_db


@pytest.fixture
def tree() -> dict[str, System]:
    """A parent with one child, and a stranger beside them."""
    parent = System.objects.create(slug="acme", name="Acme")
    child = System.objects.create(slug="acme-eu", name="Acme EU", parent=parent)
    other = System.objects.create(slug="other", name="Other")
    return {"parent": parent, "child": child, "other": other}


def member(system: System, role: str) -> User:
    user = User.objects.create_user(f"{role}-{system.slug}")
    Membership.objects.create(user=user, system=system, role=role)
    return user


def slugs(*args: object) -> set[str]:
    return {system.slug for system in queries.systems_for(*args)}  # type: ignore[arg-type]


def test_a_member_sees_the_system_and_all_below_it(tree: dict[str, System]) -> None:
    """Recursion: who runs the parent runs its parts, and nobody else's."""
    user = member(tree["parent"], "viewer")

    assert slugs(user, "read") == {"acme", "acme-eu"}
    assert slugs(user, "operate") == set()


def test_a_stranger_sees_nothing(tree: dict[str, System]) -> None:
    """No membership, no login, no account that is switched off."""
    off = member(tree["parent"], "admin")
    off.is_active = False

    assert [slugs(AnonymousUser()), slugs(User.objects.create_user("new")), slugs(off)] == [set(), set(), set()]


def test_a_token_narrows_what_its_owner_may_do(tree: dict[str, System]) -> None:
    """A leaked token for one system and one scope must not open the rest."""
    user = member(tree["parent"], "operator")
    token, _ = services.create_token(user, name="ci", scopes=["read"], system=tree["child"])

    assert slugs(user, "read", token) == {"acme-eu"}
    assert slugs(user, "operate", token) == set()


def test_only_the_hash_of_a_secret_is_kept(tree: dict[str, System]) -> None:
    """Who reads the database must not be able to use the tokens in it."""
    token, secret = services.create_token(member(tree["parent"], "viewer"), name="ci", scopes=["read"])

    stored = ApiToken.objects.filter(pk=token.pk).values().get()

    assert services.find_token(secret) == token
    assert secret not in str(stored)


@pytest.mark.parametrize(
    ("scopes", "word"),
    [
        pytest.param(["fly"], "fly", id="a scope that does not exist"),
        pytest.param([], "none", id="no scope at all"),
        pytest.param(["admin"], "admin", id="a scope the owner does not hold"),
    ],
)
def test_a_token_with_scopes_that_cannot_be_is_refused(tree: dict[str, System], scopes: list[str], word: str) -> None:
    """A token is never a way to get more rights."""
    with pytest.raises(Invalid, match=word) as caught:
        services.create_token(member(tree["parent"], "viewer"), name="x", scopes=scopes)

    assert caught.value.field == "scopes"


def test_a_token_dies_with_its_date_and_its_owner(tree: dict[str, System]) -> None:
    """Expired, or of a person who left: both open nothing."""
    user = member(tree["parent"], "viewer")
    now = timezone.now()
    _, expired = services.create_token(user, name="old", scopes=["read"], expires_at=now - timedelta(seconds=1))
    _, living = services.create_token(user, name="new", scopes=["read"])

    before = services.find_token(living)
    User.objects.filter(pk=user.pk).update(is_active=False)

    assert before is not None
    assert [services.find_token(secret) for secret in (expired, living, "vsm_x")] == [None, None, None]
