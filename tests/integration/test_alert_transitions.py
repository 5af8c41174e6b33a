"""Each change of an alert is recorded once, with what it was decided from."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts import services
from alerts.models import Alert
from subsystems.event_log.models import PendingEvent
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.support.factories import make_unit, make_user

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def system() -> System:
    hot_tier().clear()
    return root_system()


def tick(system: System, value: float | None, seconds: float) -> None:
    at = NOON + timedelta(seconds=seconds)
    if value is not None:
        sample = Sample("size", at.timestamp(), value, {"queue": "mail"})
        record({"rabbit": [sample]}, system_id=system.pk, now=at.timestamp())
    services.evaluate(now=at)


def told() -> list[tuple[str, dict[str, Any]]]:
    rows = PendingEvent.objects.filter(stream="vsm-alerts").order_by("number")
    return [(row.type, json.loads(row.data)) for row in rows]


def test_each_change_is_an_event_with_its_inputs_and_rule_version(system: System) -> None:
    """Afterwards somebody asks why."""
    rule = services.create_rule(system, None, name="Full", metric="size", threshold=10, for_seconds=10)
    services.update_rule(rule, threshold=20)
    for seconds, value in [(0, 30), (5, 31), (10, 32), (15, None), (46, None), (50, 33), (55, 1)]:
        tick(system, value, seconds)

    names = [type_ for type_, _ in told()]
    fired = told()[1][1]
    assert names == ["alert.pending", "alert.firing", "alert.no_data", "alert.heard", "alert.resolved"]
    assert (fired["rule"], fired["rule_version"], fired["state"]) == (rule.pk, 2, "firing")
    assert fired["inputs"]["value"] == 32
    assert fired["inputs"]["threshold"] == 20
    assert fired["labels"]["queue"] == "mail"


def test_what_held_too_short_is_told_as_cleared(system: System) -> None:
    """The row is gone; the record of it is not."""
    services.create_rule(system, None, name="Full", metric="size", threshold=10, for_seconds=10)
    tick(system, 30, 0)
    tick(system, 1, 5)

    assert [type_ for type_, _ in told()] == ["alert.pending", "alert.cleared"]
    assert not Alert.objects.exists()


def test_an_alert_has_the_labels_and_annotations_of_its_rule(system: System) -> None:
    """Silences, groups and messages are made of them."""
    make_unit("rabbit", kind="queue", system=system)
    services.create_rule(
        system, None, name="Full", metric="size", threshold=10, severity="critical", labels={"team": "mail"},
        annotations={"summary": "{{ value }} in {{ labels.queue }} of {{ unit }}"}, runbook_url="https://runbook.test/full",
    )  # fmt: skip
    tick(system, 30, 0)

    alert = Alert.objects.get()
    assert alert.labels == {
        "alertname": "Full", "severity": "critical", "system": "main", "unit": "rabbit", "unit_kind": "queue",
        "queue": "mail", "team": "mail",
    }  # fmt: skip
    assert alert.annotations == {"summary": "30 in mail of rabbit", "runbook_url": "https://runbook.test/full"}


def test_resolving_by_hand_is_recorded_with_who_did_it(system: System) -> None:
    """Once, however often it is asked for."""
    services.create_rule(system, None, name="Full", metric="size", threshold=10)
    tick(system, 30, 0)
    services.resolve(Alert.objects.get(), make_user("ada"))

    type_, data = told()[-1]
    assert (type_, data["inputs"]) == ("alert.resolved", {"by": "ada"})
