"""Those whose shift begins or ends are told, once, where their rota wants it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from alerts.models import Notification, Rota, Target
from alerts.people import duties, reaching
from alerts.people import services as people
from subsystems.recursion.queries import root_system
from tests.support.factories import make_user

MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
pytestmark = pytest.mark.django_db


def reachable(name: str, role: str = "operator") -> User:
    user = make_user(name, role=role)
    config = {"url": f"https://{name}.example.org/hook"}
    Target.objects.create(owner=user, name="phone", kind="webhook", config=config)
    return user


@pytest.fixture
def anna() -> User:
    reachable("ben")
    return reachable("anna", "admin")


def rota(by: User, **fields: Any) -> Rota:
    layer = {"name": "week", "participants": ["anna", "ben"], "unit": "days", "starts_on": "2026-11-22"}
    made = Rota(system=root_system(), name="primary")
    return duties.save_rota(made, by, layers=[layer], now=MONDAY - 5 * MINUTE, **fields)


def told() -> list[tuple[str, str]]:
    rows = Notification.objects.filter(reason="handover").order_by("created_at", "target_name")
    return [(each.target_name, each.body["alerts"][0]["annotations"]["summary"].partition(" for")[0]) for each in rows]


def test_both_are_told_once(anna: User) -> None:
    """However often anybody looks."""
    rota(anna, tell_handover=True)

    for minutes in (-4, -1, 0, 0, 1, 60, 600):
        people.turn(now=MONDAY + minutes * MINUTE)

    assert told() == [("anna: phone", "Your shift"), ("ben: phone", "You are on call now")]


def test_a_shift_that_was_taken_is_handed_over_too(anna: User) -> None:
    """From Ben to Anna for an hour, and back."""
    made = rota(anna, tell_handover=True)
    start = MONDAY + 60 * MINUTE
    duties.take_shift(made, anna, anna, start, start + 60 * MINUTE, now=MONDAY)

    for minutes in (1, 61, 62, 121, 122):
        people.turn(now=MONDAY + minutes * MINUTE)

    begun = [name for name, words in told() if words.startswith("You are")]
    assert begun == ["ben: phone", "anna: phone", "ben: phone"]


def test_the_note_waits_for_the_end_of_quiet_hours(anna: User) -> None:
    """It is no emergency."""
    reaching.save_contact(anna, quiet_hours=[{"days": [], "from": "08:00", "until": "10:00"}])
    rota(anna, tell_handover=True)

    people.turn(now=MONDAY + MINUTE)

    assert Notification.objects.get(target_name="anna: phone").due_at == MONDAY + 60 * MINUTE


def test_a_rota_that_does_not_want_it_is_silent(anna: User) -> None:
    """It is a setting."""
    rota(anna)

    people.turn(now=MONDAY + DAY)

    assert told() == []


def test_what_was_missed_for_long_is_no_news(anna: User) -> None:
    """After a stop of a week, only who is on call now, if that changed within the day."""
    rota(anna, tell_handover=True)

    people.turn(now=MONDAY + 7 * DAY + MINUTE)

    assert len(told()) == 2
