"""The laws that let replicas meet in any order and as often as they like."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.crdt import GCounter, LWWRegister, ORSet, PNCounter, from_wire, replica_id

REPLICAS = ("web/0", "worker/0", "worker/1")
# What each of three replicas does, and whom it then hears: (who, what, with which number, heard).
deeds = st.lists(
    st.tuples(st.sampled_from(REPLICAS), st.integers(0, 2), st.integers(0, 4), st.sampled_from([*REPLICAS, ""])),
    max_size=25,
)


def count_up(state: GCounter, who: str, deed: int, n: int) -> GCounter:
    return state.increment(who, n)


def count_both(state: PNCounter, who: str, deed: int, n: int) -> PNCounter:
    return state.increment(who, n) if deed else state.decrement(who, n)


def write(state: LWWRegister, who: str, deed: int, n: int) -> LWWRegister:
    return state.write(f"{who} {deed}", clock=state.next_clock(n), replica=who)


def add_or_remove(state: ORSet, who: str, deed: int, n: int) -> ORSet:
    return state.remove(f"item {n}") if deed == 0 else state.add(who, f"item {n}")


def history(empty: Any, act: Any, done: list[tuple[str, int, int, str]]) -> list[Any]:
    """Return the states of three replicas that acted and heard of each other; every law is about such states."""
    states = dict.fromkeys(REPLICAS, empty)
    for who, deed, n, heard in done:
        states[who] = act(states[who], who, deed, n)
        if heard:
            states[who] = states[who].merge(states[heard])
    return list(states.values())


KINDS = pytest.mark.parametrize(
    ("empty", "act"),
    [
        pytest.param(GCounter(), count_up, id="g-counter"),
        pytest.param(PNCounter(), count_both, id="pn-counter"),
        pytest.param(LWWRegister(), write, id="register"),
        pytest.param(ORSet(), add_or_remove, id="set"),
    ],
)


@KINDS
@given(done=deeds)
def test_replicas_agree_whatever_the_order(empty: Any, act: Any, done: list[Any]) -> None:
    """Commutative, associative, idempotent."""
    a, b, c = history(empty, act, done)

    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(a) == a
    assert a.merge(b).merge(b) == a.merge(b)
    assert reduce(type(empty).merge, [c, a, b, a, c]) == reduce(type(empty).merge, [a, b, c])


@KINDS
@given(done=deeds)
def test_states_only_grow(empty: Any, act: Any, done: list[Any]) -> None:
    """Monotone: whoever merged knows what both knew, and no deed makes a replica forget."""
    a, b, _ = history(empty, act, done)
    both = a.merge(b)

    assert both.knows(a)
    assert both.knows(b)
    assert a.knows(empty)
    for deed in range(3):
        assert act(a, REPLICAS[0], deed, 1).knows(a)


@KINDS
@given(done=deeds)
def test_the_wire_carries_everything(empty: Any, act: Any, done: list[Any]) -> None:
    """Through real JSON, and equal states have equal bodies."""
    a, b, _ = history(empty, act, done)

    assert from_wire(json.loads(json.dumps(a.to_wire()))) == a
    assert json.dumps(a.merge(b).to_wire()) == json.dumps(b.merge(a).to_wire())


@given(done=deeds)
def test_no_count_is_lost_and_none_counted_twice(done: list[Any]) -> None:
    """The reason for all of it."""
    met = reduce(PNCounter.merge, history(PNCounter(), count_both, done))

    assert met.value == sum(n if deed else -n for _, deed, n, _ in done)


def test_an_addition_wins_over_a_removal_that_did_not_know_it() -> None:
    """Two people at once: nothing that someone just added may vanish."""
    start = ORSet().add("web/0", "billing")
    removed, added_again = start.remove("billing"), start.add("worker/0", "billing")

    assert removed.merge(start).value == frozenset()
    assert removed.merge(added_again).value == {"billing"}
    assert "billing" in added_again.merge(removed)


def test_a_set_does_not_grow_with_its_removals() -> None:
    """A set with tombstones would be a leak."""
    state = ORSet()
    for n in range(200):
        state = state.add("web/0", f"item {n}").remove(f"item {n}")

    assert state == ORSet({}, {"web/0": 200})


def test_a_wrong_clock_elsewhere_does_not_silence_later_writers() -> None:
    """The next write is later than all that was seen, whatever the clock on the wall says."""
    wrong = LWWRegister().write("from the future", clock=10**15, replica="web/0")
    seen = LWWRegister().merge(wrong)

    assert seen.write("now", clock=seen.next_clock(1_000), replica="worker/0").value == "now"
    assert seen.write("too late", clock=999, replica="worker/0") == wrong


def test_replica_ids_are_stable_and_tell_writers_apart() -> None:
    """A restart is the same writer; one that lost its memory is not."""
    assert replica_id("site-a", "worker", 1) == "site-a/worker/1"
    assert replica_id("site-a", "worker", 1, incarnation=2) == "site-a/worker/1:2"


@pytest.mark.parametrize(
    ("wire", "field"),
    [
        pytest.param(None, "type", id="nothing"),
        pytest.param([], "type", id="a list"),
        pytest.param({"type": "counter"}, "type", id="an unknown kind"),
        pytest.param({"type": ["g_counter"]}, "type", id="a list as kind"),
        pytest.param({"type": "g_counter"}, "counts", id="no counts"),
        pytest.param({"type": "g_counter", "counts": {"a": -1}}, "counts", id="a negative count"),
        pytest.param({"type": "g_counter", "counts": {"a": True}}, "counts", id="a truth as count"),
        pytest.param({"type": "g_counter", "counts": {"a": 2**63}}, "counts", id="a count beyond the column"),
        pytest.param({"type": "g_counter", "counts": {"": 1}}, "replica", id="nobody counted"),
        pytest.param({"type": "g_counter", "counts": {str(n): 1 for n in range(1001)}}, "counts", id="a crowd"),
        pytest.param({"type": "pn_counter", "up": {}, "down": 3}, "down", id="a number for counts"),
        pytest.param({"type": "lww_register", "value": 1, "clock": "1", "replica": "a"}, "clock", id="a text as clock"),
        pytest.param({"type": "lww_register", "value": 1, "clock": 1, "replica": ""}, "replica", id="no writer"),
        pytest.param({"type": "or_set", "entries": [], "seen": {}}, "entries", id="a list of entries"),
        pytest.param({"type": "or_set", "entries": {"x": {"a": 2}}, "seen": {"a": 1}}, "entries", id="not yet seen"),
        pytest.param({"type": "or_set", "entries": {"x": {}}, "seen": {}}, "entries", id="added by nobody"),
    ],
)
def test_what_no_replica_would_send_is_refused_by_name(wire: Any, field: str) -> None:
    """States come over the network."""
    with pytest.raises(Invalid) as error:
        from_wire(wire)

    assert error.value.field == field


@pytest.mark.parametrize("by", [-1, 1.5, True])
def test_a_growing_counter_only_grows(by: Any) -> None:
    """A negative increment would be undone by the next merge."""
    with pytest.raises(Invalid):
        GCounter().increment("web/0", by)
