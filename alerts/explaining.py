"""Why an alert fires or does not, and what would change it, in sentences."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.evaluation import COMPARISONS, WORDS
from alerts.templates import FORMS

duration = FORMS["duration"]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision is made from."""

    what: str
    comparison: str
    threshold: float
    recover_threshold: float
    for_seconds: float = 0.0
    keep_firing_seconds: float = 0.0
    stale_seconds: float = 30.0
    no_data_policy: str = "keep"
    enabled: bool = True
    error: str = ""
    held: bool = False  # resolved by hand while the condition held
    value: float | None = None
    silent_seconds: float | None = None  # None: not heard in the last hour
    state: str = "normal"
    held_seconds: float | None = None
    recovering_seconds: float | None = None
    suppressed: str = ""
    version: int = 1

    @property
    def silent(self) -> bool:
        """Return whether nothing can be said of now."""
        return self.value is None or self.silent_seconds is None or self.silent_seconds > self.stale_seconds

    def meets(self, threshold: float) -> bool:
        """Return whether the value meets the comparison."""
        return self.value is not None and COMPARISONS[self.comparison](self.value, threshold)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Sentences: the reasons, and what would make it otherwise."""

    because: tuple[str, ...]
    would_change: tuple[str, ...]


def explain(facts: Facts) -> Explanation:
    """Return why the state is what it is."""
    if not facts.enabled:
        return Explanation(("The rule is switched off.",), ("It is evaluated again once it is switched on.",))
    if facts.error:
        return Explanation((f"The rule cannot be evaluated: {facts.error}",), ("It goes on once that is mended.",))
    if facts.silent:
        return _silent(facts)
    if facts.held:
        return Explanation(
            (_compared(facts, facts.threshold), "It was resolved by hand: quiet until the condition was once false."),
            (f"Once {facts.what} {_not(facts, facts.threshold)}, the rule may fire again.",),
        )  # fmt: skip
    told = facts.state in ("firing", "recovering", "no_data")
    limit = facts.recover_threshold if told else facts.threshold
    return _holding(facts, limit) if facts.meets(limit) else _clear(facts, limit, told)


def _silent(facts: Facts) -> Explanation:
    if facts.silent_seconds is None:
        first = "Nothing has been heard of it in the last hour."
    elif facts.value is None:
        first = f"There is not enough to tell {facts.what}."
    else:
        after = f"after {duration(facts.stale_seconds)} it counts as silent"
        first = f"Nothing has been heard for {duration(facts.silent_seconds)}; {after}."
    then = {
        "keep": f"The rule keeps the last state, {facts.state}: silence is neither good nor bad news.",
        "alert": "The rule raises an alert of its own about silence.",
        "ok": "The rule takes silence for the end of the condition.",
    }[facts.no_data_policy]
    return Explanation((first, then), ("The next value decides.",))


def _holding(facts: Facts, limit: float) -> Explanation:
    reasons = [_compared(facts, limit)]
    if facts.recover_threshold != facts.threshold and not facts.meets(facts.threshold):
        reasons.append(f"It fired at {facts.threshold:g} and is over only at {facts.recover_threshold:g}.")
    if facts.state == "pending" and facts.for_seconds:
        held = facts.held_seconds or 0.0
        left = max(facts.for_seconds - held, 0.0)
        reasons.append(f"It has held for {duration(held)} of the {duration(facts.for_seconds)} that the rule asks for.")
        return Explanation(
            tuple(reasons),
            (
                f"It fires in {duration(left)} if it goes on.",
                f"It is forgotten once {facts.what} {_not(facts, limit)}.",
            ),
        )
    if facts.state == "normal":
        return Explanation(tuple(reasons), ("The next evaluation raises an alert.",))
    if facts.suppressed:
        reasons.append(f"Nobody was told: {facts.suppressed.replace('_', ' ')}.")
    ends = f"It is over once {facts.what} {_not(facts, limit)}"
    if facts.keep_firing_seconds:
        ends += f" and stays there for {duration(facts.keep_firing_seconds)}"
    return Explanation(tuple(reasons), (f"{ends}.",))


def _clear(facts: Facts, limit: float, told: bool) -> Explanation:
    reasons = [f"{facts.what[:1].upper()}{facts.what[1:]} is {facts.value:.6g}, which {_not(facts, limit)}."]
    if told and facts.keep_firing_seconds:
        left = max(facts.keep_firing_seconds - (facts.recovering_seconds or 0.0), 0.0)
        reasons.append(f"The rule keeps it open for {duration(facts.keep_firing_seconds)} after that.")
        return Explanation(tuple(reasons), (f"It is resolved in {duration(left)} if nothing comes back.",))
    if told:
        return Explanation(tuple(reasons), ("The next evaluation resolves it.",))
    away = abs((facts.value or 0.0) - facts.threshold)
    wanted = f"It would fire if {facts.what} moved by {away:.6g}, to be {WORDS[facts.comparison]} {facts.threshold:g}"
    if facts.for_seconds:
        wanted += f", and stayed there for {duration(facts.for_seconds)}"
    return Explanation(tuple(reasons), (f"{wanted}.",))


def _compared(facts: Facts, limit: float) -> str:
    return (
        f"{facts.what[:1].upper()}{facts.what[1:]} is {facts.value:.6g}, which is {WORDS[facts.comparison]} {limit:g}."
    )


def _not(facts: Facts, limit: float) -> str:
    return f"is not {WORDS[facts.comparison]} {limit:g}"
