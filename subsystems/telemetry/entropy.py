"""Variety of states: what was observed, what was possible, and how far the figures can be believed.

Shannon's entropy of the observed frequencies is the *observed* variety (requirements 000-23, 001-8; Shannon 1948);
log2 of the number of possible states is the *potential* one (Ashby 1956, ch. 7). They are equal only when all states
are equally frequent, so both are given (requirements 3.1).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.states import DENSE, Binning, Counts, States, counts_of, dense_codes, positive

SAMPLES_PER_STATE = 5  # 3.1: fewer than 5 observations a state are not judged
SMOOTHING = 0.5  # added to each count before a divergence is taken (Krichevsky and Trofimov 1981)
Aligned = Mapping[Any, int] | npt.NDArray[np.int64]


class Confidence(StrEnum):
    """Whether there are enough observations for a judgement."""

    SUFFICIENT = "sufficient"
    INSUFFICIENT_DATA = "insufficient_data"


@dataclass(frozen=True, slots=True)
class Variety:
    """Variety in bits, with all that is needed to judge the figure. None is what no observation can tell."""

    bits: float | None  # H of the observed frequencies
    corrected_bits: float | None  # with Miller and Madow's correction
    potential_bits: float | None  # log2 of the possible states; of the observed ones where none were declared
    effective_states: float | None  # 2^H: so many equally frequent states would vary as much
    evenness: float | None  # H / log2 of the observed states; None with fewer than two
    observed_states: int
    possible_states: int | None  # as declared
    sample_size: int
    needed_samples: int
    confidence: Confidence
    binning: Binning | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        wire = {name: getattr(self, name) for name in self.__slots__}
        return {**wire, "confidence": str(self.confidence), "binning": self.binning and self.binning.to_wire()}


@dataclass(frozen=True, slots=True)
class Relation:
    """What two series observed together say of each other, in bits."""

    x_bits: float
    y_bits: float
    joint_bits: float
    x_given_y: float  # H(X|Y)
    y_given_x: float  # H(Y|X)
    mutual_information: float
    corrected_mutual_information: float  # less what chance alone puts into a sample of this size
    joint_states: int
    sample_size: int
    confidence: Confidence

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {**asdict(self), "confidence": str(self.confidence)}


def variety(states: States, *, possible: int | None = None, binning: Binning | None = None) -> Variety:
    """Measure the variety of observed *states* (000-21), of *possible* ones if that many are known.

    With a *binning* the states are continuous values. Raises Invalid naming the field.
    """
    if binning is not None:
        if isinstance(states, Mapping):
            raise Invalid("Counts are states already; a binning is for values.", field="states")
        codes = binning.codes(states)
        return variety_of_counts(counts_of(codes), possible=binning.states, binning=binning)
    return variety_of_counts(counts_of(states), possible=possible)


def variety_of_counts(counts: Counts, *, possible: int | None = None, binning: Binning | None = None) -> Variety:
    """Measure the variety of states that occurred *counts* times each; zeros are states that did not occur."""
    seen = counts[counts > 0]
    distinct, size = int(seen.size), int(seen.sum())
    if possible is not None and possible < max(distinct, 1):
        raise Invalid(f"{distinct} states were observed, so {possible} cannot be all.", field="possible")
    needed = max(1, SAMPLES_PER_STATE * distinct)
    bits = entropy(seen) if size else None
    return Variety(
        bits=bits,
        corrected_bits=None if bits is None else _corrected(bits, distinct, size, possible),
        potential_bits=math.log2(possible or distinct) if possible or distinct else None,
        effective_states=None if bits is None else 2.0**bits,
        evenness=bits / math.log2(distinct) if bits is not None and distinct > 1 else None,
        observed_states=distinct,
        possible_states=possible,
        sample_size=size,
        needed_samples=needed,
        confidence=_confidence(size, distinct),
        binning=binning,
    )


def entropy(counts: Counts) -> float:
    """Return Shannon's entropy in bits of states that occurred *counts* times each, none of them 0 (000-23).

    H = -sum(p log2 p), computed as log2 N - sum(c log2 c) / N, which needs one pass.
    """
    if counts.size < 2:
        return 0.0
    total = float(counts.sum())
    bits = math.log2(total) - float(counts @ np.log2(counts)) / total
    return min(max(bits, 0.0), math.log2(counts.size))


def miller_madow(states: int, samples: int) -> float:
    """Return the bits by which a plug-in entropy is too low: (k - 1) / (2 N ln 2) (Miller 1955; requirements 3.1)."""
    return (states - 1) / (2 * samples * math.log(2)) if states > 0 and samples > 0 else 0.0


def relation(x: States, y: States) -> Relation:
    """Measure two series of states, observed in pairs: joint and conditional entropy, mutual information.

    I(X;Y) = H(X) + H(Y) - H(X,Y). Two independent series have 0 bits of it however varied each is (requirements 3.2).
    Raises Invalid naming the field.
    """
    first, second = dense_codes(x), dense_codes(y)
    if len(first) != len(second) or not len(first):
        raise Invalid(f"Pairs need as many of one as of the other; got {len(first)} and {len(second)}.", field="y")
    return _relation(counts_of(first), counts_of(second), joint_counts(first, second))


def relation_of_counts(pairs: Mapping[tuple[Any, Any], int]) -> Relation | None:
    """Measure pairs that were counted: how often each x went with each y; None without any."""
    in_x, in_y = Counter[Any](), Counter[Any]()
    for (x, y), n in pairs.items():
        in_x[x] += n
        in_y[y] += n
    joint = counts_of(pairs)
    return _relation(counts_of(in_x), counts_of(in_y), joint) if joint.size else None


def _relation(in_x: Counts, in_y: Counts, joint: Counts) -> Relation:
    size = int(joint.sum())
    h_x, h_y = entropy(in_x), entropy(in_y)
    together = min(max(entropy(joint), h_x, h_y), h_x + h_y)  # rounding must not make a negative information
    shared = h_x + h_y - together
    surplus = joint.size - in_x.size - in_y.size + 1
    chance = surplus / (2 * size * math.log(2))  # Miller's correction of each of the three entropies
    return Relation(
        x_bits=h_x,
        y_bits=h_y,
        joint_bits=together,
        x_given_y=together - h_y,
        y_given_x=together - h_x,
        mutual_information=shared,
        corrected_mutual_information=min(max(shared - chance, 0.0), h_x, h_y),
        joint_states=int(joint.size),
        sample_size=size,
        confidence=_confidence(size, int(joint.size)),
    )


def joint_counts(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> Counts:
    """Return how often each pair of dense codes occurs, none of them 0."""
    wide = int(y.max()) + 1
    pairs = x * wide + y
    if (int(x.max()) + 1) * wide <= max(DENSE, 2 * pairs.size):
        return positive(np.bincount(pairs))
    counts: Counts = np.unique(pairs, return_counts=True)[1]
    return counts


def divergence(recent: Aligned, reference: Aligned, *, smoothing: float = SMOOTHING) -> float | None:
    """Return the Kullback-Leibler divergence D(recent || reference) in bits of two sets of counts.

    Both are counts by state, or arrays with one place for each state. *smoothing* is added to each count, because a
    state that the reference never saw would else make it infinite; with 0 it then is. None when one side is empty.
    """
    p, q = _aligned(recent, reference)
    if not p.sum() or not q.sum():
        return None
    p, q = (p + smoothing) / (p + smoothing).sum(), (q + smoothing) / (q + smoothing).sum()
    used = p > 0
    if (q[used] == 0).any():
        return math.inf
    return max(0.0, float(p[used] @ np.log2(p[used] / q[used])))


def homogeneity(recent: Aligned, reference: Aligned) -> float | None:
    """Return the probability that chance alone makes two sets of counts differ so much; None when one side is empty.

    Woolf's G test (1957), G = 2 N ln 2 x (the Jensen-Shannon divergence weighted by sample size), which is chi-squared
    with k - 1 degrees of freedom; the tail is Wilson and Hilferty's (1931).
    """
    p, q = _aligned(recent, reference)
    both = p + q
    n, m = p.sum(), q.sum()
    if not n or not m:
        return None
    freedom = int(np.count_nonzero(both)) - 1
    if freedom < 1:
        return 1.0
    bits = _bits(both) * (n + m) - _bits(p) * n - _bits(q) * m
    return chi_squared_tail(max(0.0, 2 * math.log(2) * bits), freedom)


def chi_squared_tail(value: float, freedom: int) -> float:
    """Return about the probability that chi-squared exceeds *value* (Wilson and Hilferty 1931)."""
    spread = 2 / (9 * freedom)
    z = ((value / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
    return 0.5 * math.erfc(z / math.sqrt(2))


def _bits(counts: npt.NDArray[np.float64]) -> float:
    """Return the entropy of counts that may be weights, zeros allowed."""
    shares = counts[counts > 0] / counts.sum()
    return -float(shares @ np.log2(shares))


def _aligned(x: Aligned, y: Aligned) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return both as arrays with the same place for the same state, and no place that both leave empty."""
    if isinstance(x, Mapping) and isinstance(y, Mapping):
        names = list(dict.fromkeys([*x, *y]))
        first = np.array([x.get(name, 0) for name in names], np.float64)
        second = np.array([y.get(name, 0) for name in names], np.float64)
    elif isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        places = max(x.size, y.size)
        first, second = (np.pad(each.astype(np.float64), (0, places - each.size)) for each in (x, y))
    else:
        raise Invalid("Give counts by state on both sides, or arrays on both.", field="reference")
    if (first < 0).any() or (second < 0).any():
        raise Invalid("Counts are numbers from 0.", field="recent")
    used = first + second > 0
    return first[used], second[used]


def _corrected(bits: float, distinct: int, size: int, possible: int | None) -> float:
    corrected = bits + miller_madow(distinct, size)
    return corrected if possible is None else min(corrected, math.log2(possible))


def _confidence(size: int, distinct: int) -> Confidence:
    enough = size > 0 and size >= SAMPLES_PER_STATE * distinct
    return Confidence.SUFFICIENT if enough else Confidence.INSUFFICIENT_DATA
