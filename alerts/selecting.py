"""Which series each rule watches. Indexes are made once for a table, so that a rule looks only at what may be its."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from alerts.evaluation import base_metric
from subsystems.telemetry.samples import labels_text
from subsystems.telemetry.selection import Matcher

Places = npt.NDArray[np.int64]
Labels = dict[str, str]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class UnitRef:
    """A unit that samples may come from; *watched* is false while it is paused or gone."""

    id: int
    name: str
    kind: str
    watched: bool = True
    system_id: int = 0


@dataclass(frozen=True)
class Units:
    """Units by system and name; a name may stand for units of several kinds."""

    by_name: dict[tuple[int, str], list[UnitRef]] = field(default_factory=dict)

    @classmethod
    def of(cls, units: Iterable[UnitRef]) -> Units:
        """Return *units* by name."""
        found: dict[tuple[int, str], list[UnitRef]] = {}
        for unit in units:
            found.setdefault((unit.system_id, unit.name), []).append(unit)
        return cls(found)

    @cached_property
    def by_id(self) -> dict[int, UnitRef]:
        """Return the units by their ids."""
        return {unit.id: unit for units in self.by_name.values() for unit in units}

    def is_watched(self, unit_id: int) -> bool:
        """Return whether there is such a unit, neither paused nor gone."""
        unit = self.by_id.get(unit_id)
        return unit is not None and unit.watched

    def within(self, scope: Scope, system_id: int, source: str) -> tuple[bool, UnitRef | None]:
        """Return whether *source* is in the scope, and which unit it is.

        A source without a unit is in the scope of rules for the whole system; one whose unit is paused is in none.
        """
        units = self.by_name.get((system_id, source))
        if units is None:
            return scope.unit_id is None and not scope.unit_kind, None
        for unit in units:
            if unit.watched and scope.unit_id in (None, unit.id) and scope.unit_kind in ("", unit.kind):
                return True, unit
        return False, None


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose series a rule watches."""

    system_ids: tuple[int, ...]
    unit_id: int | None = None
    unit_kind: str = ""


@dataclass(frozen=True, slots=True)
class Selector:
    """What a rule watches: a metric (with labels: one series of each source), a scope, and matchers of labels."""

    scope: Scope
    metric: str
    match: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that a rule may watch: a series, a unit, a system."""

    system_id: int
    source: str
    metric: str = ""
    labels: Labels = field(default_factory=dict)

    @property
    def series(self) -> str:
        """Return the metric with its labels."""
        text = labels_text(self.labels)
        return f"{self.metric}{{{text}}}" if text else self.metric

    @property
    def name(self) -> tuple[int, str, str]:
        """Return what tells it from any other."""
        return self.system_id, self.source, self.series


class Table:
    """The series that rules choose among, by their places; *ids* are sorted."""

    def __init__(self, ids: Places, rows: Sequence[Row]) -> None:
        self.ids = ids
        self.rows = rows
        self._scopes: dict[Scope, npt.NDArray[np.bool_]] = {}
        self._units: Units | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def by_name(self) -> dict[tuple[int, str, str], int]:
        return {row.name: place for place, row in enumerate(self.rows)}

    @cached_property
    def by_metric(self) -> dict[str, Places]:
        return _places(row.metric for row in self.rows)

    @cached_property
    def by_source(self) -> dict[tuple[int, str], Places]:
        return _places((row.system_id, row.source) for row in self.rows)

    @cached_property
    def by_label(self) -> dict[str, dict[str, Places]]:
        found: dict[str, dict[str, list[int]]] = {}
        for place, row in enumerate(self.rows):
            for name, value in row.labels.items():
                found.setdefault(name, {}).setdefault(value, []).append(place)
        return {
            name: {value: np.array(places, np.int64) for value, places in values.items()}
            for name, values in found.items()
        }

    def chosen(self, selector: Selector, units: Units) -> Places:
        """Return the places of what *selector* means, in order."""
        found = self.by_metric.get(base_metric(selector.metric), np.empty(0, np.int64))
        for matcher in selector.match:
            if not len(found):
                return found
            found = self._matching(found, matcher)
        inside = found[self._inside(selector.scope, units)[found]]
        if "{" not in selector.metric:
            return inside
        return inside[[self.rows[place].series == selector.metric for place in inside.tolist()]]

    def _matching(self, places: Places, matcher: Matcher) -> Places:
        values = self._values(matcher.name)
        hits = [found for value, found in values.items() if fnmatchcase(value, matcher.pattern)]
        named = np.unique(np.concatenate(hits)) if hits else np.empty(0, np.int64)
        kept = np.isin(places, named, assume_unique=True)
        if fnmatchcase("", matcher.pattern) and matcher.name != "source":  # an absent label is empty
            known = np.unique(np.concatenate([*values.values(), np.empty(0, np.int64)]))
            kept |= ~np.isin(places, known, assume_unique=True)
        return places[~kept if matcher.negated else kept]

    def _values(self, name: str) -> dict[str, Places]:
        if name != "source":
            return self.by_label.get(name, {})
        found: dict[str, list[Places]] = {}
        for (_, source), places in self.by_source.items():
            found.setdefault(source, []).append(places)
        return {source: np.concatenate(places) for source, places in found.items()}

    def _inside(self, scope: Scope, units: Units) -> npt.NDArray[np.bool_]:
        if self._units is not units:
            self._scopes, self._units = {}, units
        mask = self._scopes.get(scope)
        if mask is None:
            mask = np.zeros(len(self), np.bool_)
            for (system_id, source), places in self.by_source.items():
                if system_id in scope.system_ids and units.within(scope, system_id, source)[0]:
                    mask[places] = True
            self._scopes[scope] = mask
        return mask


def _places(keys: Iterable[Key]) -> dict[Key, Places]:
    found: dict[Key, list[int]] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    return {key: np.array(places, np.int64) for key, places in found.items()}
