"""How one person is reached: in their order, and not at night unless it is critical."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.people.contacts import Contact, ContactStep, read_contact
from subsystems.kernel.errors import Invalid

NIGHT = [{"days": [], "from": "22:00", "until": "07:00"}]
MINUTE = timedelta(minutes=1)


def test_steps_go_by_urgency_and_by_time() -> None:
    """The phone rings for the critical, after the message was not enough."""
    contact = read_contact(
        "UTC", [], [{"after_minutes": 5, "method": 1}, {"after_minutes": 0, "method": 2}], [{"method": 2}]
    )

    assert contact.steps("critical", [1, 2]) == (ContactStep(0 * MINUTE, 2), ContactStep(5 * MINUTE, 1))
    assert contact.steps("warning", [1, 2]) == (ContactStep(0 * MINUTE, 2),)


def test_who_said_nothing_is_told_by_everything_at_once() -> None:
    """Also who named only what is gone: nobody may be unreachable by a mistake."""
    gone = read_contact("UTC", [], [{"method": 9}], [])

    for contact in (Contact(), gone):
        assert [step.method for step in contact.steps("critical", [1, 2])] == [1, 2]
    assert Contact().steps("critical", []) == ()


@pytest.mark.parametrize(
    ("severity", "hour", "until"),
    [("warning", 21, 6), ("warning", 23, 6), ("critical", 23, None), ("warning", 12, None)],
)
def test_quiet_hours_hold_in_the_zone_of_the_person(severity: str, hour: int, until: int | None) -> None:
    """21:00 UTC is 22:00 in Berlin in winter; it is over at 07:00 there."""
    contact = read_contact("Europe/Berlin", NIGHT, [], [])

    found = contact.quiet_until(severity, datetime(2026, 11, 20, hour, tzinfo=UTC))

    assert found == (datetime(2026, 11, 21, until, tzinfo=UTC) if until else None)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (("Mars", [], [], []), "time_zone"),
        (("UTC", "x", [], []), "quiet_hours"),
        (("UTC", [{"from": "00:00", "until": "00:00"}], [], []), "quiet_hours"),
        (("UTC", [{"from": "09:00", "until": "10:00", "days": "mon"}], [], []), "quiet_hours[0].days"),
        (("UTC", [], [{"after_minutes": -1, "method": 1}], []), "critical[0].after_minutes"),
        (("UTC", [], [], [{"after_minutes": 1}]), "other[0].method"),
        (("UTC", [], [], {}), "other"),
        (("UTC", [], [{"method": 1}] * 21, []), "critical"),
    ],
)
def test_what_cannot_be_kept_names_its_place(given: Any, field: str) -> None:
    """Hours that never end would hide everything for ever."""
    with pytest.raises(Invalid) as caught:
        read_contact(*given)

    assert caught.value.field == field
