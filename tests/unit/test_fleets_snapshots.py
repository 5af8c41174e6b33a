"""From answers of workers and brokers to states, how fast queues flow, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.fleets.events import Event
from subsystems.fleets.flow import flow, slope
from subsystems.fleets.redeliveries import MAX_OPEN, Redeliveries
from subsystems.fleets.snapshots import RECENT_SECONDS, queue_seen, worker_seen

NODE = "celery@web-7d9f8b5c6d-x2k4j"
STATS = {
    "pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 4}, "total": {"a": 3, "b": 2},
    "uptime": 60, "pid": 7, "prefetch_count": 16,
}  # fmt: skip
TASK = {
    "id": "t1", "name": "mail", "time_start": 990.0, "acknowledged": True, "args": ["secret"],
    "delivery_info": {"routing_key": "mails", "priority": 3},
}  # fmt: skip


def answers(**changed: Any) -> dict[str, Any]:
    return {"stats": STATS, "active": [TASK], "reserved": [], "active_queues": [{"name": "mails"}], **changed}


def test_a_worker_is_known_by_its_role_and_what_it_holds() -> None:
    """Its name is made up anew at each start; arguments are nobody's business here."""
    seen = worker_seen(None, NODE, answers(), 1_000.0)

    assert (seen.role, seen.pool, seen.pool_size, seen.prefetch) == ("celery@web-*", "prefork", 4, 16)
    assert (seen.processed, seen.started_at, seen.queues, seen.active_count) == (5.0, 940.0, ("mails",), 1)
    assert "secret" not in str(seen)
    assert (seen.active[0].queue, seen.active[0].priority, seen.active[0].acknowledged) == ("mails", 3, True)


@pytest.mark.parametrize("told", [{}, {"stats": {}}, {"stats": {"pool": None, "total": [], "uptime": "x"}}], ids=str)
def test_what_a_worker_does_not_answer_is_unknown(told: dict[str, Any]) -> None:
    """Pools and versions answer differently; none of them may stop the round."""
    seen = worker_seen(None, "w", {"stats": {}, **told}, 1_000.0)

    assert (seen.pool_size, seen.processed, seen.active_count, seen.started_at) == (None, None, None, None)


def test_progress_is_counted_by_the_worker_itself() -> None:
    """A worker that starts nothing stands still from the last look at which its count had risen; a restart is news."""
    first = worker_seen(None, "w", answers(), 1_000.0)
    same = worker_seen(first, "w", answers(), 1_005.0)
    more = worker_seen(same, "w", answers(stats={**STATS, "total": {"a": 6}}), 1_010.0)
    anew = worker_seen(more, "w", answers(stats={**STATS, "total": {}}), 1_015.0)

    assert [each.progress_at for each in (first, same, more, anew)] == [1_000.0, 1_000.0, 1_010.0, 1_015.0]


def test_a_queue_knows_since_when_it_waits_is_unread_or_has_one_consumer_too_many() -> None:
    """Detectors ask since when, not only whether."""
    one = queue_seen(None, "q", {"ready": 0.0, "consumers": 2.0}, 1.0, readers=1, counted=True)
    two = queue_seen(one, "q", {"ready": 4.0, "consumers": 0.0}, 6.0, counted=True)
    three = queue_seen(two, "q", {"ready": 2.0, "consumers": 0.0}, 11.0, counted=True)

    assert (one.empty_at, one.nonempty_since, one.extra_since, one.unread_since) == (1.0, None, 1.0, None)
    assert (three.empty_at, three.nonempty_since, three.extra_since, three.unread_since) == (1.0, 6.0, None, 6.0)
    assert three.recent == ((1.0, 0.0), (6.0, 4.0), (11.0, 2.0))


def test_depths_are_kept_for_a_while_only() -> None:
    """They are written with every round."""
    seen = None
    for second in range(0, 3_600, 2):
        seen = queue_seen(seen, "q", {"ready": 1.0}, float(second))

    assert seen is not None
    assert len(seen.recent) == 40
    assert seen.recent[0][0] > 3_600 - RECENT_SECONDS


# --- Flow -------------------------------------------------------------------------------------------------------------
def depths(growth: float, *, start: float = 1_000.0) -> list[tuple[float, float]]:
    return [(float(at), max(0.0, start + growth * at)) for at in range(0, 61, 5)]


FLOWS = [
    pytest.param(depths(-5), {"sent_rate": 10.0}, (10.0, 15.0, 140.0), id="drains: what leaves follows"),
    pytest.param(depths(5), {"sent_rate": 10.0}, (10.0, 5.0, None), id="grows: it does not drain"),
    pytest.param(depths(-5), {}, (None, None, 140.0), id="nobody tells what is sent: it drains all the same"),
    pytest.param(depths(-5), {"published_rate": 2.0, "sent_rate": 9.0}, (2.0, 7.0, 140.0), id="the broker knows best"),
    pytest.param(depths(-5), {"delivered_rate": 8.0}, (3.0, 8.0, 140.0), id="what comes follows"),
    pytest.param(depths(0, start=0), {"sent_rate": 3.0}, (3.0, 3.0, 0.0), id="empty"),
    pytest.param(depths(-5)[:2], {"sent_rate": 3.0}, (3.0, None, None), id="too short to tell"),
    pytest.param([], {}, (None, None, None), id="nothing known"),
]


@pytest.mark.parametrize(("recent", "told", "expected"), FLOWS)
def test_rates_and_the_time_to_drain(recent: Any, told: Any, expected: tuple[float | None, ...]) -> None:
    """How long until it is empty is the first question about a backlog."""
    found = flow(recent, **told)

    assert (found.rate_in, found.rate_out, found.drain_seconds) == pytest.approx(expected)


@given(rate=st.floats(0.5, 50), noise=st.lists(st.floats(-3, 3), min_size=13, max_size=13))
def test_the_drain_time_of_a_steady_load_is_right_within_a_fifth(rate: float, noise: list[float]) -> None:
    """Depths are whole and flicker; the estimate must not."""
    start = 1_000.0 + rate * 60
    recent = [(at, start - rate * at + wobble * rate) for at, wobble in zip(range(0, 65, 5), noise, strict=True)]
    found = flow(recent).drain_seconds

    assert found is not None
    assert found == pytest.approx((recent[-1][1]) / rate, rel=0.2)


def test_a_slope_needs_time() -> None:
    """Two looks at a queue tell nothing of where it goes."""
    assert slope([(0.0, 1.0), (5.0, 9.0), (10.0, 3.0)]) is None


# --- What comes back --------------------------------------------------------------------------------------------------
def received(uuid: str, at: float, worker: str = "w") -> Event:
    return Event("task-received", worker, at, uuid=uuid, name="poison")


def test_a_task_that_is_given_out_again_is_counted() -> None:
    """Each worker that gets it dies: only who listens to all of them can count."""
    counted = Redeliveries()
    for n in range(4):
        counted.fold(received("t", 10.0 + n, f"w{n}"))
    counted.fold(received("t", 13.0, "w3"))  # the same event, heard twice

    (again,) = counted.take()

    assert (again.count, again.first_at, again.last_at, again.worker) == (3, 11.0, 13.0, "w3")
    assert counted.take() == []


@pytest.mark.parametrize("ending", ["task-succeeded", "task-failed", "task-revoked", "task-retried"])
def test_a_task_that_ended_or_is_tried_again_comes_back_by_right(ending: str) -> None:
    """A retry is no redelivery."""
    counted = Redeliveries()
    counted.fold(received("t", 10.0))
    counted.fold(Event(ending, "w", 11.0, uuid="t"))
    counted.fold(received("t", 12.0))

    assert counted.take() == []


def test_memory_holds_what_workers_have_in_hand_and_no_more() -> None:
    """A worker that dies with its tasks leaves them here; they make room."""
    counted = Redeliveries()
    for n in range(MAX_OPEN + 10):
        counted.fold(received(f"t{n}", 1.0))

    assert len(counted._open) == MAX_OPEN
