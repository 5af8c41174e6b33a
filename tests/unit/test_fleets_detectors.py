"""What is stuck, and above all what is not: tables of fleets, and the rules that hold for any of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.fleets.detectors import consumers, lost, redelivery, stalled, starvation
from subsystems.fleets.detectors.base import Hearing, Patience
from subsystems.fleets.detectors.stalled import Watched
from subsystems.fleets.snapshots import Held, QueueSeen, WorkerSeen

NOW = 1_000_000.0
PATIENCE = Patience()
HEARD = Hearing(since=NOW - 7_200, written_at=NOW - 1, hears_sending=True, telling={"w": True})


def worker(name: str = "w", *, idle: float = 100.0, silent: float = 0.0, **fields: Any) -> Watched:
    """A prefork worker of two that reads `q` and started something *idle* seconds ago."""
    alive_at = NOW - silent
    seen: dict[str, Any] = {
        "observed_at": min(NOW - 1, alive_at), "progress_at": NOW - idle, "pool": "prefork", "pool_size": 2,
        "processed": 5.0, "queues": ("q",), "active_count": 0, "reserved_count": 0,
    }  # fmt: skip
    about = {key: fields.pop(key) for key in ("said_goodbye", "rate_limited") if key in fields}
    return Watched(WorkerSeen(name, "w", **{**seen, **fields}), alive_at, **about)


def queue(ready: float = 10.0, *, waiting: float | None = 100.0, name: str = "q", **fields: Any) -> QueueSeen:
    """A queue of RabbitMQ, not empty for *waiting* seconds."""
    seen: dict[str, Any] = {
        "observed_at": NOW - 1, "ready": ready, "consumers": 1.0, "counted": True, "readers": 1,
        "nonempty_since": None if waiting is None or not ready else NOW - waiting,
        "recent": tuple((NOW - age, ready) for age in range(80, 0, -5)),
    }  # fmt: skip
    return QueueSeen(name, **{**seen, **fields})


# --- Stalled workers --------------------------------------------------------------------------------------------------
STALLED = [
    pytest.param(worker(), queue(), "deaf", id="alive, nothing started, and work waits"),
    pytest.param(worker(), queue(consumers=0.0), "deaf", id="its consumer is lost"),
    pytest.param(worker(reserved_count=8, reserved_since=NOW - 90), queue(0), "still", id="its pool stands still"),
    pytest.param(worker(rate_limited=True), queue(consumers=0.0), "deaf", id="a rate limit explains no lost consumer"),
    pytest.param(
        worker(silent=40), queue(extra_since=NOW - 30, readers=0), "frozen", id="silent, and still a consumer"
    ),
    pytest.param(worker(active_count=2), queue(), None, id="all it has is at work: a long task"),
    pytest.param(worker(idle=20), queue(), None, id="it started something lately"),
    pytest.param(worker(), queue(waiting=20), None, id="work waits only lately"),
    pytest.param(worker(), queue(0), None, id="nothing waits"),
    pytest.param(worker(rate_limited=True), queue(), None, id="a rate limit holds it back"),
    pytest.param(worker(said_goodbye=True), queue(), None, id="it said goodbye"),
    pytest.param(worker(silent=40), queue(consumers=0.0, readers=0), None, id="dead is not stalled"),
    pytest.param(
        worker(silent=40, pool="solo", active_count=1), queue(extra_since=NOW - 30), None, id="solo and at work"
    ),
    pytest.param(worker(silent=40), queue(extra_since=NOW - 4), None, id="another has just come"),
    pytest.param(worker(observed_at=NOW - 60), queue(), None, id="it answers nothing, and its heart beats"),
    pytest.param(worker(processed=None), queue(), None, id="it does not count"),
    pytest.param(worker(), queue(observed_at=NOW - 60), None, id="nobody knows what waits"),
]


@pytest.mark.parametrize(("one", "what_waits", "how"), STALLED)
def test_a_worker_is_stalled_when_it_could_work_and_does_not(one: Watched, what_waits: QueueSeen, how: Any) -> None:
    """Ping says that all is well; a false alarm on a long task would teach people to look away."""
    verdict = stalled.stalled([one], {"q": what_waits}, PATIENCE, now=NOW)

    assert [found.evidence["how"] for found in verdict.found] == ([how] if how else [])


def test_the_frozen_one_among_dead_ones_is_less_sure() -> None:
    """One consumer too many, three workers silent: each may be the one that holds it."""
    silent = [worker(f"w{n}", silent=60) for n in range(3)]

    verdict = stalled.stalled(silent, {"q": queue(extra_since=NOW - 50, readers=0)}, PATIENCE, now=NOW)

    assert [round(found.confidence, 2) for found in verdict.found] == [0.3, 0.3, 0.3]


def test_a_worker_that_answers_nothing_is_neither_accused_nor_acquitted() -> None:
    """What was found before must stand until somebody knows better."""
    verdict = stalled.stalled([worker(observed_at=NOW - 60)], {"q": queue()}, PATIENCE, now=NOW)

    assert verdict.unknown == {"w"}


@given(
    active=st.integers(0, 8), size=st.integers(1, 8), idle=st.floats(0, 600), waiting=st.floats(0, 600),
    reserved=st.integers(0, 5), consumers=st.integers(0, 3), ready=st.integers(0, 50),
)  # fmt: skip
def test_no_worker_is_accused_without_a_free_place_waiting_work_and_patience(
    active: int, size: int, idle: float, waiting: float, reserved: int, consumers: int, ready: int
) -> None:
    """Whatever else is so, these three must be, or the finding is false."""
    one = worker(
        idle=idle, active_count=active, pool_size=size, reserved_count=reserved,
        reserved_since=NOW - waiting if reserved else None,
    )  # fmt: skip

    verdict = stalled.stalled(
        [one], {"q": queue(float(ready), waiting=waiting, consumers=float(consumers))}, PATIENCE, now=NOW
    )

    if verdict.found:
        assert active < size
        assert ready or reserved
        assert min(idle, waiting) >= PATIENCE.stalled_seconds


# --- Consumers and declarations ---------------------------------------------------------------------------------------
UNREAD = [
    pytest.param(queue(consumers=0.0, unread_since=NOW - 20), True, id="messages wait and nobody reads"),
    pytest.param(queue(consumers=0.0, unread_since=NOW - 5), False, id="its worker may be restarting"),
    pytest.param(queue(0, consumers=0.0, unread_since=NOW - 20), False, id="nobody reads an empty queue"),
    pytest.param(queue(0, consumers=0.0, unread_since=NOW - 20, name="d"), True, id="empty, and declared to be read"),
    pytest.param(queue(waiting=3, consumers=0.0, unread_since=NOW - 90), False, id="a message that has just come"),
    pytest.param(queue(), False, id="somebody reads it"),
    pytest.param(queue(consumers=0.0, unread_since=NOW - 90, observed_at=NOW - 60), False, id="not measured lately"),
]


@pytest.mark.parametrize(("one", "expected"), UNREAD)
def test_a_queue_needs_somebody_who_reads_it(one: QueueSeen, expected: bool) -> None:
    """A typing error in a queue's name is found in seconds, not when a customer asks."""
    declared = [consumers.Expected(1, "", "d", 1)]

    verdict = consumers.without_consumer({one.name: one}, declared, PATIENCE, now=NOW)

    assert [found.subject for found in verdict.found] == ([one.name] if expected else [])


def test_a_queue_that_was_never_read_is_found_at_the_first_look() -> None:
    """Its message waited before anybody knew of the queue."""
    one = queue(waiting=1, consumers=0.0, unread_since=NOW - 1, recent=((NOW - 1, 1.0),))

    found = [
        consumers.without_consumer({"q": one}, [], PATIENCE, now=NOW, waiting_since=since).found
        for since in ({"q": NOW - 20}, {"q": NOW - 3}, {})
    ]

    assert [len(each) for each in found] == [1, 0, 0]


DECLARED = consumers.Expected(7, "w", "q", 2)
MEMBERS = [
    pytest.param([worker("a"), worker("b")], DECLARED, False, None, id="all there"),
    pytest.param([worker("a"), worker("b", silent=30)], DECLARED, True, NOW - 30, id="one silent"),
    pytest.param([worker("a"), worker("b", silent=9)], DECLARED, False, NOW - 9, id="one silent just now"),
    pytest.param([worker("a"), worker("b", said_goodbye=True, silent=30)], DECLARED, True, NOW - 30, id="one stopped"),
    pytest.param([worker("a"), worker("b", queues=("x",))], DECLARED, False, NOW, id="one on another queue"),
    pytest.param([], replace(DECLARED, short_since=NOW - 12), True, NOW - 12, id="never seen any"),
]


@pytest.mark.parametrize(("workers", "declared", "found", "since"), MEMBERS)
def test_a_declaration_is_held_against_who_is_there(
    workers: list[Watched], declared: consumers.Expected, found: bool, since: float | None
) -> None:
    """Gone is not down: only what somebody declared can be missing, whatever its name was."""
    verdict, short = consumers.missing(workers, [declared], PATIENCE, now=NOW, observed=True)

    assert (bool(verdict.found), short) == (found, {7: since})


def test_nobody_is_missing_from_a_fleet_that_is_out_of_reach() -> None:
    """A broker that is away would otherwise accuse everybody."""
    verdict, short = consumers.missing([], [DECLARED], PATIENCE, now=NOW, observed=False)

    assert (verdict.found, verdict.unknown, short) == ((), {"w on q"}, {7: None})


# --- Starvation -------------------------------------------------------------------------------------------------------
LINE = starvation.Line("q", NOW - 120, old=5, overtaken=40)
STARVED = [
    pytest.param(LINE, queue(), 0.7, id="overtaken, priorities unknown"),
    pytest.param(replace(LINE, old=1), queue(levels={"0": 1, "9": 0}), 0.9, id="overtaken, and the low level is deep"),
    pytest.param(replace(LINE, overtaken=0), queue(), None, id="a long line in order"),
    pytest.param(replace(LINE, old=1), queue(), None, id="one alone may be lost"),
    pytest.param(LINE, queue(empty_at=NOW - 30), None, id="the queue was empty since: they are not in it"),
    pytest.param(replace(LINE, oldest_sent_at=NOW - 50), queue(), None, id="not for long"),
    pytest.param(LINE, queue(3), None, id="fewer wait than are old"),
    pytest.param(LINE, queue(observed_at=NOW - 60), None, id="not measured lately"),
]


@pytest.mark.parametrize(("line", "one", "confidence"), STARVED)
def test_a_priority_starves_when_later_tasks_start_first(
    line: starvation.Line, one: QueueSeen, confidence: float | None
) -> None:
    """A backlog that is worked off in order is slow; one that is overtaken for ever is starved."""
    verdict = starvation.starved([line], {"q": one}, HEARD, PATIENCE, now=NOW)

    assert [found.confidence for found in verdict.found] == ([] if confidence is None else [confidence])


def test_redis_serves_the_lowest_number_first() -> None:
    """The same levels mean the opposite there."""
    one = queue(levels={"0": 2, "9": 4}, counted=False)

    found = starvation.starved([LINE], {"q": one}, HEARD, PATIENCE, now=NOW).found

    assert "priority 9" in found[0].summary


# --- Lost tasks -------------------------------------------------------------------------------------------------------
SENT = lost.Open("t", "mail", "q", False, NOW - 200, sent_at=NOW - 200)
RUNNING = lost.Open("t", "mail", "q", True, NOW - 200, worker="w")
EMPTY = queue(0, empty_at=NOW - 1)
HERE, DEAD = lost.Holder(NOW - 1), lost.Holder(NOW - 100)
LOST = [
    pytest.param(SENT, EMPTY, HERE, HEARD, 0.9, id="sent, and the queue was empty since"),
    pytest.param(SENT, queue(), HERE, HEARD, None, id="it may still wait"),
    pytest.param(replace(SENT, sent_at=NOW - 30), EMPTY, HERE, HEARD, None, id="sent just now"),
    pytest.param(replace(SENT, not_before=NOW + 60), EMPTY, HERE, HEARD, None, id="not to run yet"),
    pytest.param(replace(SENT, expires_at=NOW - 60), EMPTY, HERE, HEARD, None, id="expired"),
    pytest.param(SENT, replace(EMPTY, unacked=1.0), HERE, HEARD, None, id="somebody holds one"),
    pytest.param(SENT, replace(EMPTY, consumers=2.0), HERE, HEARD, None, id="a frozen worker may hold it"),
    pytest.param(SENT, EMPTY, HERE, replace(HEARD, telling={"w": False}), None, id="workers do not tell"),
    pytest.param(SENT, EMPTY, HERE, replace(HEARD, lost=((NOW - 150, NOW - 140),)), None, id="nobody listened then"),
    pytest.param(SENT, EMPTY, HERE, replace(HEARD, missed=3), 0.5, id="some events are missed: less sure"),
    pytest.param(RUNNING, EMPTY, HERE, HEARD, None, id="its worker lives: a long task"),
    pytest.param(RUNNING, EMPTY, DEAD, HEARD, 0.9, id="its worker died, and nobody else got it"),
    pytest.param(RUNNING, queue(), DEAD, HEARD, None, id="its worker died: it may wait for another"),
    pytest.param(
        RUNNING, queue(), replace(DEAD, acknowledged=frozenset("t")), HEARD, 0.9, id="acknowledged before it died"
    ),
    pytest.param(
        RUNNING, EMPTY, lost.Holder(NOW - 1, started_at=NOW - 90), HEARD, 0.9, id="another of the same name came"
    ),
    pytest.param(
        RUNNING, EMPTY, lost.Holder(NOW - 10, said_goodbye_at=NOW - 9), HEARD, None, id="its worker has just left"
    ),
]


@pytest.mark.parametrize(("task", "one", "holder", "hearing", "confidence"), LOST)
def test_a_task_is_lost_when_nothing_can_have_it(
    task: lost.Open, one: QueueSeen, holder: lost.Holder, hearing: Hearing, confidence: float | None
) -> None:
    """Found within two minutes, and never on data that is missing."""
    evidence = lost.Evidence({"q": one}, {"w": holder}, hearing)

    verdict = lost.lost([task], evidence, PATIENCE, now=NOW)

    assert [found.confidence for found in verdict.found] == ([] if confidence is None else [confidence])


def test_others_that_were_given_out_since_show_that_it_did_not_come_back() -> None:
    """A long backlog never empties: what a broker takes back it gives out first. Redis waits for its timeout."""
    evidence = lost.Evidence({"q": queue()}, {"w": DEAD}, HEARD, {"q": NOW - 5})

    found = lost.lost([RUNNING], evidence, PATIENCE, now=NOW).found
    on_redis = lost.lost([RUNNING], replace(evidence, keeps_unacked=True), PATIENCE, now=NOW).found

    assert ([each.confidence for each in found], on_redis) == ([0.7], ())


@pytest.mark.parametrize("hearing", [Hearing(), replace(HEARD, written_at=NOW - 60)], ids=["never heard", "deaf now"])
def test_a_monitor_that_hears_nothing_accuses_nobody(hearing: Hearing) -> None:
    """Its own blindness is the first thing to think of."""
    evidence = lost.Evidence({"q": EMPTY}, {"w": DEAD}, hearing)

    verdicts = [
        lost.lost([SENT, RUNNING], evidence, PATIENCE, now=NOW),
        starvation.starved([LINE], {"q": queue()}, hearing, PATIENCE, now=NOW),
        redelivery.looping([LOOP], hearing, PATIENCE, now=NOW),
    ]

    assert all(verdict.blind and not verdict.found for verdict in verdicts)


@given(
    received=st.booleans(), age=st.floats(0, 600), empty=st.floats(0, 600), silent=st.floats(0, 600),
    gap=st.floats(1, 600), received_since=st.floats(0, 600),
)  # fmt: skip
def test_a_task_during_whose_life_events_were_lost_is_never_called_lost(
    received: bool, age: float, empty: float, silent: float, gap: float, received_since: float
) -> None:
    """Its end may have been told while nobody listened."""
    task = replace(RUNNING if received else SENT, changed_at=NOW - age - gap, sent_at=NOW - age - gap)
    hearing = replace(HEARD, lost=((NOW - gap, NOW - gap / 2),))
    evidence = lost.Evidence(
        {"q": queue(0, empty_at=NOW - empty)}, {"w": lost.Holder(NOW - silent)}, hearing, {"q": NOW - received_since}
    )

    assert lost.lost([task], evidence, PATIENCE, now=NOW).found == ()


# --- Redelivery loops -------------------------------------------------------------------------------------------------
LOOP = redelivery.Redelivered("t", "poison", 4, NOW - 60, NOW - 2, "w")


@pytest.mark.parametrize(
    ("task", "found"),
    [
        pytest.param(LOOP, True, id="given out five times"),
        pytest.param(replace(LOOP, count=2), False, id="a broken connection gives everything out once more"),
        pytest.param(replace(LOOP, finished=True), False, id="done at last"),
        pytest.param(replace(LOOP, last_at=NOW - 900), False, id="quiet since"),
    ],
)
def test_a_task_that_comes_back_for_ever_is_a_loop(task: redelivery.Redelivered, found: bool) -> None:
    """A poison task kills worker after worker; its kind is named, so that somebody can take it out."""
    verdict = redelivery.looping([task], HEARD, PATIENCE, now=NOW)

    assert [each.subject for each in verdict.found] == (["poison"] if found else [])


def test_held_tasks_survive_their_way_to_the_database() -> None:
    """What a worker runs is kept as JSON between two looks."""
    held = Held("id", "name", 1.5, True, "q", 3)

    assert Held.from_wire(held.to_wire()) == held
