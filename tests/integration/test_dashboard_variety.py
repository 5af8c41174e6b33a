"""What variety is judged by, in the dashboard."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from subsystems.event_log.models import PendingEvent
from subsystems.kernel.words import Subsystem
from subsystems.recursion.queries import root_system
from subsystems.s5_policy.models import PolicyVersion
from subsystems.telemetry.requisite import RANGES, Range
from subsystems.variety import queries
from subsystems.variety.models import VarietyPolicy
from tests.support.factories import make_system, make_user

pytestmark = pytest.mark.django_db
PAGE, POLICY = "/dashboard/variety/", "/dashboard/policy/variety/"
USUAL = {
    "critical_below": "0.8", "sufficient_from": "1", "excess_above": "1.5", "buffer_bits": "0", "goal_bits": "0",
    "reason": "More varies here", "expected": "0",
    **{f"{each}_{end}": str(getattr(range_, end)) for each, range_ in RANGES.items() for end in ("low", "high")},
}  # fmt: skip


def one_who(role: str, **fields: Any) -> Client:
    client = Client()
    client.force_login(make_user(role=role, **fields))
    return client


def test_the_page_leads_to_the_policy_that_it_is_judged_by() -> None:
    """Versions, reasons and the way back are there, and nowhere else."""
    page = one_who("viewer").get(PAGE).content.decode()

    assert "/dashboard/policy/variety/" in page
    assert one_who("admin").post(POLICY, {"critical_below": "0.5"}).status_code == 400


def test_what_is_saved_judges_the_next_reading_and_is_recorded() -> None:
    """Only what differs from the documents is handed down; who changed it, and why, is known."""
    answer = one_who("admin", username="olga").post(POLICY, {**USUAL, "critical_below": "0.5", "s1_high": "6"})

    rules = queries.rules(root_system())
    assert answer.status_code == 302
    assert (rules.bands.critical_below, rules.ranges[Subsystem.S1]) == (0.5, Range(2.0, 6.0))
    assert VarietyPolicy.objects.get().ranges == {"s1": [2.0, 6.0]}
    assert list(PendingEvent.objects.filter(type="VarietyPolicyChanged").values_list("actor", flat=True)) == ["olga"]
    version = PolicyVersion.objects.get()
    assert (version.policy.kind, version.author, version.reason) == ("variety", "olga", "More varies here")
    assert version.changed == {"critical_below": [0.8, 0.5], "s1_high": [4.0, 6.0]}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        pytest.param({"s3_low": "3.5"}, "s3_high", id="a range that ends before it begins"),
        pytest.param({"s3_low": "nan"}, "s3_low", id="no number"),
        pytest.param({"s3_low": ""}, "s3_low", id="nothing"),
        pytest.param({"sufficient_from": "0.1"}, "sufficient_from", id="sufficient and critical at once"),
        pytest.param({"buffer_bits": "-1"}, "buffer_bits", id="a negative buffer"),
        pytest.param({"excess_above": "1e999"}, "excess_above", id="infinity"),
    ],
)
def test_what_nothing_can_be_judged_by_is_refused_at_its_field(given: dict[str, str], field: str) -> None:
    """And nothing is saved."""
    answer = one_who("admin").post(POLICY, {**USUAL, **given})

    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == [field]
    assert not VarietyPolicy.objects.exists()


def test_nobody_changes_what_another_system_is_judged_by() -> None:
    """An administrator of one system is a stranger in the other; who operates only reads."""
    acme = make_system("acme")
    elsewhere = one_who("admin", system=acme)

    assert elsewhere.post(f"{POLICY}?system=main", USUAL).status_code == 404
    assert one_who("operator").post(POLICY, USUAL).status_code == 403
    assert not VarietyPolicy.objects.exists()


@pytest.mark.parametrize("model", ["variety/varietypolicy", "s2_coordination/dampingrules"])
def test_the_admin_shows_what_was_handed_down_and_writes_none_of_it(model: str) -> None:
    """There is one road for policy."""
    administrator = one_who("", superuser=True)

    assert administrator.get(f"/admin/{model}/").status_code == 200
    assert administrator.post(f"/admin/{model}/add/", USUAL).status_code == 403
