"""In which time zone people read and write times, and that programs never notice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from alerts.models import MaintenanceWindow, Silence
from subsystems.recursion.queries import root_system
from tests.support.factories import make_user
from vsm_site.dashboard import people, zones
from vsm_site.dashboard.moments import FIRST, LAST, Moment, exactly
from vsm_site.dashboard.templatetags.moments import moment

pytestmark = pytest.mark.django_db
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FORWARD, BACK = (datetime.fromisoformat(f"2026-{day}T02:30") for day in ("03-29", "10-25"))  # of clocks in Berlin


@pytest.fixture
def berlin() -> Iterator[None]:
    with timezone.override(BERLIN):
        yield


def reader(time_zone: str = "", **cookies: str) -> Client:
    client, user = Client(), make_user(role="operator", system=root_system())
    people.keep(user, time_zone=time_zone)
    client.force_login(user)
    for name, value in cookies.items():
        client.cookies[name] = value
    return client


def spoken(client: Client) -> str:
    page = client.get("/dashboard/me/preferences/").content.decode()
    found = re.search(r'data-zone="([^"]+)"', page)
    return found[1] if found else ""


@pytest.mark.parametrize(
    ("chosen", "cookie", "zone"),
    [
        pytest.param("Asia/Tokyo", "Europe/Berlin", "Asia/Tokyo", id="chosen"),
        pytest.param("", "Europe%2FBerlin", "Europe/Berlin", id="as the browser says"),
        pytest.param("", "../../etc/passwd", "America/New_York", id="a browser that says nonsense"),
        pytest.param("", "", "America/New_York", id="nobody says anything"),
        pytest.param("Europe/Atlantis", "", "America/New_York", id="a zone that is gone"),
    ],
)
def test_a_page_speaks_in_the_zone_of_who_reads_it(settings, chosen: str, cookie: str, zone: str) -> None:  # type: ignore[no-untyped-def]
    """Two people who look at one page read their own clocks, and the page says whose they are."""
    settings.PEOPLES_TIME_ZONE = "America/New_York"

    assert spoken(reader(chosen, vsm_zone=cookie)) == zone


def test_times_of_a_page_follow_and_those_of_programs_do_not(settings) -> None:  # type: ignore[no-untyped-def]
    """Whatever somebody prefers must not change what their scripts read."""
    silence = Silence.objects.create(
        system=root_system(), matchers='a="b"', starts_at=NOON, ends_at=NOON + timedelta(days=3650), comment="x"
    )
    client = reader("Asia/Kolkata")

    page = client.get("/dashboard/silences/").content.decode()
    body = client.get("/api/v1/silences/").json()["results"][0]

    assert f'<time datetime="{silence.ends_at:%Y-%m-%dT%H:%M:%SZ}"' in page
    assert ">2036-11-17 17:30:00</time>" in page
    assert body["ends_at"].endswith(("Z", "+00:00"))
    assert timezone.get_current_timezone_name() == "UTC"  # nothing of it is left behind


@pytest.mark.parametrize(
    ("at", "how", "text"),
    [
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "minute zone", "2026-10-25 02:30 CEST"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "minute zone", "2026-10-25 02:30 CET"),
        ("2026-03-29T01:00:00Z", "", "2026-03-29 03:00:00"),
        ("2026-03-29T00:59:59.123456+00:00", "exact clock", "01:59:59.123"),
        (None, "", ""),
        ("", "zone", ""),
    ],
)
def test_a_moment_is_written_by_the_clocks_of_its_day(
    berlin: None, at: datetime | str | None, how: str, text: str
) -> None:
    """In the night that clocks are put back, two moments look the same but for the letters, and the title."""
    assert zones.told(at, how) == text


def test_an_element_tells_hours_that_come_twice_apart(berlin: None) -> None:
    """Whoever points at a time reads its distance from UTC."""
    first, second = (moment(datetime(2026, 10, 25, hour, 30, tzinfo=UTC)) for hour in (0, 1))

    assert (
        first == '<time datetime="2026-10-25T00:30:00Z" title="2026-10-25 02:30:00 UTC+0200">2026-10-25 02:30:00</time>'
    )
    assert 'title="2026-10-25 02:30:00 UTC+0100">2026-10-25 02:30:00<' in second


def test_a_time_that_never_is_is_refused_with_the_reason() -> None:
    """Moved by an hour in silence, a maintenance would begin when nobody expects it."""
    with pytest.raises(ValidationError, match=r"There is no 02:30 on 2026-03-29 in Europe/Berlin"):
        exactly(FORWARD, BERLIN, twice=FIRST)


def test_a_time_that_comes_twice_is_asked_for_or_taken_whole() -> None:
    """A range holds both; of a single moment somebody has to say which."""
    with pytest.raises(ValidationError, match="comes twice on 2026-10-25"):
        exactly(BACK, BERLIN)

    assert [exactly(BACK, BERLIN, twice=twice).hour for twice in (FIRST, LAST)] == [0, 1]
    assert exactly(BACK, NEW_YORK).hour == 6


def test_a_field_reads_the_readers_clocks_and_says_whose_they_are(berlin: None) -> None:
    """10:00 without a zone means ten o'clock where I am; text with one means what it says."""
    field = Moment(label="From")

    assert field.label == "From (Europe/Berlin)"
    assert field.clean("2026-07-01T10:00") == datetime(2026, 7, 1, 8, tzinfo=UTC)
    assert field.clean("2026-07-01T10:00Z") == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert field.prepare_value("2026-07-01T10:00Z") == "2026-07-01T12:00"
    assert field.prepare_value(datetime(2026, 1, 1, 10, tzinfo=UTC)) == "2026-01-01T11:00"


def test_what_is_filtered_is_filtered_by_ones_own_clocks() -> None:
    """The list would lack the hour that one has asked for."""
    berlin, utc = reader("Europe/Berlin"), reader("UTC")
    query = "/dashboard/events/?from=2026-03-29T02:30"

    assert berlin.get(query).status_code == 400
    assert b"From (Europe/Berlin): There is no 02:30 on 2026-03-29" in berlin.get(query).content
    assert utc.get(query).status_code == 200


def test_a_kept_view_means_the_same_to_whoever_opens_it() -> None:
    """Shared across an ocean, "since ten o'clock" would show another day."""
    client = reader("Europe/Berlin")

    client.post("/dashboard/views/", {"name": "Night", "of": "/dashboard/events/?from=2026-07-01T10:00"})

    assert b"from=2026-07-01T08%3A00Z" in client.get("/dashboard/views/").content


def test_a_window_and_a_shift_keep_the_zones_of_their_own() -> None:
    """The plant in Berlin stops at two by its own clocks, wherever the planner sits."""
    client = reader("Asia/Tokyo")
    window = {"name": "Stop", "time_zone": "Europe/Berlin", "minutes": "60", "matchers": ""}

    refused = client.post("/dashboard/maintenance-windows/", {**window, "starts": "2026-03-29T02:30"})
    made = client.post("/dashboard/maintenance-windows/", {**window, "starts": "2026-07-01T02:00"})

    assert (refused.status_code, made.status_code) == (400, 302)
    assert "There is no 02:30 on 2026-03-29 in Europe/Berlin" in refused.content.decode()
    assert MaintenanceWindow.objects.get().starts_at == datetime(2026, 7, 1, 0, tzinfo=UTC)


def test_the_admin_speaks_in_the_zone_too() -> None:
    """One platform with two clocks would be read wrong."""
    silence = Silence.objects.create(
        system=root_system(), matchers='a="b"', starts_at=NOON, ends_at=NOON + timedelta(hours=1), comment="x"
    )
    client, user = Client(), make_user(superuser=True)
    people.keep(user, time_zone="Asia/Kolkata")
    client.force_login(user)

    page = client.get(f"/admin/alerts/silence/{silence.pk}/change/").content.decode()

    assert 'data-zone="Asia/Kolkata"' in page
    assert "5:30" in page or "17:30" in page
