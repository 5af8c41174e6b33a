"""Which series a rule watches, and what each of them says now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from alerts.evaluation import Condition, Judgement, base_metric, fingerprint, judge, matches_series

WINDOW_MARGIN_SECONDS = 60.0  # a sample from before the duration began must be in the window
Latest = Mapping[str, Mapping[str, tuple[float, float]]]
Window = Mapping[tuple[str, str], Sequence[tuple[float, float]]]  # (source, series) -> samples, oldest first


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """A rule as far as its evaluation goes."""

    id: int
    metric: str
    condition: Condition
    unit_id: int | None = None
    unit_kind: str = ""


@dataclass(frozen=True, slots=True)
class UnitRef:
    """A unit that samples may come from; *watched* is false while it is paused or gone."""

    id: int
    name: str
    kind: str
    watched: bool = True


@dataclass(frozen=True, slots=True)
class Match:
    """One series that a rule watches."""

    rule: RuleSpec
    source: str
    series: str
    unit_id: int | None

    @property
    def fingerprint(self) -> str:
        return fingerprint("rule", self.rule.id, self.source, self.series)


@dataclass(frozen=True, slots=True)
class Case:
    """What one rule finds in one series."""

    match: Match
    judgement: Judgement


@dataclass(frozen=True)
class Units:
    """The units of a system by name; a name may stand for units of several kinds."""

    by_name: dict[str, list[UnitRef]] = field(default_factory=dict)

    @classmethod
    def of(cls, units: Iterable[UnitRef]) -> Units:
        """Return *units* by name."""
        found: dict[str, list[UnitRef]] = {}
        for unit in units:
            found.setdefault(unit.name, []).append(unit)
        return cls(found)

    def watched_ids(self) -> set[int]:
        """Return the ids of the units that are watched."""
        return {unit.id for units in self.by_name.values() for unit in units if unit.watched}

    def within(self, rule: RuleSpec, source: str) -> tuple[bool, int | None]:
        """Return whether *source* is in the rule's scope, and which unit it is.

        A source without a unit is in the scope of rules for the whole system; one whose unit is paused is in none.
        """
        units = self.by_name.get(source)
        if units is None:
            return rule.unit_id is None and not rule.unit_kind, None
        for unit in units:
            if unit.watched and rule.unit_id in (None, unit.id) and rule.unit_kind in ("", unit.kind):
                return True, unit.id
        return False, None


def matches(rules: Iterable[RuleSpec], latest: Latest, units: Units) -> Iterator[Match]:
    """Yield each series that each rule watches."""
    for rule in rules:
        for source, metrics in latest.items():
            inside, unit_id = units.within(rule, source)
            if inside:
                yield from (Match(rule, source, s, unit_id) for s in metrics if matches_series(rule.metric, s))


def wanted_windows(found: Iterable[Match], latest: Latest) -> dict[str, tuple[float, set[str]]]:
    """Return metric -> (seconds back, sources): what must be read to see how long conditions have held."""
    wanted: dict[str, tuple[float, set[str]]] = {}
    for match in found:
        condition = match.rule.condition
        if condition.for_seconds and condition.matches(latest[match.source][match.series][1]):
            seconds, sources = wanted.get(base_metric(match.rule.metric), (0.0, set()))
            longest = max(seconds, condition.for_seconds + WINDOW_MARGIN_SECONDS)
            wanted[base_metric(match.rule.metric)] = (longest, sources | {match.source})
    return wanted


def cases(
    found: Iterable[Match], latest: Latest, windows: Window, pending: Mapping[str, float], *, now: float
) -> list[Case]:
    """Judge each match; *pending* tells since when its alert has been pending, by fingerprint."""
    return [
        Case(
            match,
            judge(
                match.rule.condition,
                latest[match.source][match.series],
                now=now,
                window=[sample for sample in windows.get((match.source, match.series), ())
                        if sample[0] >= now - match.rule.condition.for_seconds - WINDOW_MARGIN_SECONDS],
                pending_since=pending.get(match.fingerprint),
            ),
        )
        for match in found
    ]  # fmt: skip
