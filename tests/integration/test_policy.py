"""Policy as versions: who changed what and why, from when on it holds, and back again."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from alerts.starters import PACKS
from subsystems.event_log.models import PendingEvent
from subsystems.health.services import keep_overdue_decisions
from subsystems.kernel.errors import Forbidden, Invalid, NotListed, Refused
from subsystems.kernel.words import Subsystem
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s2_coordination import damping
from subsystems.s2_coordination.models import DampingRules
from subsystems.s5_policy import amending, deciding, queries
from subsystems.s5_policy import services as s5
from subsystems.s5_policy.models import Decision, Policy, PolicyVersion
from subsystems.telemetry.queries import latest
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from subsystems.variety import queries as variety
from subsystems.variety.models import VarietyPolicy
from tests.support.factories import make_system, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def system() -> System:
    hot_tier().clear()
    return root_system()


def amend(system: System, kind: str, given: dict[str, Any], **about: Any) -> PolicyVersion:
    return amending.amend(system, kind, given, **{"by": None, "reason": "a test", **about})


def test_a_system_without_policy_has_what_is_documented(system: System) -> None:
    """Nobody must write anything before the platform works."""
    assert queries.viability_policy(system).viability_threshold == 0.7
    assert queries.alert_policy(system).max_alerts_per_hour == 20
    assert queries.emergency_policy(system).mode == "advise"


def test_a_change_is_a_version_and_an_event(system: System) -> None:
    """Who, what, why: for the diff, for the log, for whoever comes later."""
    anna = make_user("anna")

    made = amend(system, "viability", {"weight_s1": 0.4}, by=anna, reason="Work matters more")

    assert (made.version, made.changed, made.author) == (1, {"weight_s1": [0.3, 0.4]}, "anna")
    assert queries.viability_policy(system).weight_s1 == 0.4
    event = PendingEvent.objects.get(type="PolicyChanged")
    assert (event.actor, event.stream, "Work matters more" in event.data) == ("anna", "vsm-system5-policy", True)


def test_saying_the_same_again_is_no_version(system: System) -> None:
    """A form that is sent twice must not fill the history."""
    first, second = [amend(system, "alerts", {"max_alerts_per_hour": 5}) for _ in range(2)]

    assert first == second


def test_a_version_of_tomorrow_does_not_hold_today(system: System) -> None:
    """And a later version replaces it before it ever came into force."""
    now = timezone.now()
    amend(system, "alerts", {"max_alerts_per_hour": 5}, effective_at=now + timedelta(days=1))
    today = queries.alert_policy(system).max_alerts_per_hour
    amend(system, "alerts", {"max_alerts_per_hour": 7})

    body = queries.policy_body(queries.policies().get(), now=now + timedelta(days=2))

    assert today == 20
    assert (body["version"], body["fields"]["max_alerts_per_hour"], body["coming"]) == (2, 7, [])


def test_going_back_is_a_version_of_its_own(system: System) -> None:
    """History is never rewritten."""
    for weight in (0.4, 0.5):
        amend(system, "viability", {"weight_s1": weight})

    made = amending.revert(Policy.objects.get(), 1, by=None, reason="")

    assert (made.version, made.fields["weight_s1"], made.reason) == (3, 0.4, "Back to version 1")
    with pytest.raises(NotListed):
        amending.revert(Policy.objects.get(), 9, by=None, reason="")


def test_damping_and_variety_are_handed_down_when_they_come_into_force(system: System) -> None:
    """Those below cannot read policy: they are told, each version once, also of one that was to come."""
    now = timezone.now()
    first = amend(system, "damping", {"retreat_seconds": 60})
    amend(system, "damping", {"enabled": False}, effective_at=now + timedelta(hours=1))
    amend(system, "variety", {"s1_high": 6}, effective_at=now + timedelta(hours=1))
    today = damping.terms_of(system.pk)

    handed = [amending.hand_down(system, now=now + timedelta(hours=2)) for _ in range(2)]
    then, bands = damping.terms_of(system.pk), variety.rules(system)
    amending.revert(first.policy, 1, by=None, reason="It swung")

    assert (today.enabled, today.retreat_seconds) == (True, 60)
    assert handed == [2, 0]
    assert (then.enabled, then.retreat_seconds, bands.ranges[Subsystem.S1].high) == (False, 60, 6)
    assert damping.terms_of(system.pk).enabled
    assert PendingEvent.objects.filter(type="damping.changed").count() == 3


def test_what_was_set_before_versions_were_kept_is_the_first_version(system: System) -> None:
    """Whoever tuned it before must not lose it, nor find it handed down a second time."""
    DampingRules.objects.create(system=system, factor=3.0)
    VarietyPolicy.objects.create(system=system, buffer_bits=1.5, ranges={"s2": [1.0, 2.5]})
    keep_rows = import_module("subsystems.s5_policy.migrations.0004_damping_and_variety").keep_rows

    keep_rows(apps, None)

    bodies = {row.kind: queries.policy_body(row, now=timezone.now()) for row in queries.policies()}
    fields = bodies["variety"]["fields"]
    assert (bodies["damping"]["version"], bodies["damping"]["fields"]["factor"]) == (1, 3.0)
    assert (fields["buffer_bits"], fields["s2_high"], fields["s1_high"]) == (1.5, 2.5, 4.0)
    assert amending.hand_down(system, now=timezone.now()) == 0


def test_nobody_overwrites_what_they_have_not_seen(system: System) -> None:
    """Two people with the same form open: the second is told."""
    amend(system, "viability", {"weight_s1": 0.4}, expected=0)

    with pytest.raises(Refused) as refused:
        amend(system, "viability", {"weight_s1": 0.6}, expected=0)

    assert refused.value.code == "changed_meanwhile"


@pytest.mark.parametrize(
    ("about", "field"),
    [({"reason": " "}, "reason"), ({"values": ["honesty"]}, "values"), ({"name": "x"}, "name"),
     ({"effective_at": timezone.now() + timedelta(days=4000)}, "effective_at")],
)  # fmt: skip
def test_what_cannot_be_used_leaves_nothing_behind(system: System, about: dict[str, Any], field: str) -> None:
    """No half-made policy."""
    with pytest.raises(Invalid) as refused:
        amend(system, "viability", {"weight_s1": 0.4}, **about)

    assert refused.value.field == field
    assert not Policy.objects.exists()


def test_systems_have_their_own_policies(system: System) -> None:
    """A tenant's weights are its own."""
    amend(make_system("theirs"), "viability", {"weight_s1": 0.9})

    assert queries.viability_policy(system).weight_s1 == 0.3


def test_a_goal_stands_where_its_metric_says(system: System) -> None:
    """The mean of the window, over every unit that sends it; what nobody sends is unknown."""
    at = timezone.now().timestamp()
    record({"a": [Sample("p95", at - 60, 300.0), Sample("p95", at - 30, 500.0)]}, system_id=system.pk, now=at)
    goal = {"title": "Answer fast", "metric": "p95", "baseline": 900, "target": 150}
    amending.add(system, "goal", goal, by=None, reason="customers wait")
    amending.add(system, "goal", goal | {"metric": "other", "title": "Unknown"}, by=None, reason="also")

    found = {each.name: each for each in queries.goals_of(system, now=timezone.now())}

    assert found["answer-fast"].value == pytest.approx(400)
    assert found["answer-fast"].progress == pytest.approx(500 / 750)
    assert (found["unknown"].value, found["unknown"].progress) == (None, None)


def test_a_person_says_where_a_goal_stands(system: System) -> None:
    """Not everything that matters has a metric; and where one says it nobody else does."""
    anna = make_user("anna")
    goal = amending.add(system, "goal", {"title": "Trained", "source": "person", "target": 10}, by=anna, reason="y")
    other = amending.add(system, "goal", {"title": "Fast", "metric": "m"}, by=anna, reason="y")
    for value in (4, 7):
        amending.enter_value(goal, value, by=anna)

    found = {each.name: each for each in queries.goals_of(system, now=timezone.now())}

    assert found["trained"].progress == pytest.approx(0.7)
    with pytest.raises(Refused):
        amending.enter_value(other, 1, by=anna)


def test_policies_and_decisions_are_measured_by_the_declared_values(system: System) -> None:
    """What nobody tagged serves nothing that was declared."""
    anna = make_user("anna", role="admin")
    amending.add(system, "value", {"title": "Care"}, by=anna, reason="y")
    amend(system, "viability", {"weight_s1": 0.4}, values=["care"])
    amend(system, "alerts", {"max_alerts_per_hour": 5})
    now = timezone.now()
    due = now + timedelta(days=1)
    deciding.put_down(system, by=anna, title="More workers?", due_at=due, values=["care"])

    found = queries.identity(system, now=now + timedelta(seconds=1))

    assert (found.items, found.tagged, found.score) == (3, 2, pytest.approx(2 / 3))


def test_a_decision_goes_from_question_to_review(system: System) -> None:
    """Quality is of those reviewed; coverage says how few these may be."""
    anna, ben = make_user("anna", role="operator"), make_user("ben", role="operator")
    now = timezone.now()
    row = deciding.put_down(system, by=anna, title="More workers?", due_at=now + timedelta(days=1), approver=ben)
    with pytest.raises(Forbidden):
        deciding.decide(row, by=anna, answer="Yes")
    review_by = now + timedelta(days=30)
    deciding.decide(row, by=ben, answer="Yes, two.", criterion="p95 below 200 ms", review_by=review_by)
    with pytest.raises(Refused):
        deciding.decide(row, by=ben, answer="No")
    deciding.review(row, by=anna, outcome="met", note="180 ms")

    counts = queries.decision_counts(system, now=timezone.now())

    assert counts == {"with_criterion": 1, "due": 1, "reviewed": 1, "met": 1}
    types = PendingEvent.objects.filter(stream="vsm-system5-policy").values_list("type", flat=True)
    assert list(types) == ["DecisionAsked", "DecisionMade", "DecisionReviewed"]


def test_an_alerts_question_is_reviewed_as_well_and_then_kept(system: System) -> None:
    """What was worth a judgement is not forgotten after a month; the others are."""
    then = timezone.now() - timedelta(days=31)
    for fingerprint in ("a", "b"):
        s5.ask(system.pk, fingerprint, asked_at=then, within=timedelta(minutes=5))
    s5.answer(system.pk, "a", at=then)
    deciding.review(Decision.objects.get(fingerprint="a"), by=make_user(), outcome="not_met", criterion="no repeat")

    s5.forget_decisions(now=timezone.now())

    assert [row.fingerprint for row in Decision.objects.all()] == ["a"]


def test_a_strategic_decision_is_no_alerts_question(system: System) -> None:
    """S5's vital counts the answers to alerts."""
    anna, now = make_user(role="operator"), timezone.now()
    deciding.put_down(system, by=anna, title="More workers?", due_at=now + timedelta(days=1))

    assert queries.answer_counts(system, since=now - timedelta(days=1), now=now)["asked"] == 0


@pytest.mark.parametrize(
    ("given", "field"),
    [({"title": ""}, "title"), ({"due_at": timezone.now() - timedelta(days=1)}, "due_at"),
     ({"review_by": timezone.now() + timedelta(days=2)}, "criterion"), ({"title": "x" * 201}, "title")],
)  # fmt: skip
def test_a_decision_that_cannot_be_is_refused_at_its_field(system: System, given: dict[str, Any], field: str) -> None:
    """Nothing is written of it."""
    with pytest.raises(Invalid) as refused:
        deciding.put_down(
            system, **{"by": make_user(), "title": "t", "due_at": timezone.now() + timedelta(days=1), **given}
        )

    assert (refused.value.field, Decision.objects.count()) == (field, 0)


def test_overdue_decisions_are_a_series_that_alerts_watch(system: System) -> None:
    """What nobody answers or reviews in time is told like anything else: by a rule on a metric."""
    now = timezone.now()
    late, early = now - timedelta(hours=1), now + timedelta(hours=1)
    about = {"system": system, "asked_at": now - timedelta(days=1), "criterion": "It sells"}
    for number, fields in enumerate([
        {"title": "Sell?", "due_at": late}, {"title": "Buy?", "due_at": early},
        {"title": "Rent?", "due_at": late, "answered_at": late, "review_by": late},
        {"title": "", "due_at": late},
    ]):  # fmt: skip
        Decision.objects.create(fingerprint=str(number), **about, **fields)

    keep_overdue_decisions(now)

    [(source, told)] = latest(system.pk, metrics=["decisions_overdue", "reviews_overdue"]).items()
    assert (source, told["decisions_overdue"][1], told["reviews_overdue"][1]) == (system.slug, 1.0, 1.0)
    assert {rule["metric"] for rule in PACKS["vsm"].rules if "overdue" in rule["name"]} == set(told)
