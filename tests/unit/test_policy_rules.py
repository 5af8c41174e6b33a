"""What policy can say, how far goals have come, what serves the values, how S3 and S4 balance: pure decisions."""

from __future__ import annotations

from typing import Any

import pytest

from subsystems.kernel.errors import Invalid, NotListed
from subsystems.s5_policy.balance import balance
from subsystems.s5_policy.goals import Standing, overall, progress
from subsystems.s5_policy.identity import Item, alignment
from subsystems.s5_policy.terms import (
    TERMS,
    AlertPolicy,
    EmergencyPolicy,
    Kind,
    ViabilityPolicy,
    difference,
    terms_of,
)


@pytest.mark.parametrize(
    ("kind", "form"),
    [(Kind.VIABILITY, ViabilityPolicy), (Kind.ALERTS, AlertPolicy), (Kind.EMERGENCY, EmergencyPolicy)],
)
def test_what_is_asked_has_the_defaults_of_what_is_said(kind: Kind, form: type[Any]) -> None:
    """Two tables of defaults would part some day."""
    assert TERMS[kind].defaults == {name: getattr(form(), name) for name in TERMS[kind].defaults}


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        pytest.param("viability", {"weight_s1": 1.5}, "weight_s1", id="a weight above 1"),
        pytest.param("viability", {"weight_s1": float("nan")}, "weight_s1", id="no number"),
        pytest.param("viability", {"weight_s1": True}, "weight_s1", id="a flag for a number"),
        pytest.param("viability", {"colour": 1}, "colour", id="an unknown field"),
        pytest.param("viability", {"critical_threshold": 0.9}, "critical_threshold", id="thresholds the wrong way"),
        pytest.param("viability", dict.fromkeys([f"weight_s{n}" for n in range(1, 6)], 0), "weight_s1", id="no weight"),
        pytest.param("alerts", {"max_alerts_per_hour": 1.5}, "max_alerts_per_hour", id="half an alert"),
        pytest.param("emergency", {"mode": "panic"}, "mode", id="an unknown mode"),
        pytest.param("goal", {"title": " "}, "title", id="a goal without a title"),
        pytest.param("goal", {"title": "g"}, "metric", id="a goal without a metric"),
        pytest.param("goal", {"title": "g", "metric": "m", "target": 0}, "target", id="nothing to reach"),
        pytest.param("goal", {"title": "g", "metric": "m", "due_on": "soon"}, "due_on", id="no date"),
        pytest.param("value", {"title": "v" * 121}, "title", id="a title too long"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(kind: str, given: dict[str, Any], field: str) -> None:
    """A policy by which nothing could be judged must not come into force."""
    with pytest.raises(Invalid) as refused:
        terms_of(kind).complete(given, {})

    assert refused.value.field == field


def test_what_is_not_given_stays_as_it_was() -> None:
    """A change of one weight must not bring the others back to their defaults."""
    fields = terms_of("viability").complete({"weight_s1": 0.5}, {"weight_s2": 0.3})

    assert (fields["weight_s1"], fields["weight_s2"], fields["weight_s3"]) == (0.5, 0.3, 0.2)


def test_there_is_no_other_kind() -> None:
    """A typing mistake must not make a policy that nobody follows."""
    with pytest.raises(NotListed):
        terms_of("mood")


def test_a_difference_names_both_sides() -> None:
    """Who reviews a change sees what it was and what it is."""
    assert difference({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == {"b": [2, 3], "c": [None, 4]}


@pytest.mark.parametrize(
    ("value", "baseline", "target", "expected"),
    [
        pytest.param(50, 0, 100, 0.5, id="half-way up"),
        pytest.param(300, 500, 100, 0.5, id="half-way down"),
        pytest.param(700, 500, 100, 0.0, id="further away than it began"),
        pytest.param(50, 500, 100, 1.0, id="beyond the target"),
        pytest.param(None, 0, 1, None, id="not measured"),
        pytest.param(float("inf"), 0, 1, None, id="no number"),
    ],
)
def test_progress_is_the_part_of_the_way(
    value: float | None, baseline: float, target: float, expected: float | None
) -> None:
    """Requirement 3.7: (value - baseline) / (target - baseline), clamped."""
    assert progress(value, baseline=baseline, target=target) == expected


def test_goals_weigh_and_the_unknown_does_not_count_as_zero() -> None:
    """A goal that nobody measures must neither please nor pull down."""
    assert overall([Standing("a", 3, 1.0), Standing("b", 1, 0.0), Standing("c", 9, None)]) == 0.75
    assert overall([Standing("c", 9, None)]) is None


def test_identity_is_the_weighted_share_of_what_serves_a_declared_value() -> None:
    """Only people can say so: untagged is not served, judged counts as judged."""
    declared = {"safety": 3.0, "speed": 1.0}
    items = [Item("a", ["safety"]), Item("b", ["speed"], 0.5), Item("c"), Item("d", ["gone"])]

    found = alignment(items, declared)

    assert found.score == pytest.approx((3 * 1 + 1 * 0.5) / (3 + 1 + 2 + 2))
    assert (found.items, found.tagged, found.judged) == (4, 2, 1)


@pytest.mark.parametrize(
    ("items", "declared"), [([], {"a": 1.0}), ([Item("x", ["a"])], {}), ([Item("x", ["a"])], {"a": 0.0})]
)
def test_identity_is_unknown_without_values_or_items(items: list[Item], declared: dict[str, float]) -> None:
    """An organisation that declared nothing is not perfectly aligned."""
    assert alignment(items, declared).score is None


@pytest.mark.parametrize(
    ("bits", "score", "leads", "residual"),
    [
        pytest.param((2.0, 1.0, 0.4), 0.5, "s3_leads", 0.6, id="S3 leads, S5 absorbs a part"),
        pytest.param((1.0, 2.0, 3.0), 0.5, "s4_leads", 0.0, id="S4 leads, S5 absorbs it all"),
        pytest.param((1.0, 2.0, None), 0.5, "s4_leads", None, id="S5 was not measured"),
        pytest.param((0.0, 0.0, 0.0), 1.0, "balanced", 0.0, id="nothing varies"),
        pytest.param((1.0, None, 0.0), None, "unknown", None, id="S4 was not measured"),
    ],
)
def test_s3_and_s4_balance_and_the_rest_is_left_to_s5(
    bits: tuple[float | None, ...], score: float | None, leads: str, residual: float | None
) -> None:
    """Beer's second and third axiom."""
    found = balance(*bits)

    assert (found.score, found.leads) == (score, leads)
    assert found.residual == (residual if residual is None else pytest.approx(residual))
    assert found.reason.endswith(".")
