"""Everybody who belongs to a system gets in, staff or not."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client

from subsystems.recursion.models import Membership
from subsystems.recursion.queries import root_system

pytestmark = pytest.mark.django_db


def test_a_member_who_is_not_staff_logs_in_and_out(client: Client) -> None:
    """Watching a fleet must not need the rights of an administrator."""
    user = User.objects.create_user("viewer", password="correct horse battery")
    Membership.objects.create(user=user, system=root_system(), role="viewer")

    turned_away = client.get("/dashboard/")
    entered = client.post(turned_away["Location"], {"username": "viewer", "password": "correct horse battery"})
    seen = client.get("/dashboard/")
    client.post("/logout/")

    assert (entered.status_code, entered["Location"], seen.status_code) == (302, "/dashboard/", 200)
    assert client.get("/dashboard/").status_code == 302


def test_a_login_never_leads_to_a_stranger(client: Client) -> None:
    """An address of another site in `next` would make the login page a decoy."""
    User.objects.create_user("viewer", password="correct horse battery")

    answer = client.post(
        "/login/?next=https://evil.example/", {"username": "viewer", "password": "correct horse battery"}
    )

    assert answer["Location"] == "/dashboard/"


def test_every_page_has_an_icon(client: Client) -> None:
    """Browsers ask for it everywhere; pages of others, such as the admin and the API's, name none."""
    assert finders.find(client.get("/favicon.ico")["Location"].removeprefix("/static/"))


def test_the_login_page_needs_no_inline_code(client: Client) -> None:
    """It is the first page that the strict content policy meets."""
    page = client.get("/login/").content.decode()

    assert "Log in" in page
    assert "onclick" not in page
