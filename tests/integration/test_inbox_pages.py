"""The inbox: what waits is seen and decided by those who may, and nothing is decided by looking."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subsystems.recursion.queries import root_system
from subsystems.s3_control import recommending
from subsystems.s3_control.models import Action, Hold, Recommendation
from tests.integration.test_recommendations import advise, ended, fleet, measure, no_samples, now  # noqa: F401
from tests.support.factories import make_system, make_user

pytestmark = pytest.mark.django_db


def logged_in(role: str = "operator", **fields: object) -> Client:
    root_system()
    client = Client()
    client.force_login(make_user(role=role, **fields))
    return client


def plain(title: str = "Look at the mail queue", **fields: object) -> Recommendation:
    return recommending.recommend(
        system_id=root_system().pk, kind="architectural", source="s4", subject="shop/mail", title=title, **fields
    )


def test_what_waits_is_approved_refused_and_deferred_from_its_page() -> None:
    """By forms that need no script."""
    client = logged_in()
    rows = [plain(f"Number {each}") for each in range(3)]

    for row, verb, fields in zip(
        rows, ("approve", "refuse", "defer"), ({}, {"reason": "no"}, {"hours": "8"}), strict=True
    ):
        page = client.get(f"/dashboard/inbox/{row.pk}/").content.decode()
        assert f"/dashboard/inbox/{row.pk}/{verb}/" in page
        assert client.post(f"/dashboard/inbox/{row.pk}/{verb}/", fields).status_code == 302
        row.refresh_from_db()

    assert [row.state for row in rows] == ["applied", "refused", "deferred"]
    waiting = client.get("/dashboard/inbox/").content.decode()
    every = client.get("/dashboard/inbox/?state=every").content.decode()
    assert ("Number 0" in waiting, "Number 2" in waiting, "Number 0" in every) == (False, True, True)


def test_a_script_is_answered_in_a_sentence() -> None:
    """The keys of the inbox say what became of it, or why it was refused."""
    client, row = logged_in(), plain()
    told = {"headers": {"Accept": "application/json"}}

    silent = client.post(f"/dashboard/inbox/{row.pk}/refuse/", {}, **told)
    refused = client.post(f"/dashboard/inbox/{row.pk}/refuse/", {"reason": "no"}, **told)
    wrong = client.post(f"/dashboard/inbox/{row.pk}/defer/", {"hours": "x"}, **told)

    assert (silent.status_code, refused.json()["said"], wrong.status_code) == (409, "Refused", 409)


def test_the_loop_is_drawn_as_it_happened(fleet: object, now: datetime) -> None:  # noqa: F811
    """From what was felt to what came of it, each with its page."""
    measure(100.0, now)
    row = advise(fleet, now, evidence={"alert": 7, "alert_title": "Mail is full", "assessment": "degraded, 0.6"})
    recommending.approve(row, by=make_user("ann", role="operator"), reason="go", now=now)
    ended(row, "verified", now)

    page = logged_in().get(f"/dashboard/inbox/{row.pk}/").content.decode()

    for words in ("Mail is full", "degraded, 0.6", "Approved by ann: go", "task.retry", "is measured 120 s after"):
        assert words in page
    assert f"/dashboard/actions/{row.action_id}/" in page


def test_a_hold_is_seen_and_released() -> None:
    """It stands above everything else until somebody looks."""
    client = logged_in()
    hold = Hold.objects.create(
        system=root_system(), subject="shop/mail", since=timezone.now(), failures=3, reason="In vain.",
        undone_at=timezone.now(),
    )  # fmt: skip

    assert "In vain." in client.get("/dashboard/inbox/").content.decode()
    assert client.post(f"/dashboard/inbox/holds/{hold.pk}/release/").status_code == 302
    assert "In vain." not in client.get("/dashboard/inbox/").content.decode()


def test_readers_and_strangers_decide_nothing() -> None:
    """GET changes nothing, viewers have no buttons, another tenant's advice is not there, a form needs its token."""
    row, paths = plain(), [f"/dashboard/inbox/{{}}/{verb}/" for verb in ("approve", "refuse", "defer", "undo")]
    operator, viewer = logged_in(), logged_in("viewer")
    stranger = logged_in(system=make_system())
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(make_user(role="operator"))

    for path in (each.format(row.pk) for each in paths):
        assert operator.get(path).status_code == 405
        assert [client.post(path).status_code for client in (viewer, stranger, forged)] == [403, 404, 403]
    assert "Approve" not in viewer.get(f"/dashboard/inbox/{row.pk}/").content.decode()
    assert stranger.get(f"/dashboard/inbox/{row.pk}/").status_code == 404
    assert row.title not in stranger.get("/dashboard/inbox/").content.decode()
    assert Client().get("/dashboard/inbox/").status_code == 302
    assert not Action.objects.exists()


def test_the_list_asks_the_same_number_of_questions_whatever_its_length() -> None:
    """Fifty rows are one page."""
    client = logged_in()
    plain("one")
    client.get("/dashboard/inbox/")
    with CaptureQueriesContext(
        connection,
    ) as one:
        client.get("/dashboard/inbox/")
    for each in range(10):
        plain(f"more {each}")
    with CaptureQueriesContext(connection) as many:
        client.get("/dashboard/inbox/")

    assert len(one) == len(many)
