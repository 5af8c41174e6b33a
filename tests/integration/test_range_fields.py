"""The time range among the filters of lists."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from subsystems.event_log import services as event_log
from subsystems.event_log.streams import Stream
from subsystems.recursion.queries import root_system
from tests.support.factories import make_user

pytestmark = pytest.mark.django_db
EVENTS = "/dashboard/events/"


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(make_user(role="viewer"))
    now = timezone.now()
    for name, ago in (("just-now", 1), ("this-morning", 5 * 3600), ("last-week", 6 * 86_400)):
        about = {"system_id": root_system().pk, "at": now - timedelta(seconds=ago)}
        event_log.append(Stream.POLICY, name, {}, **about)
    event_log.tend(now)
    return client


def found(browser: Client, **given: str) -> list[str]:
    text = browser.get(EVENTS, given).content.decode()
    return [name for name in ("just-now", "this-morning", "last-week") if f">{name}</strong>" in text]


def test_a_list_has_the_ranges_of_the_charts(browser: Client) -> None:
    """One set of words for time; from and to, in whatever form they come, win over a range."""
    now = timezone.now()
    hours = {"from": now - timedelta(hours=7), "to": now - timedelta(hours=2)}

    assert found(browser) == ["just-now", "this-morning", "last-week"]
    assert found(browser, range="1h") == ["just-now"]
    assert found(browser, range="24h") == ["just-now", "this-morning"]
    assert found(browser, **{name: str(at.timestamp()) for name, at in hours.items()}) == ["this-morning"]
    assert found(browser, **{name: f"{at:%Y-%m-%dT%H:%M}" for name, at in hours.items()}) == ["this-morning"]
    assert found(browser, range="1h", **{name: str(at.timestamp()) for name, at in hours.items()}) == ["this-morning"]


def test_what_was_asked_is_shown_in_the_fields(browser: Client) -> None:
    """A link from a chart has epoch seconds, which nobody reads."""
    text = browser.get(EVENTS, {"from": "1767261600"}).content.decode()

    assert 'value="2026-01-01T10:00"' in text


def test_the_fields_go_by_the_clocks_of_the_reader(browser: Client) -> None:
    """They would show, and ask for, another hour than the rows below them."""
    browser.cookies["vsm_zone"] = "Europe/Berlin"
    text = browser.get(EVENTS, {"from": "1767261600"}).content.decode()

    assert 'value="2026-01-01T11:00"' in text
    assert "From (Europe/Berlin)" in text


@pytest.mark.parametrize(
    ("path", "given", "field"),
    [
        (EVENTS, {"range": "2h"}, "Time"),
        (EVENTS, {"from": "soon"}, "From"),
        (EVENTS, {"to": "9e99"}, "To"),
        ("/dashboard/actions/", {"from": "200", "to": "100"}, "From"),
        ("/dashboard/tasks/", {"from": "nan"}, "From"),
        ("/dashboard/tasks/latencies/", {"range": "7d"}, "Time"),
        ("/dashboard/signals/", {"range": "year"}, "Time"),
    ],
)
def test_a_mistake_is_named_by_its_field(browser: Client, path: str, given: dict[str, str], field: str) -> None:
    """Not an empty list, and never an error of the server."""
    answer = browser.get(path, given)

    assert answer.status_code == 400
    assert f"<li>{field}" in answer.content.decode()
