"""Views that people keep: found again, shared when they want it, and seen by nobody else."""

from __future__ import annotations

import pytest
from django.test import Client

from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from tests.support.factories import make_system, make_user
from vsm_site.dashboard import saved_views
from vsm_site.dashboard.models import SavedView

pytestmark = pytest.mark.django_db
PLACE = "/dashboard/views/"
ALERTS = "/dashboard/alerts/?q=mail&page=3&system=main"


def client_of(system: System | None = None) -> Client:
    client = Client()
    client.force_login(make_user(role="viewer", system=system or root_system()))
    return client


def keep(client: Client, name: str = "Mail", of: str = ALERTS, **fields: str) -> int:
    return client.post(PLACE, {"name": name, "of": of, **fields}).status_code


def listed(client: Client, name: str = "Mail") -> bool:
    """Return whether the list and the search both show the view; they must agree."""
    found = client.get("/dashboard/search/", {"q": name}, headers={"accept": "application/json"}).json()["groups"]
    hits = {hit["label"]: hit["href"] for group in found if group["title"] == "Saved views" for hit in group["hits"]}
    there = f">{name}</a>".encode() in client.get(PLACE).content
    assert there == (name in hits)
    return there


def test_a_view_is_its_owners_until_it_is_shared_and_never_leaves_the_system() -> None:
    """What one looks into may be nobody else's business."""
    mine, colleague, stranger = client_of(), client_of(), client_of(make_system("elsewhere"))

    assert keep(mine) == 302
    assert [listed(each) for each in (mine, colleague, stranger)] == [True, False, False]
    view = SavedView.objects.get()
    assert (view.path, view.query) == ("/dashboard/alerts/", "q=mail")
    assert b'href="/dashboard/alerts/?q=mail"' in mine.get(PLACE).content

    for other in (colleague, stranger):
        for verb in ("", "delete/", "take-back/"):
            assert other.post(f"{PLACE}{view.pk}/{verb}", {"name": "Stolen"}).status_code == 404
    mine.post(f"{PLACE}{view.pk}/", {"name": "Post", "shared": "on"})
    assert [listed(each, "Post") for each in (mine, colleague, stranger)] == [True, True, False]


def test_a_deletion_is_undone_and_then_a_name_is_free_only_once() -> None:
    """A slip of the hand costs nothing."""
    mine = client_of()
    keep(mine)
    pk = SavedView.objects.get().pk

    mine.post(f"{PLACE}{pk}/delete/")
    assert not listed(mine)
    assert b"Undo" in mine.get(PLACE).content
    mine.post(f"{PLACE}{pk}/take-back/")
    assert listed(mine)
    assert keep(mine) == 400  # the name is taken
    mine.post(f"{PLACE}{pk}/delete/")
    assert keep(mine) == 302
    assert b"You have a view of this name" in mine.post(f"{PLACE}{pk}/take-back/", follow=True).content


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"of": "https://elsewhere.example/dashboard/"}, b"Only the pages of the dashboard"),
        ({"of": "//elsewhere.example/dashboard/"}, b"Only the pages of the dashboard"),
        ({"of": "/api/v1/units/"}, b"Only the pages of the dashboard"),
        ({"of": "javascript:alert(1)"}, b"There is no such page"),
        ({"of": "/dashboard/alerts/?q=" + "q" * 2250}, b"at most 2000"),
        ({"name": " "}, b"required"),
    ],
    ids=["another site", "another host", "the API", "a script", "too long", "no name"],
)
def test_what_is_no_page_of_ours_is_not_kept(given: dict[str, str], told: bytes) -> None:
    """A shared view must never lead astray."""
    answer = client_of().post(PLACE, {"name": "Mail", "of": ALERTS, **given})

    assert (answer.status_code, told in answer.content) == (400, True)
    assert not SavedView.objects.exists()


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """No list grows without end."""
    monkeypatch.setattr(saved_views, "MOST", 1)
    mine = client_of()

    assert (keep(mine), keep(mine, "Another")) == (302, 400)
