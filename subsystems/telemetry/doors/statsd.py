"""StatsD lines, DogStatsD's tags included, summed up until they are taken as a table.

A line is `name:value|type|@rate|#tag:value,…`; types are c, g, ms, h, d and s. Whoever sends is not known, so series,
the values kept of a timer and the members of a set are bounded. What cannot be taken is counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from subsystems.telemetry.samples import MAX_LABEL_VALUE, MAX_LABELS, Name, labels_text
from subsystems.telemetry.tables import Layout, Table

MAX_SERIES = 20_000  # kinds of lines at a time
MAX_VALUES = 10_000  # of a timer or a set in one interval; more are counted and summed, not kept
MAX_NAME = 100  # bytes; suffixes need room too
IDLE_INTERVALS = 60  # after which a kind of line is forgotten, and a gauge with it
LARGEST = 1e300
SOURCE = "statsd"
QUANTILES = (0.5, 0.9, 0.99)
DELTA, GAUGE = "delta", "gauge"
BAD, FULL, IGNORED = "dropped_statsd_bad", "dropped_statsd_full", "statsd_ignored"
_NOT_IN_METRIC = re.compile(r"[^a-zA-Z0-9_:.]")
_NOT_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]")


class Bad(ValueError):
    """A line that cannot be read."""


class Slot:
    """What lines of one name, type, rate and tags add up to."""

    suffixes: tuple[tuple[str, str], ...] = (("", DELTA),)  # suffix and kind

    def __init__(self, source: str, metric: str, labels: dict[str, str], scale: float) -> None:
        self.scale = scale  # one over the sampling rate
        self.idle = 0
        self.touched = False
        self.series = [self._series(source, metric, labels, *each) for each in self.suffixes]

    def add(self, value: bytes, times: int) -> None:
        """Add what a line says that came *times* times. Raises ValueError."""
        raise NotImplementedError

    def take(self) -> list[float]:
        """Return a value for each series, and begin anew."""
        raise NotImplementedError

    @staticmethod
    def _series(source: str, metric: str, labels: dict[str, str], suffix: str, kind: str) -> Any:
        if suffix.startswith("q"):
            labels, suffix = {**labels, "quantile": suffix[1:]}, ""
        return (source, metric + suffix, labels_text(labels)), labels, kind


class Count(Slot):
    """`c`: the sum of the interval."""

    total = 0.0

    def add(self, value: bytes, times: int) -> None:
        self.total += number(value) * self.scale * times
        self.touched = True

    def take(self) -> list[float]:
        total, self.total = self.total, 0.0
        return [total]


class Gauge(Slot):
    """`g`: the last value; a sign makes it a step from the one before."""

    suffixes = (("", GAUGE),)
    value = 0.0
    holds = False  # from its first value on

    def add(self, value: bytes, times: int) -> None:
        step = number(value)
        self.value = self.value + step * times if value[:1] in {b"+", b"-"} else step
        self.touched = self.holds = True

    def take(self) -> list[float]:
        return [self.value]


class Timer(Slot):
    """`ms`, `h`, `d`: count, sum, extremes and quantiles."""

    suffixes = (
        ("_count", DELTA), ("_sum", DELTA), ("_min", GAUGE), ("_max", GAUGE),
        *((f"q{quantile:g}", GAUGE) for quantile in QUANTILES),
    )  # fmt: skip

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.begin()

    def begin(self) -> None:
        self.count, self.sum, self.min, self.max = 0.0, 0.0, LARGEST, -LARGEST
        self.values: list[float] = []  # not added up yet
        self.kept = np.empty(0)

    def add(self, value: bytes, times: int) -> None:
        try:
            taken = [number(value)]
        except ValueError:
            taken = [number(each) for each in value.split(b":")]  # several values in one line are DogStatsD's
        self.values += taken if times == 1 else taken * times
        self.touched = True
        if len(self.values) >= MAX_VALUES:
            self.add_up()

    def add_up(self) -> None:
        values, self.values = np.array(self.values), []
        self.count += len(values) * self.scale
        self.sum += float(values.sum()) * self.scale
        self.min, self.max = min(self.min, float(values.min())), max(self.max, float(values.max()))
        self.kept = np.concatenate([self.kept, values[: MAX_VALUES - len(self.kept)]])

    def take(self) -> list[float]:
        if self.values:
            self.add_up()
        places = np.arange(len(self.kept))
        quantiles = np.interp(np.multiply(QUANTILES, places[-1]), places, np.sort(self.kept))
        found = [self.count, self.sum, self.min, self.max, *quantiles.tolist()]
        self.begin()
        return found


class Set(Slot):
    """`s`: how many different values there were."""

    suffixes = (("", GAUGE),)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.members: set[bytes] = set()

    def add(self, value: bytes, times: int) -> None:
        if len(self.members) < MAX_VALUES:
            self.members.add(value[:64])
        self.touched = True

    def take(self) -> list[float]:
        size = float(len(self.members))
        self.members = set()
        return [size]


_TYPES: dict[bytes, type[Slot]] = {b"c": Count, b"g": Gauge, b"ms": Timer, b"h": Timer, b"d": Timer, b"s": Set}


class Sums:
    """What came in since it was last taken. One thread at a time."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self._slots: dict[tuple[bytes, bytes], Slot] = {}
        self._layout = Layout([], [])

    def add(self, packets: bytes) -> None:
        """Add the lines of one packet, or of many joined by line breaks: the more, the less a line costs."""
        slots = self._slots
        for line, times in _lines(packets):
            head, _, rest = line.partition(b":")
            value, _, end = rest.partition(b"|")
            try:
                slot = slots.get((head, end)) or self._new(line, head, end)
                slot.add(value, times)
            except Bad as reason:
                self.counted[str(reason)] += times
            except ValueError:
                self.counted[BAD] += times

    def take(self, now: float) -> Table:
        """Return one sample of each series that was told of, at *now*, and begin anew."""
        names: list[Name] = []
        labels: list[dict[str, str]] = []
        kinds: list[str] = []
        values: list[float] = []
        for slot in self._told():
            values += slot.take()
            for name, given, kind in slot.series:
                names.append(name)
                labels.append(given)
                kinds.append(kind)
        if names != self._layout.names:
            self._layout = Layout(names, labels)
        codes = np.arange(len(names), dtype=np.int32)
        at = np.full(len(names), now)
        return Table(
            self._layout.names, codes, at, np.array(values, np.float64), self._layout.labels,
            kinds=kinds, layout=self._layout,
        )  # fmt: skip

    def take_counted(self) -> dict[str, int]:
        """Return how many lines were not taken, by the name of their counter, and begin anew."""
        counted, self.counted = self.counted, Counter()
        return dict(counted)

    def _told(self) -> Iterator[Slot]:
        """Yield what was told of in this interval; a gauge holds until its lines stop for long."""
        for key, slot in list(self._slots.items()):
            slot.idle = 0 if slot.touched else slot.idle + 1
            if slot.idle > IDLE_INTERVALS:
                del self._slots[key]
            elif slot.touched or (isinstance(slot, Gauge) and slot.holds):
                slot.touched = False
                yield slot

    def _new(self, line: bytes, head: bytes, end: bytes) -> Slot:
        if line.startswith((b"_e{", b"_sc|")):
            raise Bad(IGNORED)  # DogStatsD's events and checks are no samples
        if len(self._slots) >= MAX_SERIES:
            raise Bad(FULL)
        slot = slot_of(head, end)
        self._slots[head, end] = slot
        return slot


def _lines(packets: bytes) -> Iterable[tuple[bytes, int]]:
    """Return each different line and how often it came; those of gauges one by one, because the last one counts."""
    lines = packets.split(b"\n")
    told = Counter(lines)
    told.pop(b"", None)
    if b"|g" not in packets:
        return told.items()
    in_order = {line for line in told if b"|g" in line}
    return chain(
        ((line, times) for line, times in told.items() if line not in in_order),
        ((line, 1) for line in lines if line in in_order),
    )


def slot_of(head: bytes, end: bytes) -> Slot:
    """Return where lines go whose name is *head* and which end in `type|@rate|#tags`. Raises Bad."""
    kind, *sections = end.strip().split(b"|")
    if kind not in _TYPES or not 0 < len(head) <= MAX_NAME:
        raise Bad(BAD)
    rate, tags = 1.0, b""
    for section in sections:
        if section[:1] == b"@":
            rate = number(section[1:])
        elif section[:1] == b"#":
            tags = section[1:]
    if not 0 < rate <= 1:
        raise Bad(BAD)
    labels = tag_labels(tags)
    source = labels.pop("source", "") or labels.pop("service", "") or SOURCE
    metric = _NOT_IN_METRIC.sub("_", head.decode("utf-8", "replace"))
    return _TYPES[kind](source, f"_{metric}" if metric[0].isdigit() else metric, labels, 1 / rate)


def tag_labels(tags: bytes) -> dict[str, str]:
    """Return DogStatsD's tags as labels; one without a value is `true`. Raises Bad when there are too many."""
    labels: dict[str, str] = {}
    for each in filter(None, tags.decode("utf-8", "replace").split(",")):
        key, _, value = each.partition(":")
        name = _NOT_IN_LABEL.sub("_", key)[:60] or "_"
        labels[f"_{name}" if name[0].isdigit() else name] = (value or "true")[:MAX_LABEL_VALUE].replace("\0", "")
    if len(labels) > MAX_LABELS - 1:  # a quantile needs one more
        raise Bad(BAD)
    return labels


def number(text: bytes) -> float:
    """Return a number. Raises ValueError for one that would spoil every sum it enters."""
    value = float(text)
    if not -LARGEST < value < LARGEST:
        raise ValueError(text)
    return value
