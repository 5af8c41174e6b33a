"""What people prefer: kept with the account, taken back at once, and the business of nobody else."""

from __future__ import annotations

import pytest
from django.test import Client

from subsystems.recursion.queries import root_system
from tests.support.factories import make_system, make_user
from vsm_site.dashboard import people
from vsm_site.dashboard.models import Preferences, SavedView

pytestmark = pytest.mark.django_db
PLACE = "/dashboard/me/preferences/"
USUAL = {"time_zone": "", "opens": "", "theme": "", "single_keys": "on"}


@pytest.fixture
def viewer() -> Client:
    client = Client()
    client.force_login(make_user(role="viewer", system=root_system()))
    return client


def kept() -> Preferences:
    return Preferences.objects.get()


def test_preferences_are_kept_and_the_last_change_is_taken_back(viewer: Client) -> None:
    """Also by who may only look: it is theirs. A slip costs nothing."""
    viewer.post(PLACE, {**USUAL, "time_zone": "Europe/Berlin", "theme": "dark"})
    answer = viewer.post(PLACE, {"time_zone": " Asia/Tokyo ", "opens": "performance", "theme": "light"}, follow=True)

    now = kept()
    assert (now.time_zone, now.overview, now.theme, now.single_keys) == ("Asia/Tokyo", "performance", "light", False)
    page = answer.content.decode()
    assert 'data-zone="Asia/Tokyo" data-theme="light" data-keys="off"' in page
    assert "data-ask-zone" not in page

    viewer.post(f"{PLACE}take-back/")

    now = kept()
    assert (now.time_zone, now.overview, now.theme, now.single_keys) == ("Europe/Berlin", "", "dark", True)
    assert "Undo" not in viewer.get(PLACE).content.decode()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"time_zone": "Mars/Olympus"}, "field-time_zone"),
        ({"time_zone": "../localtime"}, "field-time_zone"),
        ({"time_zone": "a" * 65}, "field-time_zone"),
        ({"time_zone": "Europe\0Berlin"}, "field-time_zone"),
        ({"theme": "plaid"}, "field-theme"),
        ({"opens": "999"}, "field-opens"),
    ],
)
def test_what_there_is_not_is_refused_at_its_field(viewer: Client, change: dict[str, str], field: str) -> None:
    """And nothing is kept of the rest."""
    answer = viewer.post(PLACE, {**USUAL, **change})

    assert answer.status_code == 400
    assert f'<div class="field wrong" id="{field}">' in answer.content.decode()
    assert not Preferences.objects.exists()


def test_the_first_page_is_a_view_of_mine_and_the_overview_is_still_there(viewer: Client) -> None:
    """Who watches alerts all day wants them first, and the overview at a click."""
    viewer.post("/dashboard/views/", {"name": "Mail", "of": "/dashboard/alerts/?q=mail"})
    view = SavedView.objects.get()
    viewer.post(PLACE, {**USUAL, "opens": str(view.pk)})

    assert viewer.get("/dashboard/").headers["location"] == "/dashboard/alerts/?q=mail"
    page = viewer.get("/dashboard/?view=")
    assert page.status_code == 200
    assert 'class="brand" href="/dashboard/?view="' in page.content.decode()

    viewer.post(f"/dashboard/views/{view.pk}/delete/")
    assert viewer.get("/dashboard/").status_code == 200


def test_a_view_that_is_not_mine_to_see_never_opens(viewer: Client) -> None:
    """A name of another system's view would already say too much."""
    owner = make_user(role="viewer", system=make_system("elsewhere"))
    theirs = SavedView.objects.create(
        system=make_system("third"), owner=owner, name="Secret", path="/dashboard/alerts/", shared=True
    )

    assert viewer.post(PLACE, {**USUAL, "opens": str(theirs.pk)}).status_code == 400
    assert "Secret" not in viewer.get(PLACE).content.decode()


def test_a_bare_view_of_the_overview_does_not_lead_in_a_circle(viewer: Client) -> None:
    """The browser would give up, and with it the platform."""
    viewer.post("/dashboard/views/", {"name": "All", "of": "/dashboard/"})
    viewer.post(PLACE, {**USUAL, "opens": str(SavedView.objects.get().pk)})

    assert viewer.get("/dashboard/").status_code == 200


def test_the_chosen_view_of_the_overview_opens(viewer: Client) -> None:
    """Without an address of its own, and never against one."""
    viewer.post(PLACE, {**USUAL, "opens": "algedonic"})

    titles = [viewer.get(f"/dashboard/{query}").context["view"] for query in ("", "?view=performance", "?view=odd")]
    assert titles == ["algedonic", "performance", "viability"]


def test_a_button_of_the_frame_changes_one_thing_alone(viewer: Client) -> None:
    """Two tabs must not overwrite what the other has said."""
    viewer.post(PLACE, {**USUAL, "time_zone": "Asia/Tokyo", "theme": "dark"})

    answers = [viewer.post(f"{PLACE}keep/", body).status_code for body in ({"theme": "light"}, {"theme": "odd"}, {})]
    viewer.post(f"{PLACE}keep/", {"single_keys": ""})

    assert answers == [200, 400, 200]
    assert (kept().time_zone, kept().theme, kept().single_keys) == ("Asia/Tokyo", "light", False)
    assert Client().post(f"{PLACE}keep/", {"theme": "light"}).status_code == 302


def test_preferences_cost_no_query_of_their_own(django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    """Every page asks for them."""
    some, none = make_user(role="viewer", system=root_system()), make_user(role="viewer", system=root_system())
    people.keep(some, theme="dark")

    with django_assert_num_queries(2):
        found = [people.PeopleBackend().get_user(user.pk) for user in (some, none)]
        assert [people.preferences_of(user).theme for user in found if user] == ["dark", ""]
