"""Reading samples: the newest, a window, any range over both tiers; the number of queries does not grow with it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from subsystems.kernel.errors import Invalid, TransientError
from subsystems.telemetry import warm
from subsystems.telemetry.columns import (
    AGGREGATES,
    Columns,
    Floats,
    Ids,
    Pieces,
    as_pieces,
    better,
    columns,
    grouped,
    runs,
    together,
)
from subsystems.telemetry.models import Series
from subsystems.telemetry.samples import labels_text, series_name
from subsystems.telemetry.services import WARM_SECONDS
from subsystems.telemetry.store import hot_tier

MAX_POINTS = 11_000  # per series: more than any screen has pixels
MAX_SERIES = 500  # per answer


class SeriesInfo(NamedTuple):
    """What a series is called."""

    source: str
    metric: str
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class SeriesPoints:
    """One series of an answer: times (starts of steps) and values."""

    metric: str
    source: str
    labels: dict[str, str]
    at: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class QueryResult:
    """An answer over the tiers: which of them it comes from, and whether nothing of the range is missing."""

    series: list[SeriesPoints] = field(default_factory=list)
    tiers: list[str] = field(default_factory=list)
    complete: bool = True

    def to_wire(self) -> dict[str, Any]:
        """Return the contract's JSON."""
        series = [
            {
                "metric": each.metric,
                "source": each.source,
                "labels": each.labels,
                "points": np.column_stack([each.at, each.values]).tolist(),
            }
            for each in self.series
        ]
        return {"series": series, "tiers": self.tiers, "complete": self.complete}


def latest(
    system_id: int, *, sources: Iterable[str] | None = None, metrics: Iterable[str] | None = None
) -> dict[str, dict[str, tuple[float, float]]]:
    """Return source -> metric -> (at, value) of the last hour; a labelled series goes by `metric{name="value"}`."""
    infos = _infos([system_id], sources=sources, metrics=metrics)
    found = hot_tier().latest(_ids(infos))
    answer: dict[str, dict[str, tuple[float, float]]] = {}
    for series, at, value in zip(found.series.tolist(), found.at.tolist(), found.values.tolist(), strict=True):
        info = infos[series]
        answer.setdefault(info.source, {})[series_name(info.metric, labels_text(info.labels))] = (at, value)
    return answer


def window(
    system_id: int, metric: str, *, sources: Iterable[str] | None = None, start: float, end: float
) -> dict[tuple[str, str], tuple[Floats, Floats]]:
    """Return (source, labels as text) -> (times, values) from the hot tier, oldest first, both ends included."""
    infos = _infos([system_id], sources=sources, metrics=[metric])
    found = hot_tier().read(_ids(infos), start, end)
    return {
        (infos[series].source, labels_text(infos[series].labels)): (at, values)
        for series, at, values in found.of_each()
    }


def query(
    system_ids: Sequence[int],
    metric: str,
    *,
    source: str | None = None,
    labels: Mapping[str, str] | None = None,
    start: float,
    end: float,
    step: float,
    agg: str = "avg",
    now: float | None = None,
) -> QueryResult:
    """Return *metric* from *start* to *end* (epoch seconds), one value per *step* seconds that has one.

    Each minute comes from the finest tier that still has all of it. *labels* must be among a series' labels. Raises
    Invalid naming the argument at fault.
    """
    _check(start, end, step, agg)
    infos = _infos(system_ids, sources=None if source is None else [source], metrics=[metric])
    infos = {pk: info for pk, info in infos.items() if (labels or {}).items() <= info.labels.items()}
    chosen = dict(list(infos.items())[:MAX_SERIES])
    pieces, tiers, reached = _pieces(_ids(chosen), start, end)
    complete = reached and len(chosen) == len(infos) and start >= (now or time.time()) - WARM_SECONDS
    return QueryResult(_points(grouped(pieces, step), chosen, agg), tiers, complete)


def sparklines(
    system_id: int,
    pairs: Sequence[tuple[str, str]],
    *,
    seconds: float = 900,
    points: int = 60,
    now: float | None = None,
) -> dict[str, dict[str, list[list[float]]]]:
    """Return source -> metric -> [[at, average], ...] of the last *seconds*, at most *points* each."""
    end = time.time() if now is None else now
    wanted = set(pairs)
    infos = _infos([system_id], sources={source for source, _ in pairs}, metrics={metric for _, metric in pairs})
    infos = {pk: info for pk, info in infos.items() if not info.labels and (info.source, info.metric) in wanted}
    pieces, _, _ = _pieces(_ids(infos), end - seconds, end)
    answer: dict[str, dict[str, list[list[float]]]] = {}
    for line in _points(grouped(pieces, seconds / points), infos, "avg"):
        answer.setdefault(line.source, {})[line.metric] = np.column_stack([line.at, line.values]).tolist()
    return answer


def _infos(
    system_ids: Sequence[int], *, sources: Iterable[str] | None, metrics: Iterable[str] | None
) -> dict[int, SeriesInfo]:
    rows = Series.objects.filter(system_id__in=system_ids)
    if metrics is not None:
        rows = rows.filter(metric__in=list(metrics))
    if sources is not None:
        rows = rows.filter(source__in=list(sources))
    return {pk: SeriesInfo(*rest) for pk, *rest in rows.values_list("pk", "source", "metric", "labels")}


def _ids(infos: Mapping[int, SeriesInfo]) -> Ids:
    return np.fromiter(infos, np.int64, len(infos))


def _check(start: float, end: float, step: float, agg: str) -> None:
    if agg not in AGGREGATES:
        raise Invalid(f"An aggregate is one of {', '.join(AGGREGATES)}; got {agg!r}.", field="agg")
    if not start < end:
        raise Invalid("The range must start before it ends.", field="from")
    if not step > 0 or (end - start) / step > MAX_POINTS:
        raise Invalid(f"The step must be positive and give at most {MAX_POINTS} points.", field="step")


def _pieces(series_ids: Ids, start: float, end: float) -> tuple[Pieces, list[str], bool]:
    """Return what both tiers know of a range without overlap, the tiers it comes from, and whether both answered."""
    minute = start // warm.STEP_SECONDS * warm.STEP_SECONDS
    # Whole minutes are compared, then the samples cut to the range: half a minute would always lose to its roll-up.
    samples, reached = _hot(series_ids, minute, end // warm.STEP_SECONDS * warm.STEP_SECONDS + warm.STEP_SECONDS)
    samples, rollups = better(samples, warm.read(series_ids.tolist(), minute, end))
    samples = samples.where((samples.at >= start) & (samples.at <= end))
    tiers = [name for name, found in (("hot", samples), ("warm", rollups)) if len(found)]
    return together(as_pieces(samples), rollups), tiers, reached


def _hot(series_ids: Ids, start: float, end: float) -> tuple[Columns, bool]:
    try:
        return hot_tier().read(series_ids, start, end), True
    except TransientError:
        return columns([], [], []), False


def _points(pieces: Pieces, infos: Mapping[int, SeriesInfo], agg: str) -> list[SeriesPoints]:
    values = pieces.aggregated(agg)
    found = {int(pieces.series[low]): slice(low, high) for low, high in runs(pieces.series)}
    return [
        SeriesPoints(info.metric, info.source, info.labels, pieces.at[found[pk]], values[found[pk]])
        for pk, info in infos.items()
        if pk in found
    ]
