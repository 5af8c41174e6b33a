"""Choosing one of several handlers: fair, by load, by ability, and for ever the same where state is kept."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid, NotListed
from subsystems.messaging.selection import Candidate, Ring, Strategy, choose

PLAIN = Candidate("plain")
COLOUR = Candidate("colour", frozenset({"colour"}))
LARGE = Candidate("large", frozenset({"colour", "large"}))
PRINTERS = [LARGE, PLAIN, COLOUR]
NAMES = st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=8)
KEYS = [f"customer-{number}" for number in range(2_000)]


def test_each_handler_has_its_turn() -> None:
    """Round robin is the documented default; the order in which handlers were loaded does not matter."""
    chosen = [choose(Strategy.ROUND_ROBIN, PRINTERS, turn=turn).name for turn in range(5)]

    assert chosen == ["colour", "large", "plain", "colour", "large"]


def test_the_least_loaded_takes_the_work() -> None:
    """Whoever has least to do is soonest done."""
    assert choose(Strategy.LEAST_LOADED, PRINTERS, loads={"plain": 3, "colour": 1, "large": 2}) is COLOUR


def test_equally_loaded_handlers_take_turns() -> None:
    """At rest all loads are zero, and the first by name must not get everything."""
    chosen = {choose(Strategy.LEAST_LOADED, PRINTERS, loads={"plain": 1}, turn=turn).name for turn in range(4)}

    assert chosen == {"colour", "large"}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_only_those_who_can_do_it_are_asked(strategy: Strategy) -> None:
    """A capability that is asked for is a condition, whatever the strategy."""
    chosen = {
        choose(strategy, PRINTERS, turn=turn, required=["colour"], loads={"plain": -1}, key=f"key-{turn}").name
        for turn in range(40)
    }

    assert "plain" not in chosen


def test_by_capability_the_versatile_stay_free() -> None:
    """Otherwise a black and white page would keep the large colour printer busy."""
    assert choose(Strategy.CAPABILITY, PRINTERS) is PLAIN
    assert choose(Strategy.CAPABILITY, PRINTERS, required=["colour"]) is COLOUR
    assert choose(Strategy.CAPABILITY, PRINTERS, required=["large"]) is LARGE


@pytest.mark.parametrize(
    ("candidates", "required", "field"), [(PRINTERS, ["braille"], "capability"), ([], [], "operation")]
)
def test_what_nobody_can_do_is_refused(candidates: list[Candidate], required: list[str], field: str) -> None:
    """The message goes to the dead letters with this reason; it is not tried three times."""
    with pytest.raises(NotListed) as caught:
        choose(Strategy.ROUND_ROBIN, candidates, required=required)

    assert caught.value.field == field


def test_state_needs_a_key() -> None:
    """Without one the state would be looked for in the wrong place."""
    with pytest.raises(Invalid) as caught:
        choose(Strategy.CONSISTENT_HASH, PRINTERS)

    assert caught.value.field == "state_key"


def test_a_key_has_the_same_owner_in_every_process() -> None:
    """Python's own hash differs from one process to the next; these must not, now or in later versions."""
    owners = [choose(Strategy.CONSISTENT_HASH, PRINTERS, key=key).name for key in "abcdef"]

    assert owners == ["colour", "colour", "large", "colour", "colour", "large"]


@settings(max_examples=30)
@given(names=NAMES, newcomer=st.text(min_size=1, max_size=8), keys=st.lists(st.text(), max_size=50))
def test_a_newcomer_takes_keys_over_and_moves_no_others(names: set[str], newcomer: str, keys: list[str]) -> None:
    """State that need not move must not: whoever had it still has it."""
    assume(newcomer not in names)
    before, after = Ring(names), Ring(names | {newcomer})

    assert all(after.owner(key) in {before.owner(key), newcomer} for key in keys)


@settings(max_examples=30)
@given(names=NAMES, keys=st.lists(st.text(), max_size=50))
def test_who_leaves_gives_up_only_its_own_keys(names: set[str], keys: list[str]) -> None:
    """The loss of one handler must not cost the state of the others."""
    assume(len(names) > 1)
    gone = min(names)
    before, after = Ring(names), Ring(names - {gone})

    assert all(after.owner(key) == before.owner(key) for key in keys if before.owner(key) != gone)


def test_about_its_share_of_keys_moves_to_a_newcomer() -> None:
    """Minimal movement: a fourth handler gets about a quarter."""
    before, after = Ring({"a", "b", "c"}), Ring({"a", "b", "c", "d"})

    moved = sum(before.owner(key) != after.owner(key) for key in KEYS)

    assert 0.15 < moved / len(KEYS) < 0.35


def test_keys_are_shared_out_evenly() -> None:
    """A handler that owned half the circle would be the bottleneck of all."""
    shares = Counter(Ring({f"handler-{number}" for number in range(8)}).owner(key) for key in KEYS)

    assert len(shares) == 8
    assert max(shares.values()) < 1.6 * len(KEYS) / 8
    assert min(shares.values()) > 0.5 * len(KEYS) / 8
