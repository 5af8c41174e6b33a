"""The field in which a unit is named rather than picked out of ten thousand."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from alerts.models import AlertRule
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Unit
from tests.support.factories import make_system, make_unit, make_user

pytestmark = pytest.mark.django_db
ADD = "/dashboard/alerts/rules/add/"
RULE = {"name": "Hot", "metric": "cpu_ratio", "comparison": "gt", "threshold": "0.9", "severity": "warning"}


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_user(role="operator"))
    return client


@pytest.mark.parametrize("written", ["web-1", " web-1 ", "web-1 (http)", "{id}"])
def test_a_rule_names_its_unit(operator: Client, written: str) -> None:
    """By its name, with its type beside it, or as links from elsewhere do: by its id."""
    unit = make_unit("web-1")
    kind = unit.kind

    operator.post(ADD, {**RULE, "unit": written.replace("(http)", f"({kind})").format(id=unit.pk)})

    assert AlertRule.objects.get().unit == unit
    assert f'value="web-1" data-id="{unit.pk}"' in operator.get(f"{ADD}?unit={unit.pk}").content.decode()


def test_no_unit_is_every_unit(operator: Client) -> None:
    """The usual rule is about all of them."""
    operator.post(ADD, {**RULE, "unit": ""})

    assert AlertRule.objects.get().unit is None


def test_a_part_of_a_name_is_answered_with_those_that_have_it(operator: Client) -> None:
    """Without a script nothing is suggested while one types, so the answer is."""
    for name in ("web-1", "web-2", "db-1"):
        make_unit(name)
    theirs = make_unit("web-theirs", system=make_system("elsewhere"))

    told = operator.post(ADD, {**RULE, "unit": "web"})
    unknown = [operator.post(ADD, {**RULE, "unit": text}) for text in (str(theirs.pk), "nobody", "9" * 30, "a\0b", "²")]

    errors = told.context["form"].errors["unit"][0]
    assert told.status_code == 400
    assert "web-1" in errors
    assert "web-2" in errors
    assert "db-1" not in errors
    assert "web-theirs" not in errors
    assert {answer.status_code for answer in unknown} == {400}
    assert not AlertRule.objects.exists()


def test_units_of_one_name_are_told_apart_by_their_type(operator: Client) -> None:
    """A host and the agent on it may be called the same."""
    host = make_unit("box")
    agent = Unit.objects.create(system=root_system(), name="box", kind="agent" if host.kind != "agent" else "http")

    refused = operator.post(ADD, {**RULE, "unit": "box"})
    operator.post(ADD, {**RULE, "unit": f"box ({agent.kind})"})

    assert f"box ({host.kind})" in refused.context["form"].errors["unit"][0]
    rule = AlertRule.objects.get()
    assert rule.unit == agent
    page = operator.get(f"/dashboard/alerts/rules/{rule.pk}/").content.decode()
    assert f'value="box ({agent.kind})"' in page


def test_the_form_costs_the_same_whatever_there_is(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """It used to write out every unit of the system."""
    Unit.objects.bulk_create(Unit(system=root_system(), name=f"unit-{n:04}", kind="http") for n in range(500))

    with django_assert_max_num_queries(20):
        page = operator.get(ADD)

    assert b"unit-0" not in page.content
