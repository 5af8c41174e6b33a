"""The documented caps, from a sample that crosses to what a webhook is sent: exact to the count."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from alerts import services
from alerts.models import AlertRule
from alerts.notices import services as notices
from alerts.notices.models import AlertNotice, Notification, Target
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.support.factories import make_user

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = 3600
pytestmark = pytest.mark.django_db


@pytest.fixture
def system() -> System:
    """A system whose alerts are each told by themselves, at once, to one webhook."""
    hot_tier().clear()
    system = root_system()
    Target.objects.create(system=system, name="ops", kind="webhook", config={"url": "https://ops.example.org/"})
    route = {"receiver": "ops", "group_by": ["..."], "group_wait": "0s", "group_interval": "1m"}
    document = {"route": route, "receivers": [{"name": "ops", "targets": ["ops"]}]}
    notices.save_routing(system, document, make_user(superuser=True), now=NOON)
    return system


def rule(system: System, **fields: object) -> AlertRule:
    return services.create_rule(system, None, name="Too busy", metric="cpu", threshold=0.9, **fields)


def pass_by(system: System, values: dict[str, float], seconds: float) -> None:
    """Let *seconds* after noon come: the sources tell their values, rules are evaluated, people are told."""
    now = NOON + timedelta(seconds=seconds)
    if values:
        record({source: [Sample("cpu", now.timestamp(), value)] for source, value in values.items()},
               system_id=system.pk, now=now.timestamp())  # fmt: skip
    services.evaluate(now=now)
    notices.turn(now=now)


def told(*, since: float = 0.0, until: float = HOUR) -> Counter[str]:
    """Return how often a webhook was sent that each source fires."""
    begin, end = NOON + timedelta(seconds=since), NOON + timedelta(seconds=until)
    sent = Notification.objects.filter(created_at__gte=begin, created_at__lt=end, firing_count__gt=0)
    return Counter(alert["labels"]["source"] for each in sent for alert in each.body["alerts"])


def test_twenty_an_hour_are_told_and_the_others_when_there_is_room(system: System) -> None:
    """Not nineteen and not twenty-one; nobody is forgotten, and what is withheld says why."""
    rule(system, severity="warning", stale_seconds=150)
    sources = dict.fromkeys((f"host-{n:02}" for n in range(30)), 0.95)
    for seconds in range(0, 2 * HOUR, 120):
        pass_by(system, sources, seconds)

    first, second = told(), told(since=HOUR, until=2 * HOUR)
    withheld = AlertNotice.objects.filter(cause="hourly_limit")
    assert len(first) == first.total() == 20
    assert len(second) == second.total() == 10
    assert not set(first) & set(second)
    assert withheld.values("alert").distinct().count() == 10


def test_critical_is_exempt_from_the_hourly_limit(system: System) -> None:
    """It is only grouped."""
    rule(system, severity="critical")
    pass_by(system, dict.fromkeys((f"host-{n:02}" for n in range(30)), 0.95), 0)

    assert len(told()) == told().total() == 30


def test_within_the_cooldown_an_alert_that_comes_back_is_told_once(system: System) -> None:
    """Fired at 0, told to be over, back at 130: told of again if it still fires after five minutes, not before."""
    rule(system, severity="warning", cooldown_seconds=300)
    for seconds in range(0, 600, 10):
        pass_by(system, {"host": 0.5 if 30 <= seconds < 130 else 0.95}, seconds)

    assert told(until=300) == {"host": 1}
    assert told(since=300, until=600) == {"host": 1}
