"""From what S1 to S5 are scored, and that missing data is named."""

from __future__ import annotations

import pytest

from subsystems.health import resources, vitals
from subsystems.health.vitals import Answers, Cycles, FleetAge, Job, SlotMark, UnitCounts
from subsystems.kernel.words import Subsystem

NOW = 10_000.0


@pytest.mark.parametrize(
    ("count", "average", "expected"),
    [(1, 1.0, 0.1), (5, 0.9, 0.45), (10, 0.9, 0.9), (20, 0.5, 1.0), (20, 0.4, 0.8), (0, None, 0.0)],
)
def test_operational_capacity(count: int, average: float | None, expected: float) -> None:
    """Ten full units are full capacity (002-31)."""
    assert vitals.capacity(average, count) == pytest.approx(expected)


def test_s1_is_the_average_of_known_units_with_both_unhealthy_counts() -> None:
    """The documents count unhealthy units in two ways; both are shown (2-30)."""
    vital = vitals.operations(UnitCounts(4, 3, silent=1, average=0.6, below_half=1, at_most_half=2))

    assert vital.score == 0.6
    assert (vital.measures["unhealthy_units"], vital.measures["unhealthy_by_status"]) == (1, 2)
    assert "1 silent" in vital.reason


@pytest.mark.parametrize(
    "units", [pytest.param(UnitCounts(), id="no unit"), pytest.param(UnitCounts(3, 0, silent=3), id="none known")]
)
def test_s1_without_data_is_unknown(units: UnitCounts) -> None:
    """An empty system must not read healthy (2-31)."""
    vital = vitals.operations(units)

    assert (vital.score, vital.measures["average_health"], vital.measures["no_data"]) == (None, None, True)


def marks(job: str, slots: range, *, lag: float = 0.5, took: float = 1.0) -> list[SlotMark]:
    return [SlotMark(job, slot, slot + lag, slot + lag + took) for slot in slots]


def coordinated(jobs: list[Job], found: list[SlotMark]) -> vitals.Vital:
    return vitals.coordination(jobs, found, now=NOW, window_seconds=300)


def test_s2_is_the_share_of_slots_worked_in_time() -> None:
    """One slot missed and one late out of sixty are two that were not coordinated."""
    found = marks("tick", range(9700, 10000, 5))
    late = SlotMark("tick", 9800, 9800.5, 9806.0)
    found = [late if mark.slot == 9800 else mark for mark in found if mark.slot != 9900]

    vital = coordinated([Job("tick", 5, 9000)], found)

    assert vital.measures["kept"] == vital.measures["expected"] - 2
    assert vital.score == pytest.approx(57 / 59)
    assert vital.measures["coordination_lag_seconds"] == pytest.approx(0.5)


def test_a_fresh_start_is_not_blamed_for_the_time_before_it() -> None:
    """After a night off, the first minutes must not look like an hour of failure."""
    vital = coordinated(
        [Job("tick", 5, 1000)], [SlotMark("tick", 9970, 9972.0, 9973.0), *marks("tick", range(9975, 10000, 5))]
    )

    assert (vital.score, vital.measures["expected"]) == (1.0, 5)


def test_a_job_that_stopped_beside_others_is_blamed() -> None:
    """A dead collector must show, even when it has been dead for longer than the window."""
    jobs = [Job("alive", 5, 9000), Job("dead", 5, 9000)]

    vital = coordinated(jobs, marks("alive", range(9690, 10000, 5)))

    assert vital.score == pytest.approx(0.5, abs=0.01)


def test_a_slot_that_is_still_running_is_not_judged() -> None:
    """Work in the current slot has time until the slot ends."""
    vital = coordinated([Job("tick", 30, 9990)], [SlotMark("tick", 9990, 9990.1, None)])

    assert vital.score is None


def test_s2_without_any_run_is_unknown() -> None:
    """No beat, no statement."""
    assert coordinated([], []).score is None


@pytest.mark.parametrize(
    ("cycles", "hosts", "expected"),
    [
        pytest.param(Cycles(12, 120, 90), {}, 0.75, id="coverage alone"),
        pytest.param(Cycles(), {"a": {"cpu": 1.0, "memory": 0.4, "disk": None}}, 0.4, id="the scarcest resource alone"),
        pytest.param(Cycles(12, 100, 100), {"a": {"cpu": 0.5}, "b": {"cpu": 0.7}}, 0.8, id="both"),
        pytest.param(Cycles(12, 0, 0), {"a": {}}, None, id="neither"),
    ],
)
def test_s3_is_the_mean_of_what_is_known(
    cycles: Cycles, hosts: dict[str, dict[str, float | None]], expected: float | None
) -> None:
    """A host that tells nothing must not pull the score to either side."""
    vital = vitals.control(cycles, hosts)

    assert vital.score == (None if expected is None else pytest.approx(expected))


def test_s3_names_what_is_scarcest() -> None:
    """A number alone tells nobody where to look."""
    hosts = {"a": {"cpu": 0.5, "memory": None}, "b": {"cpu": 0.7, "disk": 0.1}}

    assert vitals.control(Cycles(12, 100, 90), hosts).reason == (
        "Collection coverage 0.90, resource headroom 0.30 (least: disk of b)."
    )
    assert vitals.control(Cycles(12, 100, 90), {"a": {}}).reason == (
        "Collection coverage 0.90, resource headroom unknown."
    )


@pytest.mark.parametrize(("configured", "heard", "expected"), [(4, 3, 0.75), (2, 0, 0.0), (0, 0, None)])
def test_s4_is_environment_awareness(configured: int, heard: int, expected: float | None) -> None:
    """Without outside sources S4 is blind, which is neither good nor bad but unknown (3.7)."""
    assert vitals.intelligence(configured=configured, heard=heard).score == expected


@pytest.mark.parametrize(
    ("unheard_seconds", "expected"),
    [
        pytest.param(5, 1.0, id="on schedule"),
        pytest.param(30, 0.97368, id="half a minute late"),
        pytest.param(600, 0.5, id="long lost"),
    ],
)
def test_one_fleet_out_of_reach_dims_s4_little_by_little(unheard_seconds: float, expected: float) -> None:
    """Its share is lost, and not at once: what was known a minute ago is still worth something."""
    fleets = [FleetAge("vsm", True, 0.0), FleetAge("shop", False, unheard_seconds)]

    vital = vitals.intelligence(configured=0, heard=0, fleets=fleets)

    assert vital.score == pytest.approx(expected, abs=1e-4)
    assert ("shop is out of reach" in vital.reason) == (unheard_seconds > 15)


def test_our_own_fleet_alone_is_no_environment() -> None:
    """Seeing oneself well says nothing of the outside."""
    assert vitals.intelligence(configured=0, heard=0, fleets=[FleetAge("vsm", True, 0.0)]).score is None


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param(Answers(4, 4, 3), 0.75, id="one too late"),
        pytest.param(Answers(2, 0, 0), None, id="none due yet"),
        pytest.param(Answers(), None, id="none fired"),
    ],
)
def test_s5_is_the_share_answered_in_time(answers: Answers, expected: float | None) -> None:
    """A quiet day says nothing about how policy answers."""
    assert vitals.policy(answers).score == expected


def test_the_checklist_says_what_is_dead_and_what_nobody_measures() -> None:
    """Structure fails by the part: each line names its own reason (3.3)."""
    found = {each: vitals.Vital(None if each is Subsystem.S4 else 1.0, "why") for each in Subsystem}

    checks = {c.name: c for c in vitals.checklist(found, UnitCounts(2, 2), Cycles(1, 2, 2, NOW - 20), now=NOW)}

    assert {name for name, check in checks.items() if check.ok is False} == {"s4_reports", "loop_alive"}
    assert {name for name, check in checks.items() if check.ok is None} == {
        "s3_star_audits",
        "algedonic_path",
        "homeostat",
    }
    assert "20 s ago" in checks["loop_alive"].reason


def test_the_busiest_unit_of_each_resource_is_named() -> None:
    """Stale samples are not utilisation."""
    latest = {
        "a": {"cpu_ratio": (NOW, 0.5), "memory_ratio": (NOW - 90, 0.99)},
        "b": {"cpu_ratio": (NOW, 0.7), "active": (NOW, 3.0), "pool_size": (NOW, 4.0)},
    }

    used = resources.utilisation(latest, since=NOW - 30)

    assert used == {"cpu": {"unit": "b", "utilisation": 0.7}, "workers": {"unit": "b", "utilisation": 0.75}}


def test_a_bottleneck_needs_a_growing_queue() -> None:
    """A busy resource that holds nobody up is well used, not a bottleneck (3.7)."""
    used = {"cpu": {"unit": "b", "utilisation": 0.7}, "workers": {"unit": "b", "utilisation": 1.0}}

    assert resources.bottlenecks(used, []) == []
    assert resources.bottlenecks(used, ["q"]) == [
        {"resource": "workers", "unit": "b", "utilisation": 1.0, "growing_queues": ["q"]}
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 2, 3, 4], True), ([4, 3, 2, 1], False), ([1, 9, 1, 1], False), ([1, 2, 3], False), ([], False)],
)
def test_growth_needs_more_than_one_step(values: list[float], expected: bool) -> None:
    """One full tick is not a growing queue."""
    assert resources.grows(values) is expected
