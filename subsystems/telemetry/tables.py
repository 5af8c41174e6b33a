"""Samples as a door decodes them: each distinct series named once, everything else in arrays.

A sender repeats its series batch after batch. A layout stands for such a set of series: whoever recognises one again
need not build names for it, and the registry keeps the ids it found for it there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from subsystems.telemetry.columns import Floats, Ids
from subsystems.telemetry.samples import Name, Rejection, Sample, labels_text

Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Kept = TypeVar("Kept")
NUMBERS = {int, float, bool}


@dataclass(eq=False, slots=True, repr=False)
class Layout:
    """A set of series that comes again; *ids* belongs to the registry: by system, with what makes them valid."""

    names: Sequence[Name]
    labels: Sequence[Mapping[str, str]]
    ids: dict[int, tuple[int, Ids]] = field(default_factory=dict)
    sources: tuple[str, ...] | None = None
    shown: Ids | None = None


@dataclass(eq=False, slots=True, repr=False)
class Table:
    """Samples of distinct series: *codes* tells which of *names* each is of.

    *labels* are those of each name. *indexes* are the places of the samples as the sender counts them (None: 0, 1, …),
    and *rejected* what the door refused already, counted likewise. *kinds* says of each name what it counts.
    """

    names: Sequence[Name]
    codes: Codes
    at: Floats
    values: Floats
    labels: Sequence[Mapping[str, str]]
    kinds: Sequence[str] | None = None  # gauge, counter, delta
    rejected: list[Rejection] = field(default_factory=list)
    indexes: Ids | None = None
    layout: Layout | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def index(self, place: int) -> int:
        """Return how the sender counts the sample at *place*."""
        return place if self.indexes is None else int(self.indexes[place])

    def sources(self) -> tuple[str, ...]:
        """Return the distinct sources."""
        if self.layout is None:
            return tuple({name[0]: None for name in self.names})
        if self.layout.sources is None:
            self.layout.sources = tuple({name[0]: None for name in self.names})
        return self.layout.sources

    def shown(self, at_most: int, always: Collection[str]) -> Ids | None:
        """Return the codes of the first *at_most* series and of the metrics *always*; None for all of them."""
        if len(self.names) <= at_most:
            return None
        if self.layout is not None and self.layout.shown is not None:
            return self.layout.shown
        more = [code for code, name in enumerate(self.names) if code >= at_most and name[1] in always]
        shown = np.concatenate([np.arange(at_most), np.array(more, np.int64)])
        if self.layout is not None:
            self.layout.shown = shown
        return shown

    def newest(self, kept: Mask | None = None, shown: Ids | None = None) -> Iterator[tuple[int, float, float]]:
        """Yield (code, time, value) of the newest kept sample of each series; of equal ones the last that came.

        *shown* are the codes that are asked for; None stands for all.
        """
        codes, at, values = self.codes, self.at, self.values
        if kept is not None and not kept.all():
            codes, at, values = codes[kept], at[kept], values[kept]
        if not _in_order(codes, at):
            order = np.argsort(at, kind="stable")
            codes, at, values = codes[order], at[order], values[order]
        last = np.full(len(self.names), -1, np.int64)
        last[codes] = np.arange(len(codes))  # of places given twice the last one stays
        asked = np.arange(len(last)) if shown is None else shown
        found = asked[last[asked] >= 0]
        place = last[found]
        yield from zip(found.tolist(), at[place].tolist(), values[place].tolist(), strict=True)


class Gathering:
    """Samples that come one by one, from callers with few of them, on their way to a table."""

    def __init__(self) -> None:
        self.rejected: list[Rejection] = []
        self._codes: dict[Name, int] = {}
        self._labels: list[Mapping[str, str]] = []
        self._rows: list[tuple[int, float, float, int]] = []

    def add(self, source: str, sample: Sample, index: int) -> None:
        """Add one sample; a time or a value that is no number is refused here."""
        if not (_fits(sample.value) and _fits(sample.at)):
            self.rejected.append(Rejection(index, *odd_number(sample)))
            return
        name = (source, sample.metric, labels_text(sample.labels))
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self._labels)
            self._labels.append(sample.labels)
        self._rows.append((code, float(sample.at), float(sample.value), index))

    def table(self) -> Table:
        """Return everything that was added."""
        codes, at, values, indexes = zip(*self._rows, strict=True) if self._rows else ((), (), (), ())
        return Table(
            list(self._codes),
            np.array(codes, np.int32),
            np.array(at, np.float64),
            np.array(values, np.float64),
            self._labels,
            rejected=self.rejected,
            indexes=np.array(indexes, np.int64),
        )


def table_of(batches: Mapping[str, Sequence[Sample]]) -> Table:
    """Return the samples of many sources; an index counts the samples of all batches in order."""
    gathering = Gathering()
    all_samples = ((source, sample) for source, samples in batches.items() for sample in samples)
    for index, (source, sample) in enumerate(all_samples):
        gathering.add(source, sample, index)
    return gathering.table()


def odd_number(sample: Sample) -> tuple[str, str]:
    """Return the code and the reason why a time or a value that is no number a float can hold is refused."""
    if not _fits(sample.value):
        return "bad_value", f"The value must be a finite number; got {sample.value!r:.40}."
    return "bad_time", f"The time must be finite epoch seconds; got {sample.at!r:.40}."


class Remembered(Generic[Kept]):
    """The things used last, by key: bounded by their number and by the size that whoever keeps one declares."""

    def __init__(self, max_items: int, max_size: int) -> None:
        self._max_items, self._max_size = max_items, max_size
        self._kept: OrderedDict[Hashable, tuple[Kept, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Kept | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def keep(self, key: Hashable, thing: Kept, size: int) -> None:
        """Keep *thing*, and let go of what was not used for longest; what is too large alone is not kept."""
        if size > self._max_size:
            return
        with self._lock:
            old: Any = self._kept.pop(key, None)
            self._size += size - (old[1] if old else 0)
            self._kept[key] = (thing, size)
            while self._size > self._max_size or len(self._kept) > self._max_items:
                self._size -= self._kept.popitem(last=False)[1][1]

    def __len__(self) -> int:
        return len(self._kept)


def _fits(number: object) -> bool:
    if type(number) not in NUMBERS and not isinstance(number, (int, float)):
        return False
    try:
        float(number)  # type: ignore[arg-type]
    except OverflowError:  # an integer that no float can hold
        return False
    return True


def _in_order(codes: Codes, at: Floats) -> bool:
    """Return whether no series' sample is followed by an older one, as far as neighbours tell."""
    if len(at) < 2 or bool((at[1:] >= at[:-1]).all()):
        return True
    same = codes[1:] == codes[:-1]
    by_series = bool((codes[1:] >= codes[:-1]).all())
    return by_series and bool((at[1:] >= at[:-1])[same].all())
