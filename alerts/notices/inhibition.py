"""Which alerts keep quiet because another tells the same: by rules on labels, and by the tree of systems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alerts.notices.matchers import Matcher, all_match, read_matchers
from subsystems.kernel.errors import Invalid

MAX_RULES = 100
PARENT_LABEL, PARENT_VALUE = "inhibit", "children"  # on an alert that says that all below its place is gone with it
Labels = Mapping[str, str]
Scope = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert that *source* means is firing, those that *target* means and that are *equal* keep quiet."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that may keep others quiet; *scope* is its place in the tree, from the root down."""

    id: int
    labels: Labels
    scope: Scope = ()


@dataclass(frozen=True, slots=True)
class Inhibited:
    """By which alert, and under which rule; no rule means by its parent in the tree."""

    by: int
    rule: str = ""


class Inhibitor:
    """Answers for many alerts at once what keeps each quiet; what fires is sorted in beforehand."""

    def __init__(self, rules: Sequence[Inhibition], firing: Iterable[Firing], *, children: bool = True) -> None:
        self._rules = rules
        self._sources: list[dict[tuple[tuple[str, ...], bool], Firing]] = [{} for _ in rules]
        self._parents: dict[Scope, Firing] = {}
        for alert in firing:
            self._add(alert, children)

    def inhibited(self, labels: Labels, scope: Scope = ()) -> Inhibited | None:
        """Return what keeps an alert with *labels* at *scope* quiet."""
        for length in range(1, len(scope)):
            if scope[:length] in self._parents:
                return Inhibited(self._parents[scope[:length]].id)
        for number, rule in enumerate(self._rules):
            source = self._source(number, rule, labels)
            if source is not None:
                return Inhibited(source.id, rule.name or f"rule {number + 1}")
        return None

    def _source(self, number: int, rule: Inhibition, labels: Labels) -> Firing | None:
        if not all_match(rule.target, labels):
            return None
        found, values = self._sources[number], _values(rule, labels)
        if (values, False) in found or all_match(rule.source, labels):
            return found.get((values, False))  # who is source and target is not kept quiet by another such, or itself
        return found.get((values, True))

    def _add(self, alert: Firing, children: bool) -> None:
        for number, rule in enumerate(self._rules):
            if all_match(rule.source, alert.labels):
                also_target = all_match(rule.target, alert.labels)
                self._sources[number].setdefault((_values(rule, alert.labels), also_target), alert)
        if children and alert.scope and alert.labels.get(PARENT_LABEL) == PARENT_VALUE:
            self._parents.setdefault(alert.scope, alert)


def read_inhibitions(given: object) -> tuple[Inhibition, ...]:
    """Read Alertmanager's `inhibit_rules`. Raises Invalid naming the place."""
    if not isinstance(given, list | tuple) or len(given) > MAX_RULES:
        raise Invalid(f"This is a list of at most {MAX_RULES}.", field="inhibit_rules")
    return tuple(_read(each, f"inhibit_rules[{number}]") for number, each in enumerate(given))


def _read(given: object, place: str) -> Inhibition:
    known = {"source_matchers", "target_matchers", "equal", "name"}
    if not isinstance(given, Mapping) or not set(given) <= known:
        raise Invalid(f"This is an object with {', '.join(sorted(known))}.", field=place)
    source = read_matchers(given.get("source_matchers", []), f"{place}.source_matchers")
    target = read_matchers(given.get("target_matchers", []), f"{place}.target_matchers")
    equal, name = given.get("equal", []), given.get("name", "")
    if not source or not target:
        raise Invalid("Say which alerts keep quiet, and on account of which.", field=place)
    if not isinstance(equal, list | tuple) or not all(isinstance(each, str) for each in equal) or len(equal) > 30:
        raise Invalid("This is a list of labels.", field=f"{place}.equal")
    if not isinstance(name, str) or len(name) > 120:
        raise Invalid("A name is text.", field=f"{place}.name")
    return Inhibition(source, target, tuple(equal), name)


def _values(rule: Inhibition, labels: Labels) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in rule.equal)
