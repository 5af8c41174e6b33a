"""Folding events into what is known of a task: in whatever order they come, the row is the same."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.fleets.events import Event, decode
from subsystems.fleets.folding import MAX_TEXT, Facts, Folder
from subsystems.fleets.masking import MASK, Masking
from subsystems.fleets.states import State

NOON = 1_800_000_000.0


def event(type_: str, after: float = 0.0, **fields: Any) -> Event:
    return Event(type=type_, **{"uuid": "t1", "hostname": "w1@host", "timestamp": NOON + after, **fields})


LIFE = [
    event("task-sent", 0.0, hostname="client@web", name="shop.pay", queue="money", args="(1,)", kwargs="{}", retries=0),
    event("task-received", 0.1, name="shop.pay", args="(1,)", kwargs="{}", retries=0, clock=7, root_id="t1"),
    event("task-started", 0.2, clock=8),
    event("task-retried", 0.3, exception="TimeoutError('bank')", traceback="…", clock=9),
    event("task-sent", 0.25, name="shop.pay", queue="money", retries=1, eta="2027-01-15T08:00:10+00:00"),
    event("task-received", 10.0, hostname="w2@host", name="shop.pay", retries=1, clock=12),
    event("task-started", 10.1, hostname="w2@host", clock=13),
    event("task-succeeded", 10.6, hostname="w2@host", result="'paid'", runtime=0.5, clock=14),
]  # fmt: skip


def folded(events: list[Event], masking: Masking | None = None) -> Facts:
    folder = Folder(masking or Masking())
    folder.fold_all(events)
    return folder.take().tasks["t1"]


def test_a_life_with_a_retry_is_one_row() -> None:
    """What people look for: when, where, how long, how often, how it ended."""
    facts = folded(LIFE)

    assert (facts.state, facts.name, facts.queue, facts.worker) == (State.SUCCESS, "shop.pay", "money", "w2@host")
    assert (facts.sent_at, facts.started_at, facts.last_started_at) == (NOON, NOON + 0.2, NOON + 10.1)
    assert (facts.finished_at, facts.runtime_told, facts.retries, facts.result) == (NOON + 10.6, 0.5, 1, "'paid'")
    assert (facts.exception, facts.eta_at, facts.root_id) == ("", None, None)


@given(st.permutations(LIFE), st.lists(st.sampled_from(LIFE), max_size=5))
def test_any_order_and_any_repetition_give_the_same_row(order: list[Event], again: list[Event]) -> None:
    """Events of two workers overtake each other, and a broker that was away sends them again."""
    assert folded(order + again) == folded(LIFE)


types = st.sampled_from(["task-sent", "task-received", "task-started", "task-retried", "task-succeeded", "task-failed",
                         "task-revoked", "task-rejected"])  # fmt: skip
facts_of_any_life = st.lists(
    st.builds(
        event,
        types,
        st.sampled_from([0.0, 1.0, 1.5, 2.0]),
        hostname=st.sampled_from(["w1@host", "w2@host"]),
        name=st.sampled_from([None, "shop.pay"]),
        retries=st.sampled_from([None, 0, 1, 2]),
        exception=st.just("ValueError(1)"),
    ),
    min_size=1,
    max_size=7,
    unique_by=lambda each: (each.type, each.timestamp),
)


@given(facts_of_any_life, st.randoms(use_true_random=False))
def test_no_life_however_strange_depends_on_the_order(events: list[Event], random: Any) -> None:
    """Late, twice, contradicting each other, by clocks that differ: two databases fed in two orders must agree."""
    shuffled = list(events)
    random.shuffle(shuffled)

    assert folded(shuffled) == folded(events)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        pytest.param([event("task-succeeded", 1.0), event("task-started", 2.0)], State.SUCCESS, id="late start"),
        pytest.param([event("task-started", 1.0), event("task-sent", 5.0)], State.STARTED, id="client's clock ahead"),
        pytest.param([event("task-failed", 1.0), event("task-succeeded", 2.0)], State.SUCCESS, id="delivered again"),
        pytest.param([event("task-retried", 1.0), event("task-started", 2.0)], State.STARTED, id="next try"),
        pytest.param([event("task-received", 1.0), event("task-revoked", 2.0)], State.REVOKED, id="revoked"),
    ],
)  # fmt: skip
def test_the_state_that_holds(events: list[Event], state: State) -> None:
    """An end is never taken back by what comes late, and a client's clock never hides that a task runs."""
    assert folded(events).state == folded(events[::-1]).state == state


def test_events_that_are_no_events_change_nothing() -> None:
    """Anybody who can publish on the broker can send anything."""
    folder = Folder(Masking())
    folder.fold_all([event("task-started", uuid=""), event("task-started", timestamp=-1.0), event("worker-online")])
    folder.fold(event("task-exploded"))

    assert not folder.take()


def test_what_no_database_takes_is_cleaned_and_bounded() -> None:
    """A NUL or a lone surrogate in one result must not keep a thousand other tasks out of the database."""
    facts = folded([event("task-succeeded", result="a\0b\ud800" + "x" * 5000, uuid="t1"), event("task-started")])

    assert facts.result.startswith("ab?x")
    assert len(facts.result) <= MAX_TEXT
    msgspec.json.encode(facts)


def test_what_a_hidden_task_was_given_and_returned_is_not_kept() -> None:
    """Also when its result comes in a later batch than its name, and when nobody heard its name at all."""
    folder = Folder(Masking(tasks=["shop.*"]))
    folder.fold_all([event("task-received", name="shop.pay", args="('4711',)", kwargs="{'a': 1}"),
                     event("task-received", name="mail.send", args="('hello',)", uuid="t2")])  # fmt: skip
    first = folder.take().tasks
    folder.fold_all([event("task-succeeded", 1.0, result="'4711'"),
                     event("task-succeeded", 1.0, uuid="t2", result="'ok'"),
                     event("task-failed", 1.0, uuid="t3", exception="ValueError('4711')")])  # fmt: skip
    then = folder.take().tasks

    assert (first["t1"].args, first["t1"].kwargs, first["t2"].args) == (MASK, MASK, "('hello',)")
    assert (then["t1"].result, then["t2"].result, then["t3"].exception) == (MASK, "'ok'", f"ValueError({MASK})")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"type":"task-started","uuid":"t1","timestamp":1800000000}', id="one"),
        pytest.param(b'[{"type":"task-started","uuid":"t1","timestamp":1800000000.0}]', id="many"),
        pytest.param('{"type":"task-started","uuid":"t1","timestamp":18,"args":[1],"eta":5,"name":null}', id="odd"),
    ],
)  # fmt: skip
def test_messages_of_every_shape_are_read(body: bytes | str) -> None:
    """Workers send one event or many in a message; other clients are free with types."""
    assert [(each.type, each.uuid) for each in decode(body)] == [("task-started", "t1")]


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[1, 2]", b'"text"', b"\x80\x04"])
def test_what_is_no_event_is_refused(body: bytes) -> None:
    """The caller counts it; it must not stop the others."""
    with pytest.raises(ValueError, match=r"."):
        decode(body)
