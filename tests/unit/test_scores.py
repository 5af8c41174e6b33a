"""The scores of the cards, what would raise viability, the documented cycle, the checklist: pure decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from subsystems.health import scores
from subsystems.health.counterfactual import improvements, of_parts
from subsystems.health.cycle import BRANCHES, State, walk
from subsystems.health.foretelling import foretell
from subsystems.health.scores import DEFINITIONS
from subsystems.health.viability import WEIGHTS, Rules, judge
from subsystems.kernel.health import Health
from subsystems.kernel.words import Subsystem
from subsystems.s5_policy.emergency import checklist, is_due
from subsystems.s5_policy.terms import EmergencyPolicy

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULES = Rules(WEIGHTS)
FORETOLD = {
    "series": 2, "beat_naive": 1, "values": 9, "held_80": 0.8, "held_95": 0.9, "skill": None, "back_test_skill": None,
}  # fmt: skip


def test_every_score_has_a_name_of_its_own_and_says_what_it_means() -> None:
    """A number that nobody can explain is none."""
    assert len({each.gauge for each in DEFINITIONS}) == len(DEFINITIONS)
    assert all(each.means and each.card in {*Subsystem, "overall"} for each in DEFINITIONS)


@pytest.mark.parametrize(
    ("pools", "expected"),
    [
        pytest.param([(4, 4), (2, 2)], 1.0, id="all that is allocated is used"),
        pytest.param([(4, 1), (4, 3)], 0.5, id="half of it is used"),
        pytest.param([(4, 8)], 0.0, id="used far beyond what was allocated"),
        pytest.param([(4, 0)], 0.0, id="idle"),
        pytest.param([], None, id="nobody told"),
        pytest.param([(0, 0)], None, id="nothing allocated"),
    ],
)
def test_allocation_is_efficient_where_what_is_allocated_is_used(
    pools: list[tuple[float, float]], expected: float | None
) -> None:
    """Requirement 3.7: 1 - sum|allocated - used| / sum allocated, clamped."""
    assert scores.allocation_efficiency(pools).value == expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(scores.share(3, 4, words="w", nothing="n"), 0.75, id="a share"),
        pytest.param(scores.share(0, 0, words="w", nothing="n"), None, id="a share of nothing"),
        pytest.param(scores.audit_compliance({"a": 0.5, "b": None, "c": 1.0}), 0.75, id="audited fleets"),
        pytest.param(scores.audit_compliance({"b": None}), None, id="no audited fleet"),
        pytest.param(scores.channel_utilisation({"command": 0.1, "audit": 0.7}), 0.7, id="the fullest channel"),
        pytest.param(scores.channel_utilisation({}), None, id="no channel looked at"),
        pytest.param(scores.adaptation(4, 1, [30.0])[0], 0.25, id="adaptations"),
        pytest.param(scores.adaptation(4, 3, [10.0, 99.0, 30.0])[1], 30.0, id="their median lead time"),
        pytest.param(scores.forecast_accuracy({**FORETOLD, "skill": 0.3}), 0.3, id="forecasts that came due"),
        pytest.param(scores.forecast_accuracy({**FORETOLD, "back_test_skill": -0.1}), -0.1, id="back-tests"),
        pytest.param(scores.forecast_accuracy(FORETOLD), None, id="nothing foretold"),
        pytest.param(scores.adaptation(0, 0, [])[0], None, id="nothing proposed"),
        pytest.param(scores.adaptation(4, 0, [])[1], None, id="nothing carried out"),
    ],
)
def test_a_score_is_made_from_what_was_measured(made: scores.Scored, expected: float | None) -> None:
    """And is unknown without, with the reason in words."""
    assert made.value == expected
    assert made.reason.endswith(".") or made.reason == "n"


def test_what_units_bargained_for_is_efficient_resource_by_resource() -> None:
    """Slots and messages a second are no sum: each resource counts alike, and none less than nothing."""
    found = scores.bargained({"cpu": (10.0, 2.0), "calls": (1000.0, 3000.0)})

    assert found.value == 0.4
    assert found.inputs["cpu allocated"] == 10.0


def test_a_share_that_was_imposed_is_no_sign_of_autonomy() -> None:
    """Two pains that ended alone, four shares that changed, one of them by a notice."""
    hour = timedelta(hours=1)
    ended = [(NOON + n * hour, NOON + (n + 1) * hour) for n in (0, 4)]

    assert scores.autonomy(ended, [], allocated=4, imposed=1).value == 5 / 6
    assert scores.autonomy([], [], allocated=2, imposed=2).value == 0.0


def test_autonomy_is_what_ended_without_anybody_steering() -> None:
    """Requirement 001-19: 1 - what a command caused over all."""
    hour = timedelta(hours=1)
    ended = [(NOON, NOON + hour), (NOON + 2 * hour, NOON + 3 * hour), (NOON + 4 * hour, NOON + 5 * hour)]

    found = scores.autonomy(ended, [NOON + 2.5 * hour, NOON + 3.5 * hour])

    assert found.value == pytest.approx(2 / 3)
    assert scores.autonomy([], [NOON]).value is None


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        pytest.param({1: None}, 0, id="alone"),
        pytest.param({1: None, 2: 1, 3: 2, 4: 1}, 2, id="grandchildren"),
        pytest.param({1: 3, 2: 1, 3: 2}, 2, id="a loop that should not be"),
        pytest.param({1: None, 2: None, 3: 2}, 0, id="somebody else's children"),
    ],
)
def test_depth_counts_the_levels_below(parents: dict[int, int | None], expected: int) -> None:
    """Recursion depth is of the tree from this node."""
    assert scores.depth(1, parents) == expected


@pytest.mark.parametrize(
    ("patterns", "since", "held", "expected"),
    [
        pytest.param(2, NOON - timedelta(days=9), 12, 0.5, id="over a day"),
        pytest.param(2, NOON - timedelta(hours=6), 12, 2.0, id="as long as there are any"),
        pytest.param(2, NOON, 3, 3.0, id="an hour at least"),
        pytest.param(0, None, 0, None, id="no pattern"),
    ],
)
def test_detections_are_counted_by_the_hour(
    patterns: int, since: datetime | None, held: int, expected: float | None
) -> None:
    """None in a day of looking is 0; none because nobody looks is unknown."""
    assert scores.detection_rate(patterns, since, held, now=NOON).value == expected


def readings(*ratios: float | None) -> dict[int, float | None]:
    """Return ratios read every five minutes, the last one now."""
    last = int(NOON.timestamp())
    return {last - 300 * at: ratio for at, ratio in enumerate(reversed(ratios))}


def test_the_ratio_in_an_hour_follows_its_trend() -> None:
    """Requirement 001-30: a ratio that falls steadily is foretold lower, with its interval and its skill."""
    falling = [2.0 - 0.01 * step for step in range(144)]

    found = foretell(readings(*falling), now=NOON.timestamp())

    assert found.value is not None
    assert 0.35 < found.value < 0.57
    assert found.inputs["low_80"] <= found.value <= found.inputs["high_80"]
    assert (found.inputs["used"], found.inputs["skill_vs_naive"] > 0) == ("ensemble", True)


def test_what_was_hardly_read_is_not_foretold() -> None:
    """Nineteen readings, or old ones, tell nothing."""
    few = foretell(readings(*[1.0] * 19), now=NOON.timestamp())
    old = foretell(readings(*[1.0] * 144), now=NOON.timestamp() + 86_400)

    assert (few.value, old.value, old.inputs["n"]) == (None, None, 0)
    assert few.reason.startswith("19 readings")


def scored(**changed: float | None) -> dict[Subsystem, float | None]:
    return {each: changed.get(str(each), 0.9) for each in Subsystem}


def test_the_greatest_gain_comes_first_and_is_what_judging_again_says() -> None:
    """What to do next, not a guess."""
    found = improvements(scored(s1=0.4, s2=0.4), RULES)

    assert [each["subsystem"] for each in found] == ["s1", "s2"]
    again = judge(scored(s1=1.0, s2=0.4), RULES).score
    now = judge(scored(s1=0.4, s2=0.4), RULES).score
    assert again is not None
    assert now is not None
    assert (found[0]["viability"], found[0]["gain"]) == (again, pytest.approx(again - now))
    assert found[0]["next_band"]["gain"] < found[0]["gain"]


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        pytest.param({}, [], id="all are healthy"),
        pytest.param(dict.fromkeys(map(str, Subsystem)), [], id="nothing is known"),
        pytest.param({"s5": None}, ["s5"], id="what is unknown would gain by being known and healthy"),
    ],
)
def test_only_what_can_improve_is_listed(changed: dict[str, Any], parts: list[str]) -> None:
    """A healthy part has nothing to give."""
    assert [each["subsystem"] for each in improvements(scored(**changed), RULES)] == parts


def test_the_same_comes_from_an_assessment_as_it_is_stored() -> None:
    """With the weights that were in force then."""
    judged = judge(scored(s3=0.6), RULES)

    found = of_parts([part.to_wire() for part in judged.parts])

    assert found == improvements(scored(s3=0.6), RULES)
    assert of_parts([]) == []


@pytest.mark.parametrize(
    ("health", "through"),
    [
        pytest.param(0.81, State.HEALTHY, id="above 0.8"),
        pytest.param(0.8, State.DEGRADED, id="0.8 itself"),
        pytest.param(0.5, State.UNHEALTHY, id="0.5 itself"),
    ],
)
def test_a_cycle_goes_the_documented_way(health: float, through: State) -> None:
    """Requirement 002-13: every branch begins and ends with monitoring."""
    states = walk(health)

    assert (states[0], states[-1], through in states) == (State.MONITORING, State.MONITORING, True)
    assert (State.EMERGENCY_RESPONSE in states) is (through is State.UNHEALTHY)


def test_every_state_of_the_diagram_is_reached_and_unknown_reaches_none() -> None:
    """A state that nothing leads to would be a drawing."""
    reached = {state for health in (0.9, 0.6, 0.1) for state in walk(health)}

    assert reached == set(State)
    assert BRANCHES[Health.UNKNOWN] == ()


def test_the_checklist_names_the_worst_first_and_asks_where_nothing_is_known() -> None:
    """What is well is left out."""
    found = checklist({
        "s1": {"score": 0.4, "status": "unhealthy", "reason": "r1"},
        "s2": {"score": 0.1, "status": "unhealthy", "reason": "r2"},
        "s3": {"score": None, "status": "unknown", "reason": "r3"},
        "s4": {"score": 0.9, "status": "healthy", "reason": "r4"},
    })  # fmt: skip

    assert [step["subsystem"] for step in found] == ["s2", "s1", "s3"]
    assert found[2]["what"].startswith("Find out how S3 does")


@pytest.mark.parametrize(
    ("policy", "lasted", "last", "due"),
    [
        pytest.param({}, 0, None, True, id="at once by default"),
        pytest.param({"mode": "off"}, 999, None, False, id="switched off"),
        pytest.param({"after_seconds": 60}, 59, None, False, id="not long enough"),
        pytest.param({"after_seconds": 60}, 60, None, True, id="long enough"),
        pytest.param({"repeat_seconds": 900}, 0, 899, False, id="too soon after the last response"),
        pytest.param({"repeat_seconds": 900}, 0, 900, True, id="long after the last response"),
    ],
)
def test_s5_responds_when_policy_says_so(policy: dict[str, Any], lasted: int, last: int | None, due: bool) -> None:
    """Never by itself unless policy says so, and not again and again."""
    before = None if last is None else NOON - timedelta(seconds=last)

    began = NOON - timedelta(seconds=lasted)
    assert is_due(EmergencyPolicy(**policy), began_at=began, last_response=before, now=NOON) is due
