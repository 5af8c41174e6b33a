"""Metrics of OpenTelemetry as series: what OTLP's points mean here, whichever way they were written.

A gauge or a sum is one series for each set of attributes. A histogram is `_count`, `_sum`, `_min`, `_max` and
`_bucket{le}`, each bucket with those below it; of an exponential histogram the buckets are left out. A summary is
`_count`, `_sum` and a series for each `quantile`. Values of delta temporality are kept as they come, of kind `delta`:
adding them up over time is right, and no process needs to remember a total.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from subsystems.telemetry.columns import Floats
from subsystems.telemetry.doors.batches import MAX_SAMPLES, too_many
from subsystems.telemetry.samples import Name, labels_text
from subsystems.telemetry.tables import Layout

Cell = TypeVar("Cell")  # a number, or where in the body it lies
Attributes = Mapping[str, str]
CUMULATIVE, DELTA = 2, 1
NO_VALUE = 1  # a flag of a point: nothing was recorded
NANOSECONDS = 1e9
SOURCE = "service.name"
NO_SOURCE = "unknown_service"
# What tells instances of a service apart. Other attributes of a resource say nothing that a series needs.
RESOURCE_LABELS = {
    "service.namespace", "service.instance.id", "service.version", "deployment.environment",
    "deployment.environment.name", "host.name", "k8s.namespace.name", "k8s.pod.name",
}  # fmt: skip
_NOT_IN_METRIC = re.compile(r"[^a-zA-Z0-9_:.]")
_NOT_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(slots=True)
class Point(Generic[Cell]):
    """One data point. *values* are single ones by suffix ("" is the series itself)."""

    attributes: Attributes
    time: Cell
    values: dict[str, Cell] = field(default_factory=dict)
    buckets: Sequence[Cell] = ()
    bounds: Sequence[float] = ()
    quantiles: Sequence[tuple[float, Cell]] = ()
    flags: int = 0


@dataclass(slots=True)
class Shape(Generic[Cell]):
    """Series, and for each sample its series, its point, and the cells of its time and value."""

    names: list[Name] = field(default_factory=list)
    labels: list[Attributes] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    points: list[int] = field(default_factory=list)
    times: list[Cell] = field(default_factory=list)
    values: list[Cell] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)  # of a bucket: the histogram it is of; -1 elsewhere
    point_count: int = 0
    _known: dict[Name, int] = field(default_factory=dict)

    def add(self, resource: Attributes, metric: str, kind: str, points: Iterable[Point[Cell]]) -> None:
        """Add the points of one metric. Raises Invalid when there are too many."""
        source, common = resource.get(SOURCE) or NO_SOURCE, of_resource(resource)
        metric = _NOT_IN_METRIC.sub("_", metric)
        for point in points:
            if not point.flags & NO_VALUE:
                self._add_point(source, metric, kind, labels_of(point.attributes, common), point)
            self.point_count += 1
            if len(self.codes) > MAX_SAMPLES:
                raise too_many("resource_metrics")

    def layout(self) -> Layout:
        """Return the series as a layout."""
        return Layout(self.names, self.labels)

    def _add_point(self, source: str, metric: str, kind: str, labels: Attributes, point: Point[Cell]) -> None:
        for suffix, value in point.values.items():
            gauge = suffix in {"_min", "_max"}
            self._sample((source, metric + suffix), labels, "gauge" if gauge else kind, point.time, value, -1)
        run = self.point_count if point.buckets else -1
        bounds = [*(format(bound, "g") for bound in point.bounds), "+Inf"]
        for bound, cell in zip(bounds, point.buckets, strict=False):
            self._sample((source, f"{metric}_bucket"), {**labels, "le": bound}, kind, point.time, cell, run)
        for quantile, cell in point.quantiles:
            more = {**labels, "quantile": format(quantile, "g")}
            self._sample((source, metric), more, "gauge", point.time, cell, -1)

    def _sample(self, of: tuple[str, str], labels: Attributes, kind: str, time: Cell, value: Cell, run: int) -> None:
        name = (*of, labels_text(labels))
        code = self._known.get(name)
        if code is None:
            code = self._known[name] = len(self.names)
            self.names.append(name)
            self.labels.append(labels)
            self.kinds.append(kind)
        self.codes.append(code)
        self.points.append(self.point_count)
        self.times.append(time)
        self.values.append(value)
        self.runs.append(run)


def of_resource(resource: Attributes) -> dict[str, str]:
    """Return the labels that all series of a resource carry."""
    return {label_name(key): value for key, value in resource.items() if key in RESOURCE_LABELS}


def labels_of(attributes: Attributes, common: Attributes) -> Attributes:
    """Return a point's labels; values of attributes that become one label are joined, as Prometheus does."""
    if not attributes:
        return common
    labels = dict(common)
    for key, value in attributes.items():
        name = label_name(key)
        labels[name] = f"{labels[name]};{value}" if name in labels and name not in common else value
    return labels


def label_name(key: str) -> str:
    """Return an attribute's key as a label's name."""
    name = _NOT_IN_LABEL.sub("_", key)
    return f"_{name}" if not name or name[0].isdigit() else name


def kind_of(temporality: int, *, monotonic: bool) -> str:
    """Return what a sum's or a histogram's values count."""
    if temporality == DELTA:
        return "delta"
    return "counter" if monotonic else "gauge"


def heaped(values: Floats, runs: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    """Return *values* with each bucket raised by those before it in its histogram."""
    buckets = np.flatnonzero(runs >= 0)
    if not len(buckets):
        return values
    counts, histograms = values[buckets], runs[buckets]
    total = np.cumsum(counts)
    begins = np.flatnonzero(np.append(True, histograms[1:] != histograms[:-1]))
    before = (total - counts)[begins]
    sizes = np.diff(np.append(begins, len(counts)))
    found = values.copy()
    found[buckets] = total - np.repeat(before, sizes)
    return found
