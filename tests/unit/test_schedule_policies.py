"""What becomes of due times after outages, in pauses and when runs overlap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from subsystems.s2_coordination.policies import (
    MAX_WAITING,
    Candidate,
    CatchUp,
    Overlap,
    Terms,
    Verdict,
    admit,
    decide,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def minutes_ago(*numbers: float) -> list[datetime]:
    return [NOON - timedelta(minutes=number) for number in numbers]


@pytest.mark.parametrize(
    ("times", "terms", "expected"),
    [
        pytest.param([0.05], Terms(CatchUp.NONE), ["run"], id="as late as a standby takes over is on time"),
        pytest.param([3, 2, 1], Terms(CatchUp.NONE), ["outage"] * 3, id="no catch-up"),
        pytest.param([3, 2, 1], Terms(CatchUp.LATEST), ["outage", "outage", "late"], id="only the latest"),
        pytest.param([2, 1, 0], Terms(CatchUp.LATEST), ["outage", "outage", "run"], id="one due now is the latest"),
        pytest.param([3, 2, 1], Terms(CatchUp.ALL), ["late"] * 3, id="all"),
        pytest.param([3, 2, 1, 0], Terms(CatchUp.ALL, 2), ["outage", "late", "late", "run"], id="all up to two"),
        pytest.param([3, 2, 1], Terms(CatchUp.ALL, 0), ["outage"] * 3, id="all up to none"),
        pytest.param(
            [3, 2, 1], Terms(CatchUp.ALL, paused_from=NOON - timedelta(minutes=2), paused_until=NOON),
            ["late", "paused", "paused"], id="a pause is no outage",
        ),
        pytest.param(
            [1, 0], Terms(paused_from=NOON - timedelta(minutes=2), paused_until=NOON), ["paused", "run"],
            id="a pause ends by itself, and its end is not in it",
        ),
        pytest.param(
            [1, 0], Terms(expires_at=NOON - timedelta(minutes=1)), ["expired", "expired"], id="an expired schedule"
        ),
    ],
)  # fmt: skip
def test_what_becomes_of_due_times(times: list[float], terms: Terms, expected: list[str]) -> None:
    """After an outage a schedule may neither flood its workers nor silently leave out what its owner wanted."""
    decided = decide(minutes_ago(*times), terms, now=NOON)

    assert [one.reason or ("late" if one.late else "run") for one in decided] == expected
    assert [one.verdict is Verdict.SKIP for one in decided] == [bool(one.reason) for one in decided]


def fresh(*names: str) -> list[Candidate]:
    return [Candidate(name, late=False, waiting=False) for name in names]


@pytest.mark.parametrize(
    ("candidates", "overlap", "busy", "expected"),
    [
        pytest.param(fresh("a"), Overlap.SKIP, False, ["run"], id="nothing in the way"),
        pytest.param(fresh("a"), Overlap.SKIP, True, ["skip"], id="one still goes"),
        pytest.param(fresh("a"), Overlap.QUEUE, True, ["wait"], id="queued"),
        pytest.param(fresh("a", "b"), Overlap.ALLOW, True, ["run", "run"], id="side by side"),
        pytest.param(fresh("a", "b"), Overlap.SKIP, False, ["run", "skip"], id="two at once are an overlap too"),
        pytest.param(fresh("a", "b"), Overlap.QUEUE, False, ["run", "wait"], id="two at once, in turn"),
        pytest.param(
            [Candidate("a", late=True, waiting=False), Candidate("b", late=True, waiting=False)], Overlap.SKIP, False,
            ["run", "wait"], id="what is caught up on waits for its own turn",
        ),
        pytest.param(
            [Candidate("a", late=False, waiting=True)], Overlap.SKIP, True, ["wait"], id="what waits goes on waiting"
        ),
    ],
)  # fmt: skip
def test_which_runs_may_go(candidates: list[Candidate], overlap: Overlap, busy: bool, expected: list[str]) -> None:
    """Two runs of a job that takes longer than its period must not be at work at the same time unless that is meant."""
    assert [str(verdict) for _, verdict, _ in admit(candidates, overlap, busy=busy)] == expected


def test_a_queue_of_runs_has_an_end() -> None:
    """A run that hangs for a day must not be followed by a day's worth of runs."""
    decided = admit(fresh(*map(str, range(MAX_WAITING + 2))), Overlap.QUEUE, busy=True)

    assert [str(verdict) for _, verdict, _ in decided].count("wait") == MAX_WAITING
    assert [reason for _, _, reason in decided[-2:]] == ["overlap", "overlap"]
