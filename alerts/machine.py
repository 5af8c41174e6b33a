"""The state machine of alerts, for all series of all rules at once.

normal -> pending -> firing -> recovering -> normal (the alert is resolved), and no_data beside them. What cannot be
judged never passes for good news: by the rule's policy it keeps the state, raises an alert of its own, or counts as
clear. Everything is an array with one place for each pair of a rule and a series; nothing here knows a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]
COMPARISONS = ("gt", "gte", "lt", "lte")
POLICIES = ("keep", "alert", "ok")
MAX_STEPS = 2


class State(IntEnum):
    NORMAL = 0
    PENDING = 1
    FIRING = 2
    RECOVERING = 3
    NO_DATA = 4


class Verdict(IntEnum):
    CLEAR = 0
    HOLDS = 1
    NO_DATA = 2


@dataclass(frozen=True, slots=True)
class Terms:
    """What each pair's rule asks."""

    comparison: Codes  # place in COMPARISONS
    threshold: Floats
    recover: Floats  # equal to the threshold without hysteresis
    for_seconds: Floats
    keep_firing_seconds: Floats
    stale_seconds: Floats
    no_data: Codes  # place in POLICIES
    steps: Floats  # thresholds of further severities, worse to the right; shape (pairs, MAX_STEPS), NaN for none

    def of(self, chosen: npt.NDArray[np.intp] | Flags) -> Terms:
        """Return the terms of the chosen pairs."""
        return Terms(*(getattr(self, name)[chosen] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of each pair's alert: its state and since when; NaN where that does not apply."""

    state: Codes
    since: Floats  # pending since
    recovering_since: Floats
    held: Flags  # resolved by hand while its condition held: waits until that was once false


def fresh(n: int) -> Memory:
    """Return the memory of *n* pairs that have no alert."""
    return Memory(
        np.zeros(n, np.int8), np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, np.bool_)
    )  # fmt: skip


def meets(values: Floats, comparison: Codes, thresholds: Floats) -> Flags:
    """Return which of *values* meet their comparison; an unknown value or threshold meets none."""
    with np.errstate(invalid="ignore"):
        met: Flags = np.select(
            [comparison == 0, comparison == 1, comparison == 2],
            [values > thresholds, values >= thresholds, values < thresholds],
            values <= thresholds,
        ) & ~(np.isnan(values) | np.isnan(thresholds))
    return met


def judged(values: Floats, at: Floats, terms: Terms, memory: Memory, *, now: float) -> Codes:
    """Return the verdict on each pair; one whose alert people know of is clear only beyond its recovery threshold."""
    told = (memory.state == State.FIRING) | (memory.state == State.RECOVERING) | (memory.state == State.NO_DATA)
    holds = meets(values, terms.comparison, np.where(told, terms.recover, terms.threshold))
    with np.errstate(invalid="ignore"):
        silent = np.isnan(values) | ~(now - at <= terms.stale_seconds)
    verdict = np.where(holds, Verdict.HOLDS, Verdict.CLEAR)
    codes: Codes = np.where(silent, Verdict.NO_DATA, verdict).astype(np.int8)
    return codes


def levels(values: Floats, terms: Terms) -> Codes:
    """Return the severity of each pair: 0 for the rule's own, more for each worse step that is met."""
    met = meets(
        np.repeat(values, MAX_STEPS), np.repeat(terms.comparison, MAX_STEPS), terms.steps.ravel()
    ).reshape(terms.steps.shape)  # fmt: skip
    worst: Codes = np.where(met, np.arange(1, MAX_STEPS + 1), 0).max(axis=1, initial=0).astype(np.int8)
    return worst


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of each pair."""

    state: Codes
    since: Floats
    recovering_since: Floats
    released: Flags  # a hold by hand is over
    silent: Flags  # nothing is heard, and the rule does not take that for clear


def advance(
    verdict: Codes, at: Floats, since: Floats, terms: Terms, memory: Memory, *, now: float, heard: Floats | None = None
) -> Step:
    """Return the next state of each pair.

    *since* is from when the condition has held without a break (NaN: not known, then from *at*), *at* the moment of
    the judgement and *heard* that of the last sample, which may be long ago.
    """
    heard = at if heard is None else heard
    silent = (verdict == Verdict.NO_DATA) & (terms.no_data != 2)
    holds, clear = verdict == Verdict.HOLDS, (verdict != Verdict.HOLDS) & ~silent
    began = np.where(
        holds, np.where(np.isnan(since), np.where(np.isnan(memory.since), at, memory.since), since), np.nan
    )
    with np.errstate(invalid="ignore"):
        due = holds & (np.round(at - began, 3) >= terms.for_seconds)
    state, told = memory.state, np.isin(memory.state, (State.FIRING, State.RECOVERING, State.NO_DATA))
    recovering_since, after_clear = _recovering(memory, terms, clear, now)
    following = np.select(
        [holds & told, holds & due, holds, clear],
        [State.FIRING, State.FIRING, State.PENDING, after_clear],
        np.where(_alarming(heard, terms, memory, silent, now), State.NO_DATA, state),
    ).astype(np.int8)
    following = np.where(memory.held, State.NORMAL, following).astype(np.int8)
    kept = np.where(silent | (told & (following != State.NORMAL)), memory.since, began)
    recovering_since = np.where(following == State.RECOVERING, recovering_since, np.nan)
    return Step(following, kept, recovering_since, memory.held & clear, silent)


def _recovering(memory: Memory, terms: Terms, clear: Flags, now: float) -> tuple[Floats, Codes]:
    """Return since when each pair recovers, and the state it has when it is clear."""
    since = np.where(np.isnan(memory.recovering_since), now, memory.recovering_since)
    lasting = (memory.state == State.FIRING) | (memory.state == State.RECOVERING)
    over = np.round(now - since, 3) >= terms.keep_firing_seconds
    return since, np.where(clear & lasting & ~over, State.RECOVERING, State.NORMAL).astype(np.int8)


def _alarming(heard: Floats, terms: Terms, memory: Memory, silent: Flags, now: float) -> Flags:
    """Return which pairs are silent for so long that the rule raises an alert; what was never heard is not."""
    with np.errstate(invalid="ignore"):
        long = now - heard >= terms.stale_seconds + terms.for_seconds
    alarming: Flags = silent & (terms.no_data == 1) & long & (memory.state != State.NO_DATA)
    return alarming
