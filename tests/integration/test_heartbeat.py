"""The platform's own sign of life, and a second installation that misses it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from alerts.checks import beating, services
from alerts.checks.models import Check, Heartbeat
from alerts.models import Alert
from subsystems.messaging.models import SlotRun
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import CollectionCycle
from tests.support.factories import make_user
from tests.support.services_fake import serving

MINUTE = timedelta(minutes=1)
NOW = timezone.now()
pytestmark = pytest.mark.django_db


def works(at: Any) -> None:
    """Let a collection and an evaluation have come to their ends."""
    CollectionCycle.objects.create(slot=int(at.timestamp()), started_at=at, duration_ms=100)
    SlotRun.objects.create(
        job="alerts.evaluate.0.1", slot=int(at.timestamp()), period_seconds=5, started_at=at, finished_at=at
    )


def test_it_is_sent_once_a_minute_while_the_loop_works(settings: Any) -> None:
    """Two beats at once send one; a loop that stands still sends none, and says so."""
    settings.HTTP_ALLOW = ["127.0.0.0/8"]
    with serving() as fake:
        settings.HEARTBEAT_URL = f"{fake.url}/hook/abc?x=1"
        works(NOW)
        first = [beating.beat(now=NOW), beating.beat(now=NOW)]
        still = beating.beat(now=NOW + 5 * MINUTE)
        row = beating.heartbeat()

    assert first == [True, None]
    assert still is False
    assert [(method, path) for method, path, *_ in fake.requests] == [("POST", "/hook/abc?x=1")]
    assert row.last_error == "withheld: no collection has come to its end lately"
    assert (row.sent_at, row.withheld_total, row.failures_total) == (NOW, 1, 0)


def test_what_is_not_taken_is_counted_until_it_is(settings: Any) -> None:
    """An error is asked again once; the address in the admin goes before the environment's."""
    settings.HTTP_ALLOW = ["127.0.0.0/8"]
    settings.HEARTBEAT_URL = "http://127.0.0.1:1/"
    works(NOW)
    works(NOW + MINUTE)
    refused = beating.beat(now=NOW)
    with serving() as fake:
        Heartbeat.objects.update(url=f"{fake.url}/hook")
        fake.answers = [(500, ""), (200, "")]
        taken = beating.beat(now=NOW + MINUTE)
    row = beating.heartbeat()

    assert (refused, taken) == (False, True)
    assert (row.failures, row.failures_total, row.last_error) == (0, 1, "")
    assert len(fake.requests) == 2


def test_inside_addresses_need_permission(settings: Any) -> None:
    """The same guard as everywhere."""
    settings.HTTP_ALLOW, settings.HEARTBEAT_URL = [], "http://127.0.0.1:9/"
    works(NOW)

    assert beating.beat(now=NOW) is False
    assert "internal address" in beating.heartbeat().last_error


def test_nothing_is_sent_where_no_address_is_set(settings: Any) -> None:
    """And nothing is counted."""
    settings.HEARTBEAT_URL = ""

    assert beating.beat(now=NOW) is None
    assert beating.heartbeat().tried_at is None


@pytest.mark.django_db(transaction=True)
def test_a_second_installation_notices_when_this_one_is_dead(live_server: LiveServer, settings: Any) -> None:
    """A real check on a real server: it is up while the heartbeat comes, and down once it does not."""
    settings.HTTP_ALLOW = ["127.0.0.0/8"]
    check = services.save_check(
        Check(system=root_system()), make_user(superuser=True), now=NOW, name="Other VSM", every_seconds=60,
        grace_seconds=60,
    )  # fmt: skip
    settings.HEARTBEAT_URL = f"{live_server.url}/ping/{check.address}"
    works(NOW)
    sent = beating.beat(now=NOW)
    services.turn(now=timezone.now())
    check.refresh_from_db()
    up = check.status
    services.turn(now=timezone.now() + 3 * MINUTE)

    assert (sent, up) == (True, "up")
    assert Alert.objects.get().title == "Other VSM: nothing was heard in time"


def test_it_is_shown_to_people_and_set_in_the_admin(client: Client, settings: Any) -> None:
    """Its address is not on the page: whoever knows it could keep it alive."""
    settings.HEARTBEAT_URL = ""
    root_system()
    client.force_login(make_user(superuser=True))
    unset = client.get("/dashboard/checks/").content.decode()
    beating.heartbeat()
    saved = client.post(reverse("admin:alerts_heartbeat_change", args=[1]), {"url": "https://hc.example.org/ping/x"})
    shown = client.get("/dashboard/checks/").content.decode()

    assert "Nobody outside would notice" in unset
    assert saved.status_code == 302
    assert "not sent yet" in shown
    assert "hc.example.org" not in shown
