"""Critical alerts go to S5 by message, those of resources on to S3, whose answer is recorded (002-43, 004-6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts import lifecycle, services
from alerts.models import Alert
from alerts.notices import reporting
from subsystems.messaging.models import Message
from subsystems.messaging.receiving import receive
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s5_policy.models import Decision
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.support.factories import make_unit, make_user

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def system() -> System:
    hot_tier().clear()
    return root_system()


def fire(system: System, **fields: Any) -> Alert:
    make_unit("rabbit", kind="queue", system=system)
    services.create_rule(system, None, name="Full", metric="size", threshold=10, **fields)
    record({"rabbit": [Sample("size", NOON.timestamp(), 30.0, {})]}, system_id=system.pk, now=NOON.timestamp())
    services.evaluate(now=NOON)
    return Alert.objects.get()


def sent() -> list[tuple[str, str, str, str]]:
    rows = Message.objects.exclude(channel="platform").order_by("number")
    return list(rows.values_list("sender", "recipient", "type", "reply_state"))


def deliver() -> None:
    """Let everything that waits be heard, twice over: brokers deliver at least once."""
    for _ in range(3):
        for number in list(Message.objects.order_by("number").values_list("number", flat=True)):
            receive([number], worker="w@test")


def test_s5_hears_of_a_critical_alert_and_s3_answers_for_the_resource(system: System) -> None:
    """Once each, with what S3 knows."""
    alert = fire(system, severity="critical")

    deliver()

    assert sent() == [
        ("platform", "s5", "alert.critical", ""),
        ("s5", "s3", "alert.resource", "answered"),
        ("s3", "s5", "alert.resource.reply", ""),
    ]
    first, _, reply = Message.objects.exclude(channel="platform").order_by("number")
    assert (first.priority, first.payload["alert"], first.channel) == (10, alert.pk, "algedonic")
    assert reply.payload == {"alert": alert.pk, "unit": "rabbit", "unit_state": "new", "actions": []}


def test_what_is_not_critical_is_not_told_inwards(system: System) -> None:
    """S5 is asked, not alarmed."""
    fire(system, severity="warning")

    assert sent() == []


def test_an_alert_that_becomes_critical_is_told_then(system: System) -> None:
    """By the same message."""
    alert = fire(system, severity="warning")

    lifecycle.grade(alert, "critical", now=NOON + timedelta(minutes=1))

    assert [kind for _, _, kind, _ in sent()] == ["alert.critical"]


def test_what_is_about_the_whole_is_not_passed_on_to_s3(system: System) -> None:
    """There is no resource that it could give."""
    alert = Alert.objects.create(
        system=system, type="viability", title="t", subject="s", fingerprint="f", severity="warning", state="firing"
    )
    lifecycle.grade(alert, "critical", now=NOON)

    deliver()

    assert sent() == [("platform", "s5", "alert.critical", "")]


def test_what_people_do_is_the_answer_of_s5(system: System) -> None:
    """In time, which is S5's vital."""
    alert = fire(system, severity="critical")

    services.acknowledge(alert, make_user("anna"), now=NOON + timedelta(minutes=2))

    asked = Decision.objects.get()
    assert (asked.asked_at, asked.answered_at) == (NOON, NOON + timedelta(minutes=2))


def test_critical_alerts_of_other_programs_are_told_inwards_too(system: System) -> None:
    """Whoever sees the danger, S5 hears of it, and a repeated report tells nothing anew."""
    reported = [{"labels": {"alertname": name, "severity": name}} for name in ("critical", "warning")]
    for _ in range(2):
        reporting.receive(system, reported, now=NOON)

    assert [kind for _, _, kind, _ in sent()] == ["alert.critical"]
