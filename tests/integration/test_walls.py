"""Wall screens: pages without a frame, and rounds of views that lead from one to the next by themselves."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from tests.support.factories import make_system, make_user
from vsm_site.dashboard.models import SavedView

pytestmark = pytest.mark.django_db


def client_of(system: System | None = None) -> Client:
    client = Client()
    client.force_login(make_user(role="viewer", system=system or root_system()))
    return client


def keep(client: Client, name: str, of: str) -> int:
    client.post("/dashboard/views/", {"name": name, "of": of})
    return SavedView.objects.get(name=name).pk


def wall(client: Client, address: str) -> dict[str, object]:
    page = client.get(address)
    assert page.status_code == 200
    assert b'<body class="wall">' in page.content
    found: dict[str, object] = page.context["config"]["wall"]
    return found


@pytest.mark.parametrize("page", ["/dashboard/", "/dashboard/model/", "/dashboard/alerts/"])
def test_a_page_goes_on_the_wall_and_off_again(page: str) -> None:
    """The way there is on the page, and the way back keeps what was shown."""
    client = client_of()

    assert b'id="to-wall" href="?q=mail&amp;wall=1"' in client.get(f"{page}?q=mail").content
    assert wall(client, f"{page}?q=mail&wall=1&wall-every=20") == {"every": 20, "next": "", "leave": f"{page}?q=mail"}
    assert b"wall.js" not in client.get(f"{page}?wall=no").content


def test_a_round_goes_through_the_views_and_begins_again() -> None:
    """In the order they were chosen; what is not mine to see is not shown on a wall either."""
    mine = client_of()
    alerts, model = keep(mine, "Mail", "/dashboard/alerts/?q=mail"), keep(mine, "Model", "/dashboard/model/")
    theirs = keep(client_of(make_system("elsewhere")), "Secret", "/dashboard/model/?fold=x")

    first = mine.get(f"/dashboard/wall/?wall-view={alerts}&wall-view={theirs}&wall-view={model}&wall-every=45")[
        "location"
    ]
    told = wall(mine, first)
    second = str(told["next"])

    assert first.startswith("/dashboard/alerts/?q=mail&wall=1&wall-every=45")
    assert told["leave"] == "/dashboard/alerts/?q=mail"
    assert urlsplit(second).path == "/dashboard/model/"
    assert parse_qs(urlsplit(second).query)["wall-view"] == [str(alerts), str(model)]
    assert wall(mine, second)["next"] == first


@pytest.mark.parametrize(
    ("given", "every"), [("", 30), ("1", 10), ("99999", 3600), ("soon", 30), ("9" * 30, 30), ("-5", 30)]
)
def test_a_view_stays_neither_too_short_nor_for_ever(given: str, every: int) -> None:
    """A screen that flickers helps nobody."""
    assert wall(client_of(), f"/dashboard/?wall=1&wall-every={given}")["every"] == every


@pytest.mark.parametrize("query", ["", "?wall-view=abc", "?wall-view=999999999999999999999", "?wall-view=4711"])
def test_a_round_of_nothing_is_refused(query: str) -> None:
    """And says what is missing: who has kept nothing has nothing to choose."""
    client = client_of()
    empty = client.get(f"/dashboard/wall/{query}", follow=True)
    keep(client, "Mail", "/dashboard/alerts/?q=mail")
    answer = client.get(f"/dashboard/wall/{query}", follow=True)

    assert empty.redirect_chain[0][0] == answer.redirect_chain[0][0] == "/dashboard/views/"
    assert "press the bookmark on any page to keep it" in empty.content.decode()
    assert "Choose at least one view" in answer.content.decode()


def test_a_view_is_kept_without_the_wall() -> None:
    """Or the round would begin wherever somebody opens it."""
    client = client_of()
    keep(client, "Mail", "/dashboard/alerts/?q=mail&wall=1&wall-every=30&wall-at=2")

    assert SavedView.objects.get().query == "q=mail"
