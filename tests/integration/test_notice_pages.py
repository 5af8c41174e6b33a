"""Notifications, silences, maintenance and targets on the pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from alerts.models import Alert
from alerts.notices import reporting, services
from alerts.notices.models import MaintenanceWindow, Notification, Routing, Silence, Target
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from tests.support.factories import make_system, make_user
from tests.support.services_fake import serving

pytestmark = pytest.mark.django_db
SILENCE = {"matchers": 'disk="sda"', "minutes": "60", "comment": "being replaced"}
WINDOW = {"name": "Tuesdays", "matchers": "", "starts": "2026-10-20T10:00", "time_zone": "Europe/Berlin",
          "minutes": "120", "recurrence": "FREQ=WEEKLY;BYDAY=TU", "comment": ""}  # fmt: skip


@pytest.fixture
def system() -> System:
    return root_system()


@pytest.fixture
def pages(client: Client, system: System) -> Client:
    client.force_login(make_user(role="admin", system=system))
    return client


def fire(system: System, **labels: str) -> Alert:
    given = {"labels": {"alertname": "Full", **labels}}
    reporting.receive(system, [given], now=timezone.now())
    return Alert.objects.latest("pk")


def test_a_silence_is_previewed_made_and_ended(pages: Client, system: System) -> None:
    """People see what they hide before they do."""
    fire(system, disk="sda", instance="db-1")
    preview = pages.post("/dashboard/silences/", {**SILENCE, "preview": ""}).content.decode()
    assert not Silence.objects.exists()
    made = pages.post("/dashboard/silences/", SILENCE)
    ended = pages.post(f"/dashboard/silences/{Silence.objects.get().pk}/expire/")
    page = pages.get("/dashboard/silences/").content.decode()

    assert "1 open alert." in preview
    assert "Full: db-1" in preview
    assert (made.status_code, ended.status_code) == (302, 302)
    assert "expired" in page
    assert "being replaced" in page


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("silences", {**SILENCE, "matchers": 'a=~".*"'}, "this would hide all"),
        ("silences", {**SILENCE, "matchers": "("}, "is no matcher"),
        ("silences", {**SILENCE, "comment": ""}, "This field is required"),
        ("maintenance-windows", {**WINDOW, "recurrence": "FREQ=SECONDLY"}, "daily at the most often"),
        ("maintenance-windows", {**WINDOW, "time_zone": "Moon"}, "no such time zone"),
        ("notifications/targets/add", {"name": "x", "url": "ftp://x"}, "An address is like"),
        ("notifications/targets", {"document": "route: {receiver: nobody}"}, "no receiver"),
        ("notifications/targets", {"document": "{"}, "no YAML"),
        ("notifications/targets", {"document": "a: &x [1]\nb: [*x]"}, "Anchors are not read"),
    ],
)
def test_what_cannot_work_is_shown_at_its_field(pages: Client, path: str, body: dict[str, Any], words: str) -> None:
    """With what was typed still there."""
    answer = pages.post(f"/dashboard/{path}/", body)

    assert answer.status_code == 400
    assert words in answer.content.decode()


def test_a_window_is_planned_changed_and_deleted(pages: Client) -> None:
    """Ten o'clock is ten o'clock in the zone that was written."""
    pages.post("/dashboard/maintenance-windows/", WINDOW)
    window = MaintenanceWindow.objects.get()
    shown = pages.get(f"/dashboard/maintenance-windows/{window.pk}/").content.decode()
    pages.post(f"/dashboard/maintenance-windows/{window.pk}/", {**WINDOW, "minutes": "30"})
    window.refresh_from_db()
    pages.post(f"/dashboard/maintenance-windows/{window.pk}/delete/")

    assert window.starts_at.isoformat() == "2026-10-20T08:00:00+00:00"
    assert "2026-10-20T10:00" in shown
    assert window.duration_seconds == 1800
    assert not MaintenanceWindow.objects.exists()


def test_a_target_is_set_up_tested_and_its_secret_kept(pages: Client, settings: Any) -> None:
    """The test says at once what the service said; the secret is not on any page."""
    settings.HTTP_ALLOW = ["127.0.0.0/8"]
    with serving() as fake:
        given = {"name": "ops", "url": f"{fake.url}/hook", "secret": "hush-hush", "fallback": ""}
        pages.post("/dashboard/notifications/targets/add/?kind=webhook", given)
        target = Target.objects.get()
        pages.post(f"/dashboard/notifications/targets/{target.pk}/", {"url": f"{fake.url}/hook?b=1", "fallback": ""})
        done = pages.post(f"/dashboard/notifications/targets/{target.pk}/test/", follow=True).content.decode()
        fake.answers = [(500, "")]
        failed = pages.post(f"/dashboard/notifications/targets/{target.pk}/test/", follow=True).content.decode()
        page = pages.get(f"/dashboard/notifications/targets/{target.pk}/").content.decode()

    assert "ops has taken the test." in done
    assert "answered with status 500" in failed
    assert "webhook-signature" in {name.lower() for name in fake.requests[0][2]}
    assert "hush-hush" not in done + failed + page


def test_the_routing_is_written_as_yaml_and_tried(pages: Client, system: System) -> None:
    """What Alertmanager's users have can be pasted."""
    Target.objects.create(system=system, name="dba", kind="webhook", config={"url": "https://x.org"})
    document = """
route:
  receiver: db
  group_by: [alertname]
receivers:
  - {name: db, targets: [dba]}
"""
    saved = pages.post("/dashboard/notifications/targets/", {"document": document})
    tried = pages.get("/dashboard/notifications/targets/", {"labels": 'alertname="Full"'}).content.decode()

    assert saved.status_code == 302
    assert Routing.objects.get().version == 1
    assert "<strong>db</strong>: dba" in tried
    pages.post("/dashboard/notifications/targets/", {"default": "", "document": ""})
    assert not Routing.objects.exists()


def test_the_log_shows_what_was_sent_and_what_was_withheld(pages: Client, system: System) -> None:
    """With the reason for each."""
    Target.objects.create(system=system, name="ops", kind="webhook", config={"url": "https://x.org"})
    now = timezone.now()
    services.create_silence(system, make_user(superuser=True), 'disk="sda"', now + timedelta(hours=1), "x", now=now)
    fire(system, disk="sda", severity="critical", instance="quiet-1")
    fire(system, disk="sdb", severity="critical", instance="loud-1")
    services.turn(now=timezone.now())

    log = pages.get("/dashboard/notifications/").content.decode()
    withheld = pages.get("/dashboard/notifications/?cause=silence").content.decode()
    detail = pages.get(f"/dashboard/notifications/{Notification.objects.get().pk}/").content.decode()

    assert "loud-1" in log
    assert "quiet-1" not in log
    assert "silence</a>: 1 alert" in log
    assert "quiet-1" in withheld
    assert "Sent because: first" in detail


def test_operators_hush_and_administrators_say_who_is_told(client: Client, system: System) -> None:
    """A target is a way out of the house."""
    target = Target.objects.create(system=system, name="ops", kind="webhook", config={"url": "https://x.org"})
    client.force_login(make_user(role="operator", system=system))
    paths = ["targets/add/?kind=webhook", f"targets/{target.pk}/", f"targets/{target.pk}/test/", "targets/",
             f"targets/{target.pk}/delete/"]  # fmt: skip

    assert [client.post(f"/dashboard/notifications/{each}", {}).status_code for each in paths] == [403] * 5
    assert client.post("/dashboard/silences/", SILENCE).status_code == 302


def test_nothing_of_another_tenant_is_reached(client: Client) -> None:
    """By no address that somebody might guess."""
    theirs, now = make_system("theirs"), timezone.now()
    target = Target.objects.create(system=theirs, name="t", kind="webhook", config={"url": "https://x.org"})
    user = make_user(superuser=True)
    silence = services.create_silence(theirs, user, 'a="b"', now + timedelta(hours=1), "x", now=now)
    client.force_login(make_user(role="admin", system=make_system("ours")))

    assert client.post(f"/dashboard/silences/{silence.pk}/expire/").status_code == 404
    assert client.get(f"/dashboard/notifications/targets/{target.pk}/").status_code == 404
    assert client.post(f"/dashboard/notifications/targets/{target.pk}/test/").status_code == 404
