"""A worker is killed at every statement of an evaluation: each alert fires once, ends once, and is recorded once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from alerts import services
from alerts.models import Alert
from alerts.notices.models import Incoming
from subsystems.event_log.models import PendingEvent
from subsystems.recursion.queries import root_system
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.support.dying import Step, dies_at, the_dead_are_gone
from tests.support.waiting import wait_for

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KILLS = 30
HOSTS = ("a", "b", "c")
pytestmark = pytest.mark.django_db(transaction=True)


def heard(value: float, now: datetime) -> None:
    at = now.timestamp()
    record({host: [Sample("m", at, value)] for host in HOSTS}, system_id=root_system().pk, now=at)


def test_killed_at_any_step_each_alert_fires_and_ends_once() -> None:
    """First while all hosts are bad, then while all are well: at each statement in turn."""
    hot_tier().clear()
    services.create_rule(root_system(), None, name="Watch", metric="m", threshold=10, severity="critical")
    now, deaths = NOON, 0
    for value in (20.0, 1.0):
        for number in range(KILLS):
            now += timedelta(seconds=5)
            heard(value, now)

            def dying(step: Step, now: datetime = now) -> None:
                services.evaluate(now=now)

            deaths += dies_at(number + 1, dying, after=bool(number % 2))
            wait_for(the_dead_are_gone)
        services.evaluate(now=now)

    told = Counter(PendingEvent.objects.filter(stream="vsm-alerts").values_list("type", "correlation_id"))
    changes = [kind for kind, _ in told if kind in ("alert.firing", "alert.resolved")]
    assert deaths > KILLS // 4
    assert Alert.objects.filter(state="resolved").count() == Alert.objects.count() == len(HOSTS)
    assert set(told.values()) == {1}
    assert Counter(changes) == {"alert.firing": 3, "alert.resolved": 3}
    assert Counter(Incoming.objects.values_list("fired", flat=True)) == {True: 3, False: 3}
