"""Viability as documented, taken apart, and judged more strictly beside it."""

from __future__ import annotations

import math

import pytest

from subsystems.health import viability
from subsystems.health.viability import WEIGHTS, Check, Level, Rules, decompose, judge, level, total
from subsystems.health.viability_watch import Notice, step
from subsystems.kernel.health import Health, band
from subsystems.kernel.words import Subsystem

RULES = Rules(WEIGHTS)
SCORE_OF = {Health.HEALTHY: 1.0, Health.DEGRADED: 0.7, Health.UNHEALTHY: 0.2, Health.UNKNOWN: None}


def scores(default: Health = Health.HEALTHY, **others: Health) -> dict[Subsystem, float | None]:
    return {each: SCORE_OF[others.get(each, default)] for each in Subsystem}


@pytest.mark.parametrize(
    ("given", "overall", "expected", "expected_level"),
    [
        pytest.param(scores(), 1.0, 1.0, Level.NORMAL, id="all healthy"),
        pytest.param(scores(s1=Health.UNHEALTHY), 0.76, 0.76, Level.NORMAL, id="S1 unhealthy"),
        pytest.param(scores(s2=Health.UNHEALTHY), 0.76, 0.84, Level.NORMAL, id="S2 unhealthy"),
        pytest.param(scores(s3=Health.UNHEALTHY), 0.76, 0.80, Level.NORMAL, id="S3 unhealthy"),
        pytest.param(scores(s4=Health.UNHEALTHY), 0.76, 0.80, Level.NORMAL, id="S4 unhealthy"),
        pytest.param(scores(s5=Health.UNHEALTHY), 0.76, 0.80, Level.NORMAL, id="S5 unhealthy"),
        pytest.param(scores(Health.DEGRADED), 0.65, 0.625, Level.WARNING, id="all degraded, overall .65"),
        pytest.param(scores(Health.DEGRADED), 0.8, 0.70, Level.NORMAL, id="all degraded, overall .8: not below .7"),
        pytest.param(scores(Health.UNHEALTHY), 0.0, 0.10, Level.CRITICAL, id="all unhealthy"),
        pytest.param(scores(Health.UNKNOWN), 1.0, 0.75, Level.NORMAL, id="all unknown, as the formula has it"),
    ],
)
def test_the_documented_score(
    given: dict[Subsystem, float | None], overall: float, expected: float, expected_level: Level
) -> None:
    """The numbers of the design must come out to the last digit, also where floats would fall short of a threshold."""
    score = total(decompose(given, overall, WEIGHTS))

    assert (score, level(score, RULES)) == (expected, expected_level)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        pytest.param(0.4999, Level.CRITICAL, id="below .5"),
        pytest.param(0.5, Level.WARNING, id="at .5"),
        pytest.param(0.6999, Level.WARNING, id="below .7"),
        pytest.param(0.7, Level.NORMAL, id="at .7"),
        pytest.param(0.6999999999, Level.NORMAL, id="within float noise of .7"),
        pytest.param(None, Level.UNKNOWN, id="no score"),
    ],
)
def test_thresholds_are_strict(score: float | None, expected: Level) -> None:
    """At a threshold nothing is wrong yet; noise in the tenth digit is no alarm."""
    assert level(score, RULES) is expected


@pytest.mark.parametrize(
    ("score", "expected"),
    [(0.8, Health.DEGRADED), (0.80001, Health.HEALTHY), (0.5, Health.UNHEALTHY), (0.50001, Health.DEGRADED)],
)
def test_status_bands_at_their_edges(score: float, expected: Health) -> None:
    """The edges of the bands are documented; a part's points hang on them."""
    assert band(score) is expected


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"s1": 0.91, "s2": 1.0, "s3": 0.333333333333, "s4": None, "s5": 0.777}, id="one unknown"),
        pytest.param({"s1": 0.1, "s2": None, "s3": None, "s4": None, "s5": None}, id="one known"),
        pytest.param({"s1": 1 / 3, "s2": 2 / 3, "s3": 1 / 7, "s4": 0.0, "s5": 1.0}, id="awkward fractions"),
    ],
)
def test_contributions_add_up_to_the_score(given: dict[str, float | None]) -> None:
    """A score that cannot be taken apart cannot be argued with."""
    judged = judge({Subsystem(name): score for name, score in given.items()}, RULES)

    assert round(math.fsum(part.contribution or 0 for part in judged.parts), 9) == judged.score
    assert [part.subsystem for part in judged.parts] == [*Subsystem, "overall"]


def test_weights_over_one_are_clamped_in_the_open() -> None:
    """Policy may set weights that add up to more; the excess is a part of its own, so that the sum still holds."""
    judged = judge(scores(), Rules(dict.fromkeys(Subsystem, 1.0)))

    assert judged.score == 1.0
    assert judged.parts[-1].subsystem == "clamp"
    assert judged.parts[-1].contribution == -2.0


def test_nothing_measured_is_unknown_and_not_three_quarters() -> None:
    """The formula alone would call a blind system normal."""
    judged = judge({}, RULES)

    assert (judged.score, judged.level, judged.geometric, judged.weakest_link) == (None, Level.UNKNOWN, None, None)
    assert {part.contribution for part in judged.parts} == {None}


def test_the_stricter_views_see_what_the_average_hides() -> None:
    """S5 nearly dead among healthy others: the documented score stays high (3.3)."""
    judged = judge({**dict.fromkeys(Subsystem, 0.95), Subsystem.S5: 0.05}, RULES)

    assert judged.weakest_link == {"subsystem": "s5", "score": 0.05}
    assert judged.geometric == pytest.approx(0.53, abs=0.005)
    assert judged.score is not None
    assert judged.score > 0.7


def test_geometric_viability_is_over_what_is_known() -> None:
    """An unknown subsystem must neither help nor harm; a dead one must show."""
    known = viability.geometric({Subsystem.S1: 0.5, Subsystem.S2: None}, WEIGHTS)
    dead = viability.geometric({Subsystem.S1: 0.0, Subsystem.S2: 1.0}, WEIGHTS)

    assert (known, dead) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("oks", "score", "viable"),
    [
        pytest.param([True, True], 1.0, True, id="all hold"),
        pytest.param([True, False], 0.5, False, id="one fails"),
        pytest.param([True, None], 1.0, None, id="one is not measured"),
        pytest.param([False, None], 0.0, False, id="a failure decides, measured or not beside"),
        pytest.param([None], None, None, id="nothing measured"),
        pytest.param([], None, None, id="nothing to check"),
    ],
)
def test_structure_is_viable_only_when_every_line_holds(
    oks: list[bool | None], score: float | None, viable: bool | None
) -> None:
    """What nobody measured cannot pass, and must not fail either."""
    found = viability.structural(Check("line", ok, "because") for ok in oks)

    assert (found["score"], found["viable"]) == (score, viable)


@pytest.mark.parametrize(
    ("levels", "notices"),
    [
        pytest.param("normal warning warning critical critical", [None, "warning", None, "critical", None], id="down"),
        pytest.param("critical warning normal", ["critical", "improved", "recovered"], id="up through warning"),
        pytest.param("critical normal normal", ["critical", "recovered", None], id="straight up"),
        pytest.param("critical warning critical", ["critical", "improved", "critical"], id="falls back"),
        pytest.param("warning unknown normal", ["warning", None, "recovered"], id="unknown keeps the state"),
        pytest.param("unknown unknown normal", [None, None, None], id="unknown never recovers from nothing"),
        pytest.param("critical unknown critical", ["critical", None, None], id="unknown does not rearm"),
    ],
)
def test_the_watch_tells_each_change_once(levels: str, notices: list[str | None]) -> None:
    """Critical on entry, warning only from normal, and the way up is not silent (002-33, 2-33)."""
    state, told = Level.NORMAL, []
    for word in levels.split():
        state, notice = (found := step(state, Level(word))).state, found.notice
        told.append(notice)

    assert told == [notice and Notice(notice) for notice in notices]
