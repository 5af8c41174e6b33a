"""Metrics as they are shown and sent: families with a name, a kind and labels, and rows of numbers.

A row has the values of the labels in their order. A counter's name goes without `_total` here, as in OpenMetrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["gauge", "counter", "histogram", "summary", "unknown"]
Values = tuple[str, ...]
Row = tuple[Values, float]
LARGEST = float("inf")


@dataclass(slots=True)
class Distribution:
    """How often something took up to each of some *bounds* (`counts` adds up, its last is all), and how long in all."""

    counts: tuple[float, ...]
    sum: float


@dataclass(slots=True)
class Part:
    """Rows that share a name and labels: what becomes lines, data points or time series."""

    name: str
    labels: tuple[str, ...]
    rows: Sequence[Row]
    cumulative: bool


@dataclass(slots=True)
class Family:
    """One metric. Gauges and counters have *rows*; histograms and summaries have *distributions*.

    A summary's rows are its quantiles. *Unknown* is a number whose name, which others gave, ends like a part of a
    histogram. An *alias* is another name of a counter that stands beside it, and is left out where names are stricter.
    """

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    bounds: tuple[float, ...] = ()
    distributions: list[tuple[Values, Distribution]] = field(default_factory=list)
    alias: bool = False

    def add(self, number: float | None, *values: str) -> None:
        """Add a number that is known; None is left out, for nothing may pass for zero."""
        if number is not None:
            self.rows.append((values, number))

    def parts(self) -> Iterator[Part]:
        """Yield the rows under the names that they go by."""
        if self.kind == "counter":
            yield Part(f"{self.name}_total", self.labels, self.rows, cumulative=True)
        else:
            yield Part(self.name, self.labels, self.rows, cumulative=False)
        if self.distributions:
            yield from self._of_distributions()

    def _of_distributions(self) -> Iterator[Part]:
        if self.kind == "histogram":
            bounds = [bound_text(bound) for bound in (*self.bounds, LARGEST)]
            buckets = [
                ((*values, bound), count)
                for values, each in self.distributions
                for bound, count in zip(bounds, each.counts, strict=True)
            ]
            yield Part(f"{self.name}_bucket", (*self.labels, "le"), buckets, cumulative=True)
        counts = [(values, each.counts[-1]) for values, each in self.distributions]
        yield Part(f"{self.name}_count", self.labels, counts, cumulative=True)
        yield Part(f"{self.name}_sum", self.labels, [(v, each.sum) for v, each in self.distributions], cumulative=True)


def gauge(name: str, text: str, *labels: str, alias: bool = False) -> Family:
    """Return a family of current values."""
    return Family(name, "gauge", text, labels, alias=alias)


def counter(name: str, text: str, *labels: str) -> Family:
    """Return a family of counts that only grow; *name* goes without `_total`."""
    return Family(name, "counter", text, labels)


def single(name: str, text: str, number: float | None) -> Family:
    """Return a gauge without labels, empty when the number is not known."""
    family = gauge(name, text)
    family.add(number)
    return family


def size(families: Iterable[Family]) -> int:
    """Return how many numbers *families* hold."""
    return sum(len(part.rows) for family in families for part in family.parts())


def bound_text(bound: float) -> str:
    """Return a bucket's upper bound as the label `le` spells it."""
    return "+Inf" if bound == LARGEST else repr(float(bound))
