"""One search for everything, of one's own systems alone."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts.models import Alert, AlertRule
from subsystems.algedonic.models import Signal
from subsystems.event_log.models import Event
from subsystems.fleets.models import Task, TaskCount
from subsystems.fleets.states import State
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s5_policy.models import Policy
from tests.support.factories import make_system, make_unit, make_user

pytestmark = pytest.mark.django_db
ADDRESS = "/dashboard/search/"
SIGNAL = "AB" * 16
JSON = {"accept": "application/json"}


@pytest.fixture
def viewer(client: Client) -> Client:
    client.force_login(make_user(role="viewer"))
    return client


def found(client: Client, text: str) -> dict[str, list[str]]:
    """Return the labels by group."""
    answer = client.get(ADDRESS, {"q": text}, headers=JSON)
    assert answer.status_code == 200
    return {group["title"]: [hit["label"] for hit in group["hits"]] for group in answer.json()["groups"]}


def fill(system: System, word: str) -> None:
    """Make one of each sort with *word* in its name."""
    fleet = Fleet.objects.create(system=system, name=f"{word} fleet")
    unit = make_unit(f"{word}-host", system=system)
    make_unit(f"{word}/mail", kind="celery_queue", system=system, fleet=fleet)
    TaskCount.objects.create(fleet=fleet, event=1, name=f"{word}.send", n=3, changed_at=timezone.now())
    now: Any = timezone.now()
    Task.objects.create(
        fleet=fleet, uuid=f"{word}-4f1c", name="shop.pay", state=State.SUCCESS, seen_at=now, changed_at=now
    )
    AlertRule.objects.create(system=system, name=f"{word} is slow", metric="m", threshold=1)
    Alert.objects.create(
        system=system, unit=unit, type="rule", title=f"{word} is slow", subject=unit.name, fingerprint=word,
        severity="warning", state=Alert.State.FIRING,
    )  # fmt: skip
    Policy.objects.create(system=system, kind="goal", name=f"{word} grows")


def test_every_sort_is_found_by_a_part_of_its_name_and_of_other_tenants_nothing(viewer: Client) -> None:
    """One box for all of it must not become the one door through which a neighbour is seen."""
    fill(root_system(), "ours")
    fill(make_system("elsewhere"), "theirs")
    event = {"stream": "s1", "type": "test.happened", "hash": b"0" * 32}
    Event.objects.create(position=41, sequence=1, system_id=root_system().pk, **event)
    Event.objects.create(position=42, sequence=2, system_id=System.objects.get(slug="elsewhere").pk, **event)
    Signal.objects.create(
        pk=SIGNAL,
        system=root_system(),
        type="pain",
        severity="high",
        intensity=0.8,
        source="ours-host",
        expires_at=timezone.now(),
    )

    assert found(viewer, "OURS") == {
        "Units": ["ours-host"],
        "Queues": ["ours/mail"],
        "Fleets": ["ours fleet"],
        "Tasks by name": ["ours.send"],
        "Rules": ["ours is slow"],
        "Alerts": ["ours is slow"],
        "Policies": ["ours grows"],
    }
    assert found(viewer, "ours-4f")["Tasks by id"] == ["shop.pay"]
    assert found(viewer, "#41") == {"Events": ["Event 41"]}
    assert found(viewer, SIGNAL.lower()) == {"Signals": ["high pain"]}
    assert found(viewer, "dead let") == {"Pages": ["Dead letters"]}
    for text in ("theirs", "theirs-4f1c", "42", "%", "\0", "", " ", "9" * 40):
        assert found(viewer, text) == {}


def test_what_is_called_so_comes_first_and_what_is_elsewhere_says_where(client: Client) -> None:
    """Of a hundred names with the same part, the one that was typed whole is meant."""
    client.force_login(make_user(superuser=True))
    for name in ("mailman-2", "old-mail", "mail", "mailman"):
        make_unit(name)
    make_unit("mail-of-branch", system=make_system("branch", name="Branch"))

    answer = client.get(ADDRESS, {"q": "mail"}, headers=JSON).json()

    units = next(group for group in answer["groups"] if group["title"] == "Units")["hits"]
    assert [hit["label"] for hit in units] == ["mail", "mailman", "mailman-2", "mail-of-branch", "old-mail"]
    assert units[3]["note"] == "agent, new, Branch"
    assert units[3]["href"].endswith("?system=branch")


def test_the_number_of_queries_does_not_grow_and_the_page_works_without_a_script(viewer: Client) -> None:
    """Ten thousand units, and a phone in a tunnel."""
    fill(root_system(), "mine")
    with CaptureQueriesContext(
        connection,
    ) as before:
        found(viewer, "mine")
    for number in range(12):
        make_unit(f"mine-{number}")
        Fleet.objects.create(system=root_system(), name=f"mine {number}")
    with CaptureQueriesContext(connection) as after:
        page = viewer.get(ADDRESS, {"q": "mine"})

    assert len(after) <= len(before)
    assert page.headers["Vary"].startswith("Accept")
    assert page.content.count(b"/dashboard/units/") >= 8
    assert b'value="mine"' in page.content
    assert b"Nothing is called so" in viewer.get(ADDRESS, {"q": "<script>"}).content
