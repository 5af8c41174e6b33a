"""What variety is judged by: whatever somebody types in, either it can be judged by or the field is named."""

from __future__ import annotations

from typing import Any

import pytest

from subsystems.kernel.errors import Invalid
from subsystems.kernel.words import Subsystem
from subsystems.telemetry.requisite import RANGES, Bands, Range
from subsystems.variety.rules import Rules, check, ranges_of


def test_what_is_not_stored_is_as_documented() -> None:
    """A row says only what differs."""
    found = ranges_of({"s2": [0, 9.5]})

    assert found == {**RANGES, Subsystem.S2: Range(0.0, 9.5)}


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {"s6": [1, 2]},
        {"s1": [1]},
        {"s1": [2, 1]},
        {"s1": [-1, 1]},
        {"s1": ["1", 2]},
        {"s1": [0, float("nan")]},
    ],
    ids=["nothing", "a list", "a sixth", "one end", "backwards", "negative", "text", "NaN"],
)
def test_ranges_that_are_none_are_refused(stored: Any) -> None:
    """The admin takes any JSON."""
    with pytest.raises(Invalid) as refused:
        ranges_of(stored)

    assert refused.value.field == "ranges"


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        pytest.param(Rules(Bands(1.2, 1.0, 1.5)), "sufficient_from", id="critical above sufficient"),
        pytest.param(Rules(Bands(0.8, 1.0, 0.9)), "excess_above", id="excess below sufficient"),
        pytest.param(Rules(buffer_bits=float("inf")), "buffer_bits", id="an infinite buffer"),
        pytest.param(Rules(goal_bits=-1), "goal_bits", id="a negative goal"),
        pytest.param(Rules(Bands(None, 1.0, 1.5)), "critical_below", id="nothing given"),  # type: ignore[arg-type]
    ],
)
def test_rules_by_which_nothing_can_be_judged_are_refused(rules: Rules, field: str) -> None:
    """Bands that overlap would call the same ratio critical and sufficient."""
    with pytest.raises(Invalid) as refused:
        check(rules)

    assert refused.value.field == field
