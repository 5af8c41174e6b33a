"""What variety is judged by, in the dashboard."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from subsystems.event_log.models import PendingEvent
from subsystems.kernel.words import Subsystem
from subsystems.recursion.queries import root_system
from subsystems.telemetry.requisite import RANGES, Range
from subsystems.variety import queries
from subsystems.variety.models import VarietyPolicy
from tests.support.factories import make_system, make_user

pytestmark = pytest.mark.django_db
PAGE = "/dashboard/variety/"
USUAL = {
    "critical_below": "0.8", "sufficient_from": "1", "excess_above": "1.5", "buffer_bits": "0", "goal_bits": "0",
    **{f"{each}_{end}": str(getattr(range_, end)) for each, range_ in RANGES.items() for end in ("low", "high")},
}  # fmt: skip


def one_who(role: str, **fields: Any) -> Client:
    client = Client()
    client.force_login(make_user(role=role, **fields))
    return client


def test_the_page_shows_what_is_judged_by_to_those_who_may_change_it() -> None:
    """A reader has no form that would refuse them."""
    operator, reader = (one_who(role).get(PAGE).content.decode() for role in ("operator", "viewer"))

    assert 'name="s5_high"' in operator
    assert "Documented: 0.5 to 2" in operator
    assert 'name="s5_high"' not in reader


def test_what_is_saved_judges_the_next_reading_and_is_recorded() -> None:
    """Only what differs from the documents is written down; who changed it is known."""
    answer = one_who("operator", username="olga").post(PAGE, {**USUAL, "critical_below": "0.5", "s1_high": "6"})

    rules = queries.rules(root_system())
    assert answer.status_code == 302
    assert (rules.bands.critical_below, rules.ranges[Subsystem.S1]) == (0.5, Range(2.0, 6.0))
    assert VarietyPolicy.objects.get().ranges == {"s1": [2.0, 6.0]}
    assert list(PendingEvent.objects.filter(type="VarietyPolicyChanged").values_list("actor", flat=True)) == ["olga"]


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
    answer = one_who("operator").post(PAGE, {**USUAL, **given})

    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == [field]
    assert not VarietyPolicy.objects.exists()


def test_nobody_changes_what_another_system_is_judged_by() -> None:
    """An operator of one system is a stranger in the other; a reader only reads."""
    acme = make_system("acme")
    elsewhere = one_who("operator", system=acme)

    assert elsewhere.post(f"{PAGE}?system=main", USUAL).status_code == 404
    assert one_who("viewer").post(PAGE, USUAL).status_code == 403
    assert not VarietyPolicy.objects.exists()


def test_the_admin_refuses_what_the_page_refuses() -> None:
    """The same rule behind both doors, and no 500 for an empty field."""
    admin = one_who("", superuser=True)
    fields = {"system": root_system().pk, **{name: USUAL[name] for name in list(USUAL)[:5]}}

    for given in ({"ranges": '{"s1": [3, 1]}'}, {"ranges": "{}", "critical_below": ""}, {"ranges": "null"}):
        answer = admin.post("/admin/variety/varietypolicy/add/", {**fields, **given})
        assert answer.context["adminform"].form.errors, given

    assert not VarietyPolicy.objects.exists()
