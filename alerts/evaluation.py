"""Whether a condition holds, for how long, and what cannot be said for lack of data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from operator import ge, gt, le, lt

STALE_SECONDS = 30.0  # a series silent for longer says nothing about now
COMPARISONS: dict[str, Callable[[float, float], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
WORDS = {"gt": "above", "gte": "at least", "lt": "below", "lte": "at most"}


class Verdict(StrEnum):
    """What the samples say."""

    HOLDS = "holds"
    CLEAR = "clear"
    NO_DATA = "no_data"  # never the same as clear: it neither fires nor resolves


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison with a threshold that must hold for some seconds before it counts."""

    comparison: str
    threshold: float
    for_seconds: float = 0.0

    def matches(self, value: float) -> bool:
        """Return whether one value meets the condition."""
        return COMPARISONS[self.comparison](value, self.threshold)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict on one series; *since* is the sample time from which the condition has held without a break."""

    verdict: Verdict
    value: float | None = None
    since: float | None = None
    due: bool = False  # held for as long as the rule asks


def judge(
    condition: Condition,
    latest: tuple[float, float] | None,
    *,
    now: float,
    window: Sequence[tuple[float, float]] = (),
    pending_since: float | None = None,
) -> Judgement:
    """Judge a series by its *latest* sample and, where the condition must hold for a time, the *window* before it.

    Times are those of the samples: a series that arrives late in a burst is judged by when it was measured. A window
    without a break is taken to continue from *pending_since*, when the condition was first seen.
    """
    if latest is None or now - latest[0] > STALE_SECONDS:
        return Judgement(Verdict.NO_DATA)
    at, value = latest
    if not condition.matches(value):
        return Judgement(Verdict.CLEAR, value)
    samples = [*window, latest]
    since = held_since(condition, samples)
    if pending_since is not None and since == samples[0][0]:
        since = min(since, pending_since)
    return Judgement(Verdict.HOLDS, value, since, due=round(at - since, 3) >= condition.for_seconds)


def held_since(condition: Condition, samples: Sequence[tuple[float, float]]) -> float:
    """Return when the unbroken run that ends in the last of *samples* began; silence over 30 s breaks a run."""
    since = samples[-1][0]
    for at, value in reversed(samples):
        if not condition.matches(value) or since - at > STALE_SECONDS:
            break
        since = min(since, at)
    return since


def matches_series(rule_metric: str, series: str) -> bool:
    """Return whether the rule's metric means *series*: named in full, or without labels for all that have some."""
    return series == rule_metric or series.startswith(f"{rule_metric}{{")


def base_metric(rule_metric: str) -> str:
    """Return the metric's name without labels."""
    return rule_metric.partition("{")[0]


def subject_of(source: str, series: str) -> str:
    """Return how a series is named to people: its source, with its labels where there are any."""
    _, brace, labels = series.partition("{")
    return f"{source}{brace}{labels}"


def fingerprint(type_: str, *parts: object) -> str:
    """Return the key of what "similar" means: type and subject; severity is compared beside it (2-29)."""
    return sha256("\x1f".join([type_, *map(str, parts)]).encode()).hexdigest()
