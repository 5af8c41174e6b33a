"""From what a pattern says to what the engine runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from subsystems.s4_intelligence.patterns.conditions import compiled
from subsystems.s4_intelligence.patterns.engine import Plan
from subsystems.s4_intelligence.patterns.happening import reader
from subsystems.s4_intelligence.patterns.schema import (
    DEFAULT_SENSITIVITY,
    Definition,
    Match,
    Measured,
    Missing,
    Node,
    Often,
    Ordered,
    Related,
    Trending,
)
from subsystems.s4_intelligence.patterns.terms import (
    Absence,
    Asking,
    Chain,
    Correlation,
    Distinct,
    Frequency,
    Spec,
    Term,
    Together,
    Trend,
    Wanted,
    counted,
)

Holds = Callable[[Sequence[Term], float], bool]
Share = Callable[[Sequence[Term], float], float]
STEPS_OF_CORRELATION = 20


@dataclass
class _Parts:
    """The operators of a pattern as they are found, and those whose being so makes it hold."""

    sensitivity: float
    askings: list[Asking] = field(default_factory=list)
    positive: list[int] = field(default_factory=list)
    horizon: float = 0.0

    def add(self, spec: Spec, wanted: Sequence[Wanted], horizon: float, denied: bool) -> int:
        self.askings.append(Asking(spec, wanted))
        self.horizon = max(self.horizon, horizon)
        place = len(self.askings) - 1
        if not denied:
            self.positive.append(place)
        return place


def plan_of(definition: Definition, *, name: str = "", sensitivity: float = DEFAULT_SENSITIVITY) -> Plan:
    """Return *definition* ready to run; *sensitivity* is of those that name none of their own."""
    own = sensitivity if definition.sensitivity is None else definition.sensitivity
    parts = _Parts(own)
    holds, share = _node(definition.when, parts, denied=False)
    return Plan(
        name=name or definition.pattern,
        askings=tuple(parts.askings),
        positive=tuple(parts.positive),
        holds=holds,
        share=share,
        key=tuple(definition.key),
        watch_at=definition.levels.watch,
        warn_at=definition.levels.warn,
        rearm_after=definition.rearm_after,
        doubt_below=round(1 - own, 9),
        max_keys=definition.max_keys,
        horizon=parts.horizon,
    )


def names_in(definition: Definition) -> set[str]:
    """Return the names of all events that *definition* asks for, with stars where it has them."""
    return {name for asking in plan_of(definition).askings for wanted in asking.wanted for name in wanted.names}


def _node(node: Node, parts: _Parts, *, denied: bool) -> tuple[Holds, Share]:
    if node.not_ is not None:
        holds, _ = _node(node.not_, parts, denied=not denied)
        return (lambda terms, now: not holds(terms, now)), (lambda terms, now: float(not holds(terms, now)))
    if node.all or node.any:
        made = [_node(each, parts, denied=denied) for each in (node.all or node.any or ())]
        return _together([each for each, _ in made], [each for _, each in made], every=bool(node.all))
    place = _operator(node, parts, denied)
    return (lambda terms, now: terms[place].holds(now)), (lambda terms, now: terms[place].share(now))


def _together(holds: Sequence[Holds], shares: Sequence[Share], *, every: bool) -> tuple[Holds, Share]:
    """Combine: all come as far as the one that is furthest behind, any as far as the one that leads."""
    if every:
        return (
            lambda terms, now: all(each(terms, now) for each in holds),
            lambda terms, now: min(each(terms, now) for each in shares),
        )
    return (
        lambda terms, now: any(each(terms, now) for each in holds),
        lambda terms, now: max(each(terms, now) for each in shares),
    )


def _operator(node: Node, parts: _Parts, denied: bool) -> int:
    if recent := node.recent:
        return parts.add(Together(1, recent.within), [_wanted(0, recent)], recent.within, denied)
    if concurrent := node.concurrent:
        wanted = [_wanted(place, each) for place, each in enumerate(concurrent.events)]
        return parts.add(Together(len(wanted), concurrent.within), wanted, concurrent.within, denied)
    if node.sequence:
        return _chain(node.sequence, parts, denied)
    if node.frequency:
        return _often(node.frequency, parts, denied)
    if node.trend:
        return _trend(node.trend, parts, denied)
    if node.absence:
        return _absence(node.absence, parts, denied)
    assert node.correlation is not None  # one of them is there: the schema sees to it
    return _correlation(node.correlation, parts, denied)


def _chain(asked: Ordered, parts: _Parts, denied: bool) -> int:
    """Without a window of its own a sequence may take as long as its steps together."""
    gaps = [step.within or asked.within or 300.0 for step in asked.steps[1:]]
    within = asked.within or sum(gaps)
    wanted = [_wanted(place, each) for place, each in enumerate(asked.steps)]
    return parts.add(Chain(tuple(gaps), within), wanted, within, denied)


def _often(asked: Often, parts: _Parts, denied: bool) -> int:
    needed = counted(asked.count * (1 + DEFAULT_SENSITIVITY - parts.sensitivity))
    if asked.distinct is None:
        return parts.add(Frequency(needed, asked.within), [_wanted(0, asked)], asked.within, denied)
    wanted = _wanted(0, asked, asked.distinct)
    return parts.add(Distinct(needed, asked.within), [wanted], asked.within, denied)


def _trend(asked: Trending, parts: _Parts, denied: bool) -> int:
    """A more sensitive pattern is content with less confidence; at 0.8 with what is written."""
    confidence = 1 - (1 - asked.confidence) * parts.sensitivity / DEFAULT_SENSITIVITY
    spec = Trend(asked.duration, 1 if asked.direction == "increasing" else -1, confidence, asked.least)
    return parts.add(spec, [_wanted(0, asked, asked.metric)], asked.duration, denied)


def _absence(asked: Missing, parts: _Parts, denied: bool) -> int:
    wanted = [_wanted(1, asked)]
    if asked.after is not None:
        wanted.append(_wanted(0, asked.after))
    return parts.add(Absence(asked.within, asked.after is not None), wanted, asked.within, denied)


def _correlation(asked: Related, parts: _Parts, denied: bool) -> int:
    step = asked.step or asked.within / STEPS_OF_CORRELATION
    sign = 1 if asked.coefficient > 0 else -1
    spec = Correlation(step, round(asked.within / step), sign, abs(asked.coefficient), asked.least)
    sides = [_measured(0, asked.left), _measured(1, asked.right)]
    return parts.add(spec, sides, asked.within + step, denied)


def _measured(which: int, asked: Measured) -> Wanted:
    return _wanted(which, asked, asked.metric)


def _wanted(which: int, asked: Match, field_: str = "") -> Wanted:
    return Wanted(which, tuple(asked.event), compiled(asked.where), reader(field_) if field_ else None)
