"""An unhealthy system: S5 is told once, advises, acts only where policy says so; and the scores beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subsystems.algedonic.models import Signal
from subsystems.health import services
from subsystems.health.models import Assessment, ScoreSheet
from subsystems.health.queries import scores_body, viability_body
from subsystems.health.scores import DEFINITIONS
from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.models import ActionPolicy, Recommendation, SteeringRule
from subsystems.s3_control.permitting import permission
from subsystems.s5_policy import amending, responding
from subsystems.s5_policy.models import Emergency
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.support.factories import bearer, make_system, make_token, make_unit, make_user
from vsm_site.exposition.scope import scope_of
from vsm_site.exposition.systems import scored

pytestmark = pytest.mark.django_db
BAD = {
    "s1": {"score": 0.2, "status": "unhealthy", "reason": "Average health of 1 of 1 units."},
    "s2": {"score": None, "status": "unknown", "reason": "Nothing ran."},
}
ACT = {"fleet": "shop", "kind": "queue.pause", "target": "reports", "parameters": {}}


@pytest.fixture
def system() -> System:
    hot_tier().clear()
    return root_system()


def heed(system: System, health: float | None, **about: Any) -> Emergency | None:
    about = {"subsystems": BAD, "told_already": False, "now": timezone.now(), **about}
    return responding.heed(system, overall_health=health, **about)


def test_s5_is_told_once_and_advises(system: System) -> None:
    """However many assessments find the same; and S3 has the advice in its inbox."""
    for _ in range(3):
        heed(system, 0.3)

    row = Emergency.objects.get()
    assert (row.mode, [step["subsystem"] for step in row.checklist]) == ("advise", ["s1", "s2"])
    assert Signal.objects.filter(source="emergency", severity="critical").count() == 1
    assert list(Recommendation.objects.values_list("subject", "act_kind")) == [("emergency:s1", "")]


def test_it_is_over_when_the_system_is_better_and_not_when_nothing_is_known(system: System) -> None:
    """Unknown is no recovery."""
    heed(system, 0.3)
    still = heed(system, None)
    heed(system, 0.6)

    assert still is not None
    assert Emergency.objects.get().ended_at is not None
    assert Signal.objects.get(source="emergency").state == "resolved"


def test_what_viability_told_already_is_not_told_twice(system: System) -> None:
    """One pain for one trouble."""
    heed(system, 0.3, told_already=True)

    assert not Signal.objects.filter(source="emergency").exists()


def test_policy_switches_the_response_off_or_lets_it_act(system: System) -> None:
    """An act of the plan is a proposal to S3, which decides by what S5 permits."""
    Fleet.objects.create(system=system, name="shop")
    amending.amend(system, "emergency", {"mode": "off"}, by=None, reason="y")
    heed(system, 0.3)
    silent = Emergency.objects.get().responded_at
    heed(system, 0.9)
    amending.amend(system, "emergency", {"mode": "act", "plan": [ACT]}, by=None, reason="y")
    heed(system, 0.3)

    proposed = Recommendation.objects.get(act_kind="queue.pause")
    assert silent is None
    assert (proposed.act_target, proposed.state) == ("reports", "proposed")
    assert Emergency.objects.first().checklist[-1]["recommendation"] == str(proposed.pk)


def test_an_act_that_cannot_be_proposed_is_explained(system: System) -> None:
    """A fleet that is gone must not stop the response."""
    amending.amend(system, "emergency", {"mode": "act", "plan": [ACT]}, by=None, reason="y")

    row = heed(system, 0.3)

    assert row is not None
    assert row.checklist[-1]["why"].startswith("Not proposed: ")


@pytest.mark.parametrize("plan", [[], [{"fleet": "a"}], [{**ACT, "kind": "magic"}], "now", [{**ACT, "x": 1}]])
def test_a_plan_that_means_nothing_is_refused(system: System, plan: Any) -> None:
    """Found out now, not in the emergency."""
    with pytest.raises(Invalid) as refused:
        amending.amend(system, "emergency", {"mode": "act", "plan": plan}, by=None, reason="y")

    assert refused.value.field == "plan"


def test_lines_are_ticked_by_who_may_operate(client: Client, system: System) -> None:
    """On the page and over the API; a viewer only looks."""
    row = heed(system, 0.3)
    assert row is not None
    client.force_login(make_user("anna", role="operator"))
    client.post(f"/dashboard/policy/emergencies/{row.pk}/tick/", {"number": "0", "done": "1"})
    shown = client.get("/dashboard/policy/emergencies/").content.decode()
    client.force_login(make_user(role="viewer"))
    refused = client.post(f"/dashboard/policy/emergencies/{row.pk}/tick/", {"number": "0", "done": "0"})
    headers = bearer(make_token(["operate", "read"])[1])
    answer = client.post(f"/api/v1/emergencies/{row.pk}/tick/", {"number": 9}, "application/json", headers=headers)

    assert "by anna" in shown
    assert (refused.status_code, answer.status_code) == (403, 404)
    assert Emergency.objects.get().checklist[0]["done_by"] == "anna"


def test_an_assessment_makes_the_scores_and_goes_the_documented_way(system: System) -> None:
    """What was not measured is unknown, with the reason."""
    now = timezone.now()
    make_unit("u", state="active", score=0.3, last_seen_at=now)
    at = now.timestamp() - 10
    record({"w": [Sample("pool_size", at, 4.0), Sample("active", at, 3.0)]}, system_id=system.pk, now=now.timestamp())
    services.assess(system, int(now.timestamp()), now=now)

    body = {each["name"]: each for each in scores_body(system)["scores"]}

    assert (body["allocation_efficiency"]["value"], body["allocation_efficiency"]["inputs"]["pools"]) == (0.75, 1)
    assert (body["goal_progress"]["value"], body["goal_progress"]["reason"]) == (None, "No goal is set.")
    assert body["recursion_depth"]["value"] == 0.0
    made = Assessment.objects.get()
    assert made.details["states"][4:-1] == ["unhealthy", "escalating_critical", "notifying_s5", "emergency_response"]
    assert set(made.details["scores"]) == {each.name for each in DEFINITIONS}
    assert viability_body(system)["counterfactual"][0]["subsystem"] == "s1"
    assert Emergency.objects.get().checklist[0]["subsystem"] == "s1"


def test_the_scores_cost_a_bounded_number_of_queries(system: System) -> None:
    """Twenty goals and ten values are read like one."""
    for number in range(20):
        goal = {"title": f"g{number}", "metric": "m", "target": 10}
        amending.add(system, "goal", goal, by=None, reason="y")
    now = timezone.now()

    with CaptureQueriesContext(connection) as captured:
        services.assess(system, int(now.timestamp()), now=now)

    assert len(captured) <= 60


def test_known_scores_are_gauges_and_unknown_ones_absent(system: System) -> None:
    """Nothing may pass for zero."""
    body = {"goal_progress": {"value": 0.5}, "decision_quality": {"value": None}}
    ScoreSheet.objects.create(system=system, at=timezone.now(), body=body)

    found = {family.name: family.rows for family in scored(scope_of([system], now=timezone.now().timestamp()))}

    assert found["vsm_system5_goal_progress"] == [(("main",), 0.5)]
    assert found["vsm_system5_decision_quality"] == []


def test_the_page_explains_what_is_known_and_what_is_not(client: Client, system: System) -> None:
    """With the inputs, and what would raise viability most."""
    now = timezone.now()
    make_unit("u", state="active", score=0.3, last_seen_at=now)
    amending.add(system, "value", {"title": "Care"}, by=None, reason="y")
    amending.amend(system, "viability", {"weight_s1": 0.4}, by=None, reason="y", values=["care"], now=now)
    services.assess(system, int(now.timestamp()), now=now)
    client.force_login(make_user(role="viewer"))

    page = client.get("/dashboard/scores/").content.decode()

    assert all(part in page for part in ("items 1", "tagged 1", "judged 0"))  # in the order that the database gives
    assert "No goal is set." in page
    assert "If this alone were healthy" in page


def test_scores_of_another_tenant_are_not_shown(client: Client, system: System) -> None:
    """The page, the API."""
    make_system("theirs")
    user = make_user(role="viewer")
    client.force_login(user)
    headers = bearer(make_token(["read"], user=user)[1])

    answers = [
        client.get("/api/v1/scores/?system=theirs", headers=headers),
        client.get("/dashboard/scores/?system=theirs"),
    ]

    assert [answer.status_code for answer in answers] == [400, 404]


def test_what_s5_permits_is_handed_down_when_it_comes_into_force(system: System) -> None:
    """S3 does what S5 says from that moment on, and not before."""
    now = timezone.now()
    acting = {"mode": "auto", "targets": "mail, reports*", "per_hour": 2, "most": 4}
    amending.amend(system, "acting", acting, by=None, reason="y", name="queue.pause")
    amending.amend(
        system, "acting", {"mode": "never"}, by=None, reason="y", name="queue.purge",
        effective_at=now + timedelta(hours=1),
    )  # fmt: skip
    before = permission(system.pk, "queue.purge").mode
    handed = [amending.hand_down(system, now=now + timedelta(hours=2)) for _ in range(2)]

    limits = permission(system.pk, "queue.pause").limits
    assert (limits.targets, limits.per_hour, limits.most) == (("mail", "reports*"), 2, 4)
    assert (before, permission(system.pk, "queue.purge").mode, handed) == ("manual", "never", [1, 0])
    with pytest.raises(Invalid):
        amending.amend(system, "acting", {"mode": "auto"}, by=None, reason="y", name="magic")
    assert ActionPolicy.objects.count() == 2


def test_an_administrator_permits_an_act_on_its_page(client: Client, system: System) -> None:
    """The kinds of acts are given; each has its own policy."""
    client.force_login(make_user(role="admin"))
    form = {"mode": "auto", "targets": "*", "per_hour": "3", "cooldown_seconds": "60", "most": "0", "stop_after": "3",
            "reason": "y", "expected": "0"}  # fmt: skip

    answer = client.post("/dashboard/policy/acts/queue.pause/", form)

    assert answer.status_code == 302
    assert permission(system.pk, "queue.pause").mode == "auto"
    assert "by itself, within limits" in client.get("/dashboard/policy/").content.decode()
    assert client.get("/dashboard/policy/acts/magic/").status_code == 404


def test_acts_are_left_to_a_group_and_given_back(system: System) -> None:
    """Whose approval an act needs is policy, too; what policy never named stays as it was ruled by hand."""
    keepers, others = (Group.objects.create(name=name) for name in ("keepers", "others"))
    by_hand = SteeringRule.objects.create(system=system, kind="queue.pause", target="*", group=others)

    def amend(**fields: Any) -> list[str]:
        amending.amend(system, "acting", fields, by=None, reason="y", name=fields.pop("name"))
        return list(SteeringRule.objects.order_by("kind").values_list("group__name", flat=True))

    untouched = amend(name="queue.pause", per_hour=3)
    left = amend(name="queue.purge", approvers="keepers")
    back = amend(name="queue.purge", approvers="")

    assert (untouched, left, back) == (["others"], ["others", "keepers"], ["others"])
    assert (by_hand.group, keepers.name) == (others, "keepers")
    with pytest.raises(Invalid) as refused:
        amend(name="queue.purge", approvers="nobody")
    assert refused.value.field == "approvers"
    with pytest.raises(Invalid) as refused:
        amend(name="queue.purge", targets="x" * 201)
    assert refused.value.field == "targets"
