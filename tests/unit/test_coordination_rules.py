"""Fair shares, clashes of writers and schedules, and lags: what S2 computes from what was measured."""

from __future__ import annotations

import pytest

from subsystems.s2_coordination.monitor.conflicts import Act, Due, clashes, collisions, usual_runtime
from subsystems.s2_coordination.monitor.fairness import Claim, fairness, jain
from subsystems.s2_coordination.monitor.findings import is_about
from subsystems.s2_coordination.monitor.lags import lags, overall


# --- Fairness ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([3, 3, 3], 1.0, id="alike"),
        pytest.param([1, 0, 0, 0], 0.25, id="one has everything"),
        pytest.param([1, 2], 0.9, id="one has twice as much"),
    ],
)
def test_jains_index(values: list[float], expected: float) -> None:
    """Known values of the formula."""
    assert jain(values) == pytest.approx(expected)


def test_who_got_all_that_was_asked_for_is_not_favoured() -> None:
    """A tenant with little work does not make those with much look starved."""
    found = fairness([Claim("small", 5, 0), Claim("large", 50, 20), Claim("idle", 0, 0)])

    assert found.index == 1.0
    assert {share["name"]: share["ratio"] for share in found.shares} == {"small": 1.0, "large": 1.0, "idle": None}


def test_a_starved_tenant_lowers_the_index() -> None:
    """Of a hundred tasks run one waiting tenant got ten."""
    found = fairness([Claim("loud", 90, 100), Claim("quiet", 10, 100)])

    assert found.index == pytest.approx(jain([90 / 50, 10 / 50]), abs=1e-4)


def test_what_nobody_measured_is_unknown() -> None:
    """A tenant that is not heard has not got its share: nobody knows."""
    found = fairness([Claim("heard", 90, 10), Claim("silent", None, 4)])

    assert found.index is None
    assert "silent" in found.reason


# --- Clashes ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        pytest.param([Act("q", "a", 1, 0), Act("q", "b", -1, 300)], [(1, 0)], id="two undo each other"),
        pytest.param([Act("q", "a", 1, 0), Act("q", "a", -1, 300)], [], id="one changes its mind"),
        pytest.param([Act("q", "a", 1, 0), Act("q", "b", -1, 601)], [], id="long ago"),
        pytest.param([Act("q", "a", 1, 0), Act("p", "b", -1, 1)], [], id="other subjects"),
        pytest.param([Act("q", "a", 1, 0, held_by="b", times=3)], [(0, 3)], id="wanted at once"),
    ],
)
def test_writers_clash_when_they_undo_or_want_the_same(acts: list[Act], expected: list[tuple[int, int]]) -> None:
    """Two scalers on one queue are each right and together wrong."""
    assert [(clash.opposed, clash.refused) for clash in clashes(acts)] == expected


def due(number: int, *, task: str = "report", queue: str = "", runtime: float | None = 120, offset: float = 0) -> Due:
    return Due(number, f"s{number}", task, queue, runtime, [offset + 3600 * hour for hour in range(24)])


@pytest.mark.parametrize(
    ("dues", "expected"),
    [
        pytest.param([due(1), due(2)], ["task"], id="the same task at once"),
        pytest.param(
            [due(1, task="a", queue="q"), due(2, task="b", queue="q")], ["queue"], id="the same queue at once"
        ),
        pytest.param([due(1), due(2, offset=300)], [], id="apart"),
        pytest.param([due(1), due(2, runtime=3)], [], id="short"),
        pytest.param([due(1), due(2, runtime=None)], [], id="nobody knows how long"),
        pytest.param([due(1, task="a"), due(2, task="b")], [], id="no queue that is named"),
    ],
)
def test_schedules_collide_when_long_runs_are_due_at_once(dues: list[Due], expected: list[str]) -> None:
    """At midnight everything runs, and nobody meant it to."""
    found = collisions(dues)

    assert [collision.shared for collision in found] == expected
    assert all(collision.meetings == 24 and collision.shift_seconds == 180 for collision in found)


@pytest.mark.parametrize(
    ("damped", "expected"),
    [
        pytest.param("shop/mail", True, id="itself"),
        pytest.param("mail", True, id="the queue alone"),
        pytest.param("queue:mail", True, id="with a word before it"),
        pytest.param("shop/email", False, id="another that ends alike"),
        pytest.param("mail/other", False, id="another queue"),
    ],
)
def test_a_damper_is_found_by_the_queue_that_swings(damped: str, expected: bool) -> None:
    """Whoever acts names what it acts on freely; the wrong damper would hold honest work."""
    assert is_about(damped, "shop/mail") is expected


def test_two_runs_tell_no_usual_length() -> None:
    """One slow run is no habit."""
    assert (usual_runtime([5, 9]), usual_runtime([5, 9, 100])) == (None, 9)


# --- Lags -------------------------------------------------------------------------------------------------------------
def test_lags_are_told_by_pair() -> None:
    """The mean over all hides the one pair that does not hear each other."""
    rows = lags([("coordination", "s2", "s1", 0.1), ("coordination", "s2", "s1", 0.3), ("command", "s3", "s1", 400)])

    first, second = rows
    assert (first["from"], first["count"], first["mean_seconds"], first["largest_seconds"]) == ("s2", 2, 0.2, 0.3)
    assert second["histogram"][-1] == {"up_to_seconds": None, "count": 1}
    assert sum(line["count"] for line in first["histogram"]) == 2
    assert overall(rows) == pytest.approx(400.4 / 3, abs=1e-3)
    assert overall([]) is None
