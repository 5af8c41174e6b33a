"""The documented ratio and Ashby's law, the ranges, suggestions and the panel of three."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid
from subsystems.kernel.words import Subsystem
from subsystems.telemetry import requisite
from subsystems.telemetry.attenuation import grouping_gain, range_suggestions, responses_needed, suggestions
from subsystems.telemetry.entropy import Variety, variety
from subsystems.telemetry.panel import three_way_panel
from subsystems.telemetry.requisite import Band, Outside, Position, check_requisite_variety
from subsystems.telemetry.states import counts_of

FEW, MANY = list("ab") * 20, list("abcdefgh") * 5


def with_bits(bits: float) -> Variety:
    """A variety of so many bits, from a long enough observation: p of one state, the rest of another."""
    whole = int(bits)
    base = 2**whole
    low, high = 0.0, 0.5
    for _ in range(60):
        p = (low + high) / 2
        h = -(p * math.log2(p) + (1 - p) * math.log2(1 - p)) if p else 0.0
        low, high = (p, high) if h < bits - whole else (low, p)
    n = 10**9
    rare = round(low * n)
    return variety({(state, side): size for state in range(base) for side, size in (("x", n - rare), ("y", rare))})


def test_the_documented_example() -> None:
    """000-56 and appendix A: the ratio is as written, and the deficit says what it means."""
    found = check_requisite_variety(["a", "b"], list("abcdefgh"))

    assert (found.controller_variety, found.environment_variety) == (1.0, 3.0)
    assert found.ratio == pytest.approx(1 / 3)
    assert found.sufficient is False
    assert found.recommendation == "Critical: Significant variety amplification needed"
    assert (found.deficit_bits, found.state_shortfall, found.state_ratio) == (2.0, 4.0, 0.25)
    assert found.band is Band.INSUFFICIENT_DATA  # two and eight observations


@pytest.mark.parametrize(
    ("ratio", "recommendation"),
    [
        (0.7999, "Critical: Significant variety amplification needed"),
        (0.8, "Warning: Minor variety amplification recommended"),
        (0.9999, "Warning: Minor variety amplification recommended"),
        (1.0, "Variety balance is adequate"),
        (0.9999999999999999, "Variety balance is adequate"),
        (1.5, "Variety balance is adequate"),
        (1.5001, "Consider variety attenuation for efficiency"),
        (None, "Consider variety attenuation for efficiency"),
    ],
)
def test_the_bands_begin_where_they_are_documented(ratio: float | None, recommendation: str) -> None:
    """000-26, appendix A; None is infinite, and a rounding error is no finding."""
    assert requisite.RECOMMENDATIONS[requisite.band_of(ratio)] == recommendation


@pytest.mark.parametrize(("bits", "deficit"), [(1, 0.2), (3, 0.6), (10, 2.0)])
def test_one_ratio_hides_very_different_deficits(bits: int, deficit: float) -> None:
    """Requirements 3.2: at a ratio of 0.8 one bit lacks a seventh of the states, ten bits three quarters."""
    found = requisite.deficit(0.8 * bits, bits)

    assert found == pytest.approx(deficit)


@pytest.mark.parametrize(
    ("controller", "environment", "ratio", "sufficient"),
    [
        pytest.param(["a"] * 9, ["x"] * 9, 1.0, True, id="nothing varies on either side"),
        pytest.param(FEW, ["x"] * 9, None, True, id="nothing to control"),
        pytest.param(["a"] * 9, FEW, 0.0, False, id="one answer to everything"),
        pytest.param([], FEW, None, None, id="no answer was ever seen"),
        pytest.param(FEW, [], None, None, id="nobody looked outside"),
    ],
)
def test_a_ratio_without_meaning_is_null(controller: Any, environment: Any, ratio: Any, sufficient: Any) -> None:
    """The documents divide by zero here; JSON has no infinity."""
    found = check_requisite_variety(controller, environment)

    assert (found.ratio, found.sufficient) == (ratio, sufficient)
    assert found.to_wire()["ratio"] == ratio


def test_a_buffer_and_a_goal_lower_what_is_asked() -> None:
    """H(R) + K >= H(D) - H(goal): a queue and a tolerance are worth responses."""
    bare = check_requisite_variety(FEW, MANY)
    eased = check_requisite_variety(FEW, MANY, buffer_bits=1.0, goal_bits=1.0)

    assert (bare.deficit_bits, bare.meets_goal) == (2.0, False)
    assert (eased.deficit_bits, eased.meets_goal) == (1.0, True)
    assert eased.ratio == bare.ratio


def test_matching_counts_is_not_matching_answers() -> None:
    """Two series of four equal states: a ratio of 1.0, and one of the regulators is useless."""
    disturbances = [a for a in range(4) for _ in range(16)]
    blind = check_requisite_variety([0, 1, 2, 3] * 16, disturbances, paired=True, outcomes=disturbances)
    seeing = check_requisite_variety(disturbances, disturbances, paired=True, outcomes=[0] * 64)

    assert blind.ratio == seeing.ratio == 1.0
    assert (blind.mutual_information, blind.least_leak_bits) == (pytest.approx(0), pytest.approx(2))
    assert (seeing.mutual_information, seeing.least_leak_bits) == (2.0, 0.0)
    assert (blind.regulation_effectiveness, seeing.regulation_effectiveness) == (0.0, 1.0)
    assert [each.name for each in suggestions(blind)] == ["match_responses"]
    assert suggestions(seeing) == []


@given(st.lists(st.integers(0, 5), min_size=1, max_size=50), st.lists(st.integers(0, 5), min_size=1, max_size=50))
def test_the_law_and_the_ratio_agree_on_which_side_has_more(controller: list[int], environment: list[int]) -> None:
    """They differ in how serious a lack is, never in whether there is one."""
    found = check_requisite_variety(controller, environment)

    assert found.deficit_bits is not None
    assert found.state_shortfall == pytest.approx(2**found.deficit_bits)
    assert found.sufficient is (round(found.deficit_bits, 9) == 0)


def test_only_a_lack_is_told_as_an_imbalance() -> None:
    """000-27: over-control is never signalled."""
    lack = requisite.imbalance(check_requisite_variety(FEW, MANY))

    assert lack == ({"ratio": pytest.approx(1 / 3), "deficit": 2.0}, {"type": "insufficient"})
    assert requisite.imbalance(check_requisite_variety(MANY, FEW)) is None
    assert requisite.imbalance(check_requisite_variety([], FEW)) is None


def test_each_ratio_has_a_name_of_its_own() -> None:
    """2-15: three ratios went by one name."""
    assert requisite.variety_ratio(1.0, 2.0) == 0.5
    assert requisite.variety_load(2.0, 1.0) == 2.0
    assert requisite.variety_transfer_ratio(1.0, 4.0) == 0.25
    assert requisite.variety_absorbed(4.0, 1.0) == 3.0
    assert requisite.variety_utilisation(9.0, 10.0) == 0.9
    assert requisite.variety_utilisation(9.0, 0.0) is None
    assert requisite.s3_s4_balance(1.0, 2.0) == (0.5, "s4_leads")
    assert requisite.s3_s4_balance(0.0, 0.0) == (1.0, "balanced")
    assert requisite.s3_s4_balance(None, 1.0) == (None, "unknown")


@pytest.mark.parametrize(("field", "bits"), [("buffer_bits", -1.0), ("goal_bits", math.nan)])
def test_impossible_bits_are_refused_by_name(field: str, bits: float) -> None:
    """A negative buffer would invent a deficit."""
    with pytest.raises(Invalid) as error:
        check_requisite_variety(FEW, MANY, **{field: bits})

    assert error.value.field == field


@pytest.mark.parametrize(
    ("subsystem", "bits", "position"),
    [
        (Subsystem.S1, 1.99, Position.BELOW),
        (Subsystem.S1, 2.0, Position.WITHIN),
        (Subsystem.S2, 3.5, Position.WITHIN),
        (Subsystem.S3, 3.01, Position.ABOVE),
        (Subsystem.S4, 2.49, Position.BELOW),
        (Subsystem.S5, 2.0, Position.WITHIN),
        (Subsystem.S5, 2.01, Position.ABOVE),
    ],
)
def test_the_ranges_of_the_subsystems(subsystem: Subsystem, bits: float, position: Position) -> None:
    """000-28, both ends included."""
    finding = requisite.place(subsystem, with_bits(bits))

    assert finding.position is position
    assert bool(range_suggestions(finding)) is (position is not Position.WITHIN)


def test_a_range_is_not_judged_on_a_few_observations() -> None:
    """Ten observations of S4 would always look too simple."""
    finding = requisite.place(Subsystem.S4, variety(list("abc")))

    assert finding.position is Position.INSUFFICIENT_DATA
    assert requisite.range_imbalance(finding) is None


def test_a_variety_that_stays_outside_its_range_is_told_once() -> None:
    """One odd window is noise, and a lasting state is one finding."""
    inside, below, above, unknown = (
        requisite.place(Subsystem.S3, each) for each in (with_bits(2.0), with_bits(0.5), with_bits(4.0), variety([]))
    )
    memory, told = Outside(), []
    for finding in [below, below, inside, below, below, unknown, below, below, above, above, above, inside]:
        memory, now = requisite.note_range(memory, finding)
        told.append(now)

    assert [place for place, now in enumerate(told) if now] == [6, 10]
    assert requisite.range_imbalance(above) == (
        {"ratio": pytest.approx(4 / 3), "deficit": pytest.approx(-1.0)},
        {"type": "above_range", "subsystem": "s3"},
    )


def test_suggestions_carry_the_bits_that_they_are_worth() -> None:
    """Advice without a size cannot be weighed."""
    rare = ["usual"] * 300 + ["busy"] * 300 + [f"odd {n}" for n in range(6)] * 5
    judged = check_requisite_variety(["restart"] * 95 + ["scale"] * 5, rare)

    found = {each.name: each for each in suggestions(judged, environment=rare)}

    states, gain = grouping_gain(counts_of(rare))
    assert states == 6
    assert found["group_rare_states"].bits == pytest.approx(gain)
    assert found["add_responses"].bits == judged.deficit_bits
    assert found["use_all_responses"].bits == pytest.approx(1 - judged.controller_variety)
    assert responses_needed(judged) == 3


def test_too_few_observations_suggest_watching_not_acting() -> None:
    """A recommendation from eight observations is a guess."""
    only = suggestions(check_requisite_variety(["a", "b"], MANY))

    assert [(each.name, each.bits) for each in only] == [("collect_more", None)]
    assert "10 are needed" in only[0].because


def test_more_than_enough_may_be_thinned_out() -> None:
    """Thrift, not Ashby: it is offered, not demanded."""
    found = suggestions(check_requisite_variety(MANY, FEW), controller=MANY)

    assert [each.name for each in found] == ["standardise"]


def test_the_panel_names_the_side_that_lacks_most() -> None:
    """First principle: the three varieties tend to equate, and somebody pays for the gap."""
    panel = three_way_panel(MANY * 2, list("abcd") * 20, ["wait"] * 80)

    assert [side.bits for side in (panel.environment, panel.operation, panel.management)] == [3.0, 2.0, 0.0]
    assert (panel.operational.balance.deficit_bits, panel.managerial.balance.deficit_bits) == (1.0, 2.0)
    assert panel.gap == "management"
    assert panel.to_wire()["managerial"]["suggestions"][0]["name"] == "add_responses"
