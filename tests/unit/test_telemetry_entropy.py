"""Variety of states, against the test vectors and against plain loops."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.entropy import (
    Confidence,
    chi_squared_tail,
    divergence,
    homogeneity,
    miller_madow,
    relation,
    variety,
)
from subsystems.telemetry.states import OTHER, Binning, Codebook, by_quantiles, counts_of, equal_width, logarithmic

states = st.lists(st.integers(-5, 5), min_size=1, max_size=80)


def plain_entropy(observed: list[Any]) -> float:
    shares = [n / len(observed) for n in Counter(observed).values()]
    return -sum(p * math.log2(p) for p in shares)


@pytest.mark.parametrize(
    ("observed", "bits"),
    [
        pytest.param(["a", "b", "c", "d"] * 25, 2.0, id="four states, 25 each"),
        pytest.param(["ok"] * 90 + ["failed"] * 10, 0.46900, id="90 to 10"),
        pytest.param(["ok"] * 7, 0.0, id="one state"),
        pytest.param({"ok": 90, "failed": 10}, 0.46900, id="counted already"),
        pytest.param(np.repeat([0, 1], [90, 10]), 0.46900, id="an array of codes"),
    ],
)
def test_the_documented_entropies(observed: Any, bits: float) -> None:
    """000-54, 000-55 and appendix A."""
    assert variety(observed).bits == pytest.approx(bits, abs=1e-5)


@given(states, st.sampled_from(["int8", "int64", "int16", "U", "O"]))
def test_every_form_of_states_gives_the_entropy_of_a_plain_loop(observed: list[int], form: str) -> None:
    """There are four fast ways to count, and only one answer."""
    array = np.array([str(each) for each in observed]) if form == "U" else np.array(observed, form)

    assert variety(array).bits == pytest.approx(plain_entropy(observed), abs=1e-12)
    assert variety(observed).bits == pytest.approx(plain_entropy(observed), abs=1e-12)


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.array([-128, 127, 127, -128], np.int8), id="a narrow type from end to end"),
        pytest.param(np.array([2**64 - 1, 2**64 - 2, 2**64 - 1, 2**64 - 2], np.uint64), id="beyond signed numbers"),
        pytest.param(np.array([-(2**63), 2**63 - 1, -(2**63), 2**63 - 1], np.int64), id="too far apart for a table"),
        pytest.param(np.array([True, False, True, False]), id="truths"),
    ],
)
def test_the_ends_of_number_types_are_states_like_others(array: Any) -> None:
    """Shifting codes to begin at 0 must not overflow."""
    assert variety(array).bits == pytest.approx(1.0)


def test_all_measures_of_variety_are_given() -> None:
    """Bits alone say little to people; effective states and evenness do (requirements 3.1)."""
    found = variety({"a": 50, "b": 50, "c": 0}, possible=4)

    assert (found.bits, found.potential_bits, found.effective_states, found.evenness) == (1.0, 2.0, 2.0, 1.0)
    assert (found.observed_states, found.possible_states, found.sample_size) == (2, 4, 100)
    assert found.confidence is Confidence.SUFFICIENT
    assert found.to_wire()["confidence"] == "sufficient"


def test_nothing_observed_is_not_a_variety_of_zero() -> None:
    """Silence would else look like perfect order."""
    found = variety([])

    assert (found.bits, found.evenness, found.confidence) == (None, None, Confidence.INSUFFICIENT_DATA)


@pytest.mark.parametrize(
    ("k", "n", "bits"), [(4, 20, 0.10820), (4, 100, 0.02164), (16, 50, 0.21640), (16, 1000, 0.01082)]
)
def test_the_correction_for_few_samples(k: int, n: int, bits: float) -> None:
    """Miller and Madow; appendix A."""
    assert miller_madow(k, n) == pytest.approx(bits, abs=1e-5)


@pytest.mark.parametrize(("n", "enough"), [(19, False), (20, True)])
def test_fewer_than_five_samples_a_state_are_not_judged(n: int, enough: bool) -> None:
    """Requirements 3.1 and 2-18."""
    observed = ([0, 1, 2, 3] * 5)[:n]

    assert (variety(observed).confidence is Confidence.SUFFICIENT) is enough


def test_a_correction_never_claims_more_than_is_possible() -> None:
    """Four states cannot hold more than two bits."""
    assert variety([0, 1, 2, 3], possible=4).corrected_bits == 2.0


@pytest.mark.parametrize(
    ("call", "field"),
    [
        pytest.param(lambda: variety([0.1, 0.2]), "states", id="continuous values in a list"),
        pytest.param(lambda: variety(np.array([0.1, 0.2])), "states", id="continuous values in an array"),
        pytest.param(lambda: variety([["a"], ["b"]]), "states", id="lists as states"),
        pytest.param(lambda: variety({"a": -1}), "states", id="a negative count"),
        pytest.param(lambda: variety({"a": 1.5}), "states", id="half a count"),
        pytest.param(lambda: variety([1, 2, 3], possible=2), "possible", id="more states than are possible"),
        pytest.param(lambda: variety([1.0, math.nan], binning=Binning((0.0,))), "values", id="not a number"),
        pytest.param(lambda: variety(["x"], binning=Binning((0.0,))), "values", id="text to be binned"),
        pytest.param(lambda: Binning((1.0, 1.0)), "edges", id="an edge twice"),
        pytest.param(lambda: Binning(()), "edges", id="no edge"),
        pytest.param(lambda: equal_width(1, 1, 4), "low", id="no width"),
        pytest.param(lambda: equal_width(0, 1, 1), "bins", id="one bin"),
        pytest.param(lambda: logarithmic(0, 1, 4), "low", id="a logarithm of 0"),
        pytest.param(lambda: relation([1], [1, 2]), "y", id="pairs that are none"),
        pytest.param(lambda: relation([], []), "y", id="no pairs"),
        pytest.param(lambda: divergence({"a": 1}, np.array([1])), "reference", id="two forms of counts"),
        pytest.param(lambda: Codebook(0), "limit", id="an empty codebook"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(call: Any, field: str) -> None:
    """An error in a far-away sum helps nobody."""
    with pytest.raises(Invalid) as error:
        call()

    assert error.value.field == field


def test_the_binning_is_part_of_the_result() -> None:
    """The same values in other bins have another variety; whoever reads the figure must see which."""
    values = np.arange(100.0)

    fine, coarse = variety(values, binning=equal_width(0, 100, 4)), variety(values, binning=Binning((50.0,)))

    assert (fine.bits, coarse.bits) == (2.0, 1.0)
    assert fine.to_wire()["binning"] == {"kind": "equal_width", "edges": [25.0, 50.0, 75.0], "states": 4}


def test_bins_cover_every_number() -> None:
    """The outer bins are open, and an edge belongs to the bin above."""
    assert Binning((0.0, 1.0)).codes([-1e300, 0.0, 0.5, 1.0, 1e300]).tolist() == [0, 1, 1, 2, 2]
    assert logarithmic(1, 10_000, 4).edges == pytest.approx((10, 100, 1000))
    assert by_quantiles([1, 1, 1, 1, 9], 4).states == 2


def test_a_codebook_holds_so_many_names_and_counts_the_rest() -> None:
    """Names of states come from outside, and an endless stream of them must not fill the memory."""
    book = Codebook(2)

    codes = book.encode(["a", "b", "c", "a", "d"])

    assert codes.tolist() == [1, 2, 0, 1, 0]
    assert (book.names, book.overflow) == ([OTHER, "a", "b"], 2)


@pytest.mark.parametrize(
    ("x", "y", "shared"),
    [
        pytest.param([a for a in range(4) for _ in range(4)], [0, 1, 2, 3] * 4, 0.0, id="independent"),
        pytest.param([0, 1, 2, 3] * 4, ["d", "c", "b", "a"] * 4, 2.0, id="matched"),
    ],
)
def test_equal_varieties_may_share_everything_or_nothing(x: Any, y: Any, shared: float) -> None:
    """Appendix A: the ratio is 1.0 in both cases."""
    found = relation(x, y)

    assert (found.x_bits, found.y_bits) == (2.0, 2.0)
    assert found.mutual_information == pytest.approx(shared, abs=1e-12)
    assert found.joint_bits == pytest.approx(4.0 - shared)
    assert found.y_given_x == pytest.approx(2.0 - shared)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 300_000)), min_size=1, max_size=60))
def test_information_keeps_its_laws(pairs: list[tuple[int, int]]) -> None:
    """Never negative, never more than either side, and the chain rule holds."""
    x, y = (list(side) for side in zip(*pairs, strict=True))

    found = relation(x, np.array(y))

    assert found.joint_bits == pytest.approx(plain_entropy(pairs), abs=1e-9)
    assert 0 <= found.mutual_information <= min(found.x_bits, found.y_bits) + 1e-12
    assert 0 <= found.corrected_mutual_information <= min(found.x_bits, found.y_bits)
    assert found.joint_bits == pytest.approx(found.x_bits + found.y_given_x)
    assert relation(y, x).mutual_information == pytest.approx(found.mutual_information, abs=1e-9)


def test_chance_is_taken_off_the_information_of_small_samples() -> None:
    """Independent series seem to share something until there are many pairs."""
    rng = np.random.default_rng(7)
    found = relation(rng.integers(0, 8, 200), rng.integers(0, 8, 200))

    assert found.mutual_information > 0.1
    assert found.corrected_mutual_information < found.mutual_information / 3


def test_divergence_is_what_it_costs_to_expect_the_wrong_thing() -> None:
    """By hand: D((1/2, 1/2) || (1/4, 3/4)) = 1/2 + 1/2 log2(2/3)."""
    by_hand = 0.5 + 0.5 * math.log2(2 / 3)

    assert divergence({"a": 2, "b": 2}, {"a": 1, "b": 3}, smoothing=0) == pytest.approx(by_hand)
    assert divergence({"a": 1}, {"b": 1}, smoothing=0) == math.inf
    assert math.isfinite(divergence({"a": 1}, {"b": 1}) or 0)
    assert divergence({}, {"a": 1}) is None


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 50)), st.integers(1, 5))
def test_the_same_shares_do_not_diverge(counts: dict[str, int], times: int) -> None:
    """Watching longer is no drift."""
    if not sum(counts.values()):
        return
    more = {name: times * n for name, n in counts.items()}

    assert divergence(counts, more, smoothing=0) == pytest.approx(0, abs=1e-12)
    assert (homogeneity(counts, more) or 0) > 0.9


@pytest.mark.parametrize(("value", "freedom"), [(3.841, 1), (9.488, 4), (18.307, 10)])
def test_the_tail_of_chi_squared_agrees_with_the_tables(value: float, freedom: int) -> None:
    """The 5 % points of any statistics book."""
    assert chi_squared_tail(value, freedom) == pytest.approx(0.05, abs=0.003)


def test_chance_alone_is_rarely_called_a_difference() -> None:
    """The test must keep its promise, or drift would be told all day."""
    rng = np.random.default_rng(11)
    pairs = [[np.bincount(rng.integers(0, 6, n), minlength=6) for n in (200, 400)] for _ in range(400)]

    unlikely = sum((homogeneity(*pair) or 0) < 0.05 for pair in pairs)

    assert 8 <= unlikely <= 36  # 20 expected


def test_counting_keeps_nothing_but_counts() -> None:
    """Codes, names and a table of counts lead to one form."""
    assert sorted(counts_of(["a", "b", "a"]).tolist()) == [1, 2]
    assert sorted(counts_of({"a": 2, "b": 1, "c": 0}).tolist()) == [1, 2]
    assert sorted(counts_of(np.array([7, 10**12, 7])).tolist()) == [1, 2]
