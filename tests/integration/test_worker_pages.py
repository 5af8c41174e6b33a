"""The pages of workers and queues: filters in the address, empty states, what is stuck, declarations."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from subsystems.fleets import detection
from subsystems.fleets.models import ExpectedWorkers
from tests.integration.test_api_workers import PODS, hear, make_fleet
from tests.support.factories import make_system, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(client: Client) -> Client:
    client.force_login(make_user("olga", role="operator"))
    return client


@pytest.mark.parametrize("page", ["workers", "queues"])
def test_an_empty_page_says_what_to_do(olga: Client, page: str) -> None:
    """A newcomer has no fleet yet."""
    text = olga.get(f"/dashboard/{page}/").content.decode()

    assert "was ever seen" in text


def test_workers_are_shown_by_role_and_one_by_one(olga: Client) -> None:
    """With what each has in hand, and no name of another system."""
    make_fleet()
    make_fleet("secret", system=make_system("other"))

    text = olga.get("/dashboard/workers/").content.decode()

    assert "celery@web-*" in text
    assert all(pod in text for pod in PODS)
    assert "prefetch 8" in text
    assert "priority 3" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (f"q={PODS[0]}", 1), ("role=celery@web-*", 2), ("role=celery@api", 0), ("state=gone", 0), ("state=here", 2),
        ("fleet=shop&q=web", 2),
    ],
)  # fmt: skip
def test_the_filter_is_in_the_address(olga: Client, query: str, shown: int) -> None:
    """A link to what one sees can be sent to somebody."""
    make_fleet()

    answer = olga.get(f"/dashboard/workers/?{query}")

    assert len(answer.context["workers"]) == shown


@pytest.mark.parametrize("address", ["workers/?state=odd", "queues/?fleet=none", "workers/?role=" + "r" * 300])
def test_a_filter_that_makes_no_sense_is_told(olga: Client, address: str) -> None:
    """And the page stays."""
    answer = olga.get(f"/dashboard/{address}")

    assert answer.status_code == 400
    assert 'class="errors"' in answer.content.decode()


def test_queues_say_when_they_will_be_empty(olga: Client) -> None:
    """The first question about a backlog."""
    make_fleet()

    text = olga.get("/dashboard/queues/").content.decode()

    assert "in 100 s" in text or "in 99 s" in text


def test_what_is_stuck_stands_on_top_with_its_evidence(olga: Client) -> None:
    """And leads to its signal."""
    fleet = make_fleet()
    now = timezone.now()
    for age in (20, 15, 10, 5, 0):
        hear(fleet, (), ready=9.0, at=now - timedelta(seconds=age), consumers=0.0)
    detection.look(now=now)

    texts = [olga.get(f"/dashboard/{page}/").content.decode() for page in ("workers", "queues")]

    for text in texts:
        assert "Nobody has read the queue mails" in text
        assert "workers that say they read it" in text
        assert "its signal" in text


def test_who_should_be_there_is_declared_and_forgotten(olga: Client) -> None:
    """What is here now, one more row, and one less."""
    fleet = make_fleet()
    row = {"fleet": fleet.pk, "role": "", "queue": "mails", "workers": 3}

    answers = [
        olga.post(f"/dashboard/workers/declare/{fleet.pk}/"),
        olga.post("/dashboard/workers/", row),
        olga.post(f"/dashboard/workers/expected/{ExpectedWorkers.objects.get(queue='mails', role='').pk}/forget/"),
    ]

    assert [answer.status_code for answer in answers] == [302, 302, 302]
    assert [str(each) for each in ExpectedWorkers.objects.all()] == ["2 x celery@web-* on mails"]


def test_a_declaration_that_names_nothing_is_refused_on_the_page(olga: Client) -> None:
    """With the reason at the field."""
    answer = olga.post("/dashboard/workers/", {"fleet": make_fleet().pk, "workers": 1})

    assert answer.status_code == 400
    assert "Name a role, a queue, or both." in answer.content.decode()


def test_readers_may_not_declare(client: Client) -> None:
    """They see the page, without its forms."""
    client.force_login(make_user("rita", role="viewer"))
    fleet = make_fleet()

    assert "Declare what is here now" not in client.get("/dashboard/workers/").content.decode()
    assert client.post(f"/dashboard/workers/declare/{fleet.pk}/").status_code == 403
    assert not ExpectedWorkers.objects.exists()
