"""Counting tasks by name, role and queue: once each, whatever a batch holds, and within bounds."""

from __future__ import annotations

from subsystems.fleets import task_counts
from subsystems.fleets.folding import Batch, Facts, Retry
from subsystems.fleets.states import State
from subsystems.fleets.store import Ended
from subsystems.fleets.task_counts import Event, Kind, bounded, counted, cumulative, unplaced

POD = "celery@web-7d9f8b5c6d-x2k4j"
ROLE = "celery@web-*"


def batch(*facts: Facts, retries: tuple[Retry, ...] = ()) -> Batch:
    made = Batch()
    made.tasks = {each.uuid: each for each in facts}
    made.retries = list(retries)
    return made


def ended(uuid: str, state: State = State.SUCCESS, *, exception: str = "", wait: float | None = 0.3) -> Ended:
    return Ended(uuid, state, "mail", "mails", 10.0, 2.0, wait, 0, POD, None, exception, "")


def test_a_whole_life_in_one_batch_counts_each_step() -> None:
    """Most tasks take less time than it takes to write them."""
    facts = Facts("t", 1.0, sent_at=1.0, received_at=2.0, started_at=3.0, name="mail", queue="mails", worker=POD)

    found = counted(batch(facts), [ended("t")], {})

    steps = {kind.event: (kind.role, n) for kind, (n, _) in found.items() if kind.event < task_counts.RUNTIME}
    assert steps == {
        Event.SENT: ("generic", 1), Event.RECEIVED: (ROLE, 1), Event.STARTED: (ROLE, 1), Event.SUCCEEDED: (ROLE, 1),
    }  # fmt: skip
    assert found[Kind(task_counts.RUNTIME + 10, "mail", ROLE, "mails")] == (1, 2.0)  # up to 2.5 s
    assert found[Kind(task_counts.WAIT + 3, "mail", ROLE, "mails")] == (1, 0.3)  # up to 0.5 s


def test_a_step_of_a_task_that_came_before_is_counted_where_it_belongs() -> None:
    """No event of a worker tells the queue: the row knows it."""
    started = Facts("t", 3.0, started_at=3.0, worker=POD)
    retried = Facts("r", 3.0, worker=POD)
    both = batch(started, retried, retries=(Retry("r", 3.0, POD, "x"),))

    found = counted(both, [], {"t": ("mail", "mails"), "r": ("mail", "slow")})

    assert unplaced(both, []) == ["t", "r"]
    assert set(found) == {Kind(Event.STARTED, "mail", ROLE, "mails"), Kind(Event.RETRIED, "mail", ROLE, "slow")}


def test_failures_are_counted_by_their_class_alone() -> None:
    """A message in a label is a series for each customer."""
    found = counted(batch(), [ended("t", State.FAILURE, exception="ValueError('customer 17')")], {})

    assert [kind.exception for kind in found if kind.event == Event.FAILED] == ["ValueError"]


def test_clocks_that_disagree_tell_no_wait() -> None:
    """A negative wait would make the histogram's sum fall."""
    found = counted(batch(), [ended("t", wait=-0.2)], {})

    assert not [kind for kind in found if kind.event >= task_counts.WAIT]


def test_kinds_beyond_the_bound_share_one() -> None:
    """An application that makes a task name per user must not stop the scrape."""
    known = {(f"n{n}", "r", "q") for n in range(task_counts.MAX_KINDS)}
    new = {Kind(Event.SENT, "new", "r", "q"): (2, 0.0), Kind(Event.SENT, "newer", "r", "q"): (1, 0.0)}

    found = bounded({**new, Kind(Event.SENT, "n1", "r", "q"): (1, 0.0)}, known)

    assert found == {
        Kind(Event.SENT, "(others)", "", ""): (3, 0.0), Kind(Event.SENT, "n1", "r", "q"): (1, 0.0),
    }  # fmt: skip


def test_buckets_add_up() -> None:
    """Prometheus wants the count of all that took up to each bound."""
    assert cumulative({0: 2, 2: 3}, (1.0, 2.0)) == (2.0, 2.0, 5.0)
