"""A worker is killed at every step of sorting, flushing and sending: every alert is told, a silenced one never."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.delivery import sending
from alerts.notices import reporting, services
from alerts.notices.models import GroupTold, Incoming, Notification, Target
from subsystems.recursion.queries import root_system
from tests.support.dying import Step, dies_at, the_dead_are_gone
from tests.support.factories import make_user
from tests.support.services_fake import Fake, serving
from tests.support.waiting import wait_for

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ROUNDS, MOST_STEPS = 42, 42
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fake(settings: Any) -> Iterator[Fake]:
    settings.HTTP_ALLOW = ["127.0.0.0/8"]
    with serving() as running:
        yield running


def report(names: list[str], now: datetime) -> None:
    labels = [{"alertname": "Test", "name": name, "team": name[0], "severity": "critical"} for name in names]
    ends = (now + timedelta(days=2)).isoformat()
    body = [{"labels": each, "startsAt": now.isoformat(), "endsAt": ends} for each in labels]
    assert reporting.receive(root_system(), body, now=now) == (len(names), [])


def at_work(now: datetime) -> Any:
    def work(step: Step) -> None:
        ask = sending.exchange

        async def exchange(*args: Any) -> Any:
            step.run(lambda: None)
            answer = await ask(*args)
            step.run(lambda: None)  # here the service has it, and nobody has written that down
            return answer

        sending.exchange = exchange  # type: ignore[assignment]
        services.turn(now=now)
        sending.send_due(now=now, clock=lambda: now)

    return work


def test_killed_at_any_step_every_alert_is_told_and_few_are_told_twice(fake: Fake) -> None:
    """Kill it at its first step, at its second, and so on while alerts keep coming; nobody may be forgotten."""
    user = make_user(superuser=True)
    target = Target(system=root_system(), name="ops", kind="webhook")
    services.save_target(target, user, settings={"url": f"{fake.url}/hook"})
    routing = {"route": {"receiver": "r", "group_by": ["team"], "group_wait": "0s"},
               "receivers": [{"name": "r", "targets": ["ops"]}]}  # fmt: skip
    services.save_routing(root_system(), routing, user, now=NOON)
    services.create_silence(root_system(), user, 'team="s"', NOON + timedelta(days=2), "hush", now=NOON)
    now, names = NOON, []
    deaths = 0
    for number in range(ROUNDS):
        if number % 3 == 0:  # the work never ends
            names += [f"{team}{number}" for team in "abs"]
            report(names[-3:], now)
        deaths += dies_at(number % MOST_STEPS + 1, at_work(now), after=bool(number % 2))
        wait_for(the_dead_are_gone)
        now += sending.LEASE + timedelta(seconds=1)
    for _ in range(4):
        now += timedelta(seconds=301)
        services.turn(now=now)
        sending.send_due(now=now)

    heard = Counter(alert["labels"]["name"] for *_, body in fake.requests for alert in body["alerts"])
    ids = Counter(headers["webhook-id"] for _, _, headers, _ in fake.requests)
    doubled = sum(count - 1 for count in ids.values())
    assert deaths > ROUNDS / 2
    assert {name for name in names if name[0] != "s"} == set(heard)
    assert doubled <= deaths / 10, f"{doubled} of {len(ids)} notifications were sent twice after {deaths} deaths"
    assert not Notification.objects.filter(state="waiting").exists()
    assert (Incoming.objects.count(), GroupTold.objects.count()) == (0, 2)
