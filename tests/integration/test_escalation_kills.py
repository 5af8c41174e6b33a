"""A worker is killed at every statement of an escalation: no step is lost, and none is done twice."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from alerts.notices import reporting
from alerts.notices import services as notices
from alerts.notices.models import Notification, Target
from alerts.people import planning
from alerts.people import services as people
from alerts.people.models import EscalationPolicy, EscalationRun, EscalationStep, Page
from subsystems.recursion.queries import root_system
from tests.support.dying import Step, dies_at, the_dead_are_gone
from tests.support.factories import make_user
from tests.support.waiting import wait_for

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KILLS = 60
pytestmark = pytest.mark.django_db(transaction=True)


def prepare(names: list[str]) -> None:
    """Let three people be told of each of these groups, one after another."""
    system, boss = root_system(), make_user("boss", superuser=True)
    steps = []
    for name in ("anna", "ben", "carl"):
        user = make_user(name, role="operator")
        config = {"url": f"https://{name}.example.org/hook"}
        Target.objects.create(owner=user, name="phone", kind="webhook", config=config)
        steps += [{"notify": {"user": name}}, {"wait": "1m"}]
    planning.save_policy(EscalationPolicy(system=system, name="rescue"), boss, steps=steps)
    route = {"receiver": "ops", "group_by": ["name"], "group_wait": "0s"}
    receivers = [{"name": "ops", "targets": [], "escalation": "rescue"}]
    notices.save_routing(system, {"route": route, "receivers": receivers}, boss, now=NOON)
    ends = (NOON + timedelta(days=2)).isoformat()
    labels = [{"alertname": "Full", "name": name, "severity": "critical"} for name in names]
    body = [{"labels": each, "startsAt": NOON.isoformat(), "endsAt": ends} for each in labels]
    assert reporting.receive(system, body, now=NOON) == (len(names), [])


def work(now: datetime) -> None:
    people.turn(now=now)
    notices.turn(now=now)
    people.escalate(now=now)


def test_killed_at_any_step_everybody_is_told_once() -> None:
    """At its first statement, at its second, and so on, while time goes by."""
    names = ["x", "y", "z"]
    prepare(names)
    now, deaths = NOON, 0

    for number in range(KILLS):

        def dying(step: Step, now: datetime = now) -> None:
            work(now)

        deaths += dies_at(number % KILLS + 1, dying, after=bool(number % 2))
        wait_for(the_dead_are_gone)
        now += timedelta(seconds=7)
    for _ in range(4):
        now += timedelta(minutes=1)
        work(now)

    said = Counter(Notification.objects.filter(reason="escalation").values_list("group_id", "target_name"))
    taken = Counter(EscalationStep.objects.values_list("run_id", "round", "number"))
    assert deaths > KILLS // 2
    assert sorted(said.values()) == [1] * 9
    assert (len(taken), set(taken.values())) == (18, {1})
    assert set(EscalationRun.objects.values_list("state", flat=True)) == {"exhausted"}
    assert set(Page.objects.values_list("state", flat=True)) == {"told"}
