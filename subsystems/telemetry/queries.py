"""Reading samples: the newest, a window, any range over all tiers; the number of queries does not grow with it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from subsystems.kernel.errors import Invalid, TransientError
from subsystems.telemetry import aggregates, cold, ranges, warm
from subsystems.telemetry.aggregates import Aggregate
from subsystems.telemetry.columns import (
    Columns,
    Floats,
    Ids,
    Pieces,
    as_pieces,
    better,
    columns,
    grouped,
    joined_pieces,
    runs,
    together,
)
from subsystems.telemetry.distributions import error_bound
from subsystems.telemetry.models import Series
from subsystems.telemetry.ranges import RECENT, WARM, Part, Reach
from subsystems.telemetry.samples import HOT_SECONDS, labels_text, series_name
from subsystems.telemetry.selection import Matcher, SeriesInfo, chosen, groups
from subsystems.telemetry.steps import DAY, MINUTE, STEPS, floor
from subsystems.telemetry.store import hot_tier

MAX_POINTS = 11_000  # per series: more than any screen has pixels
MAX_SERIES = 500  # per answer
MAX_GROUPED_SERIES = 20_000  # that may be summed up into them
MAX_ROWS = 5_000_000  # of roll-ups read for one answer
MAX_REQUESTS = 100
SETTLED_SECONDS = 2 * HOT_SECONDS  # what is older gets no sample any more: roll-ups of every step are whole
AVERAGE = Aggregate("avg")
Found = TypeVar("Found", Columns, Pieces)
LOOKBACK_SECONDS = 300.0  # a rise needs the value before it


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
    """An answer over the tiers: which of them it comes from, and whether nothing of the range is missing.

    A quantile over roll-ups is not *exact*: *error* is how far it may be off, as a share of it; None where nobody
    knows.
    """

    series: list[SeriesPoints] = field(default_factory=list)
    tiers: list[str] = field(default_factory=list)
    complete: bool = True
    parts: list[Part] = field(default_factory=list)
    error: float | None = 0.0

    @property
    def exact(self) -> bool:
        """Return whether every value is what the samples give."""
        return self.error == 0.0

    def to_wire(self) -> dict[str, Any]:
        """Return the contract's JSON."""
        parts = [{"tier": tier, "step": step, "from": start, "to": end} for tier, step, start, end in self.parts]
        return {
            "series": [_line(each) for each in self.series],
            "tiers": self.tiers,
            "complete": self.complete,
            "exact": self.exact,
            "error": self.error,
            "parts": parts,
        }


@dataclass(frozen=True, slots=True)
class Request:
    """One question: which series, which range (epoch seconds), a value for each *step* seconds, of what and by what.

    *labels* must be among a series' labels; *match* are patterns; *group_by* puts together what shares these labels,
    and `()` everything. Without it (None) each series stands for itself.
    """

    system_ids: tuple[int, ...]
    metric: str
    start: float
    end: float
    step: float
    agg: Aggregate = AVERAGE
    source: str | None = None
    labels: Mapping[str, str] | None = None
    match: Sequence[Matcher] = ()
    group_by: tuple[str, ...] | None = None

    def check(self) -> None:
        """Raise Invalid naming the field at fault."""
        if not self.start < self.end:
            raise Invalid("The range must start before it ends.", field="from")
        if not self.step > 0 or (self.end - self.start) / self.step > MAX_POINTS:
            raise Invalid(f"The step must be positive and give at most {MAX_POINTS} points.", field="step")

    @property
    def read_from(self) -> float:
        """Return where reading starts: a rise needs the value before it."""
        return self.start - max(LOOKBACK_SECONDS, self.step) if self.agg.counts_rises else self.start

    @property
    def needs_sketches(self) -> bool:
        """Return whether sums are not enough."""
        return self.agg.name == "quantile"


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


def fresh(system_ids: Iterable[int], *, metrics: Iterable[str], since: float) -> list[tuple[SeriesInfo, float]]:
    """Return each series of some *metrics* with its newest value, those not heard since *since* left out."""
    rows = Series.objects.filter(system_id__in=list(system_ids), metric__in=list(metrics)).order_by("pk")
    named = rows.values_list("pk", "source", "metric", "labels", "system__slug")
    infos = {pk: SeriesInfo(*told) for pk, *told in named}
    found = hot_tier().latest(_ids(infos))
    heard = found.where(found.at >= since)
    return [(infos[pk], value) for pk, value in zip(heard.series.tolist(), heard.values.tolist(), strict=True)]


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
    match: Sequence[Matcher] = (),
    group_by: tuple[str, ...] | None = None,
    now: float | None = None,
) -> QueryResult:
    """Return *metric* from *start* to *end*, one value per *step* seconds that has one. See `Request`.

    Raises Invalid naming the argument at fault.
    """
    request = Request(
        tuple(system_ids), metric, start, end, step, aggregates.parse(agg), source, labels, match, group_by
    )
    return answer([request], now=now)[0]


def answer(requests: Sequence[Request], *, now: float | None = None) -> list[QueryResult]:
    """Answer many questions at once: what several of them need is read once.

    Each part of a range comes from one tier, so that nothing is counted twice; see `ranges.parts`.
    """
    for request in requests:
        request.check()
    if len(requests) > MAX_REQUESTS:
        raise Invalid(f"At most {MAX_REQUESTS} queries at once.", field="queries")
    moment = time.time() if now is None else now
    reach = _reach(min((request.read_from for request in requests), default=moment), moment)
    found = _selected(requests)
    plans = [_plan(request, reach, infos) for request, infos in zip(requests, found, strict=True)]
    shelves = _read(requests, plans, found)
    return [
        _answered(request, reach, infos, plan, shelves)
        for request, infos, plan in zip(requests, found, plans, strict=True)
    ]


def selected(
    system_ids: Sequence[int],
    metric: str,
    source: str | None = None,
    labels: Mapping[str, str] | None = None,
    match: Sequence[Matcher] = (),
) -> dict[int, SeriesInfo]:
    """Return the series that a question is about."""
    request = Request(tuple(system_ids), metric, 0, 1, 1, AVERAGE, source, labels, match)
    return _selected([request])[0]


def pieces(series_ids: Ids, start: float, end: float, step: float, *, now: float) -> Pieces:
    """Return what all tiers know of [start, end], each moment once, fine enough for points every *step* seconds."""
    parts = ranges.parts(start, end, step, _reach(start, now))
    return joined_pieces([_cut(part, *_read_part(part, series_ids, False)).pieces for part in parts])


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
    found = grouped(_recent(_ids(infos), end - seconds, end), seconds / points)
    lines: dict[str, dict[str, list[list[float]]]] = {}
    for line in _points(found, found.aggregated("avg"), infos):
        lines.setdefault(line.source, {})[line.metric] = np.column_stack([line.at, line.values]).tolist()
    return lines


def _infos(
    system_ids: Iterable[int], *, sources: Iterable[str] | None, metrics: Iterable[str] | None
) -> dict[int, SeriesInfo]:
    rows = Series.objects.filter(system_id__in=list(system_ids), merged_into=None)
    if metrics is not None:
        rows = rows.filter(metric__in=list(metrics))
    if sources is not None:
        rows = rows.filter(source__in=list(sources))
    found = rows.values_list("pk", "source", "metric", "labels")
    return {pk: SeriesInfo(source, metric, labels) for pk, source, metric, labels in found}


def _selected(requests: Sequence[Request]) -> list[dict[int, SeriesInfo]]:
    """Return the series of each request, from one look at the table."""
    systems = {pk for request in requests for pk in request.system_ids}
    sources = {request.source for request in requests}
    metrics = {request.metric for request in requests}
    rows = Series.objects.filter(system_id__in=systems, metric__in=metrics, merged_into=None)
    if None not in sources:
        rows = rows.filter(source__in=sources)
    found = rows.order_by("pk").values_list("pk", "system_id", "source", "metric", "labels", "system__slug", "kind")
    by_metric: dict[str, list[tuple[int, int, SeriesInfo]]] = {}
    for pk, system, source, metric, labels, slug, kind in found:
        by_metric.setdefault(metric, []).append((pk, system, SeriesInfo(source, metric, labels, slug, kind)))
    return [_of_request(request, by_metric.get(request.metric, [])) for request in requests]


def _of_request(request: Request, known: Iterable[tuple[int, int, SeriesInfo]]) -> dict[int, SeriesInfo]:
    systems = set(request.system_ids)
    infos = {
        pk: info
        for pk, system, info in known
        if system in systems and (request.source is None or info.source == request.source)
    }
    return chosen(infos, request.labels, request.match)


def _ids(infos: Mapping[int, SeriesInfo]) -> Ids:
    return np.fromiter(infos, np.int64, len(infos))


def _limit(request: Request) -> int:
    return MAX_SERIES if request.group_by is None else MAX_GROUPED_SERIES


def _reach(start: float, now: float) -> Reach:
    """Return what is where, asked only as far back as *start*."""
    settled = floor(now - SETTLED_SECONDS, 3600)
    minutes_from = floor(now - MINUTE.keep_seconds, DAY)
    if start >= settled:
        return Reach(now, settled, minutes_from)
    recent = max(min(settled, _unsettled(settled)), minutes_from)
    moved, archived_from = cold.days(start, now) if start < minutes_from else (frozenset[int](), math.inf)
    return Reach(now, recent, minutes_from, moved, archived_from)


def _unsettled(settled: int) -> int:
    """Return the hour from which on roll-ups may be missing: somebody has still to make them."""
    waiting = [warm.oldest_due()]
    try:
        waiting.append(hot_tier().oldest_dirty())
    except TransientError:
        waiting.append(None)
    return min([settled, *(floor(at, 3600) for at in waiting if at is not None)])


def _plan(request: Request, reach: Reach, infos: Mapping[int, SeriesInfo]) -> list[Part]:
    parts = ranges.parts(request.read_from, request.end, request.step, reach)
    n = min(len(infos), _limit(request))
    rows = sum((part.end - part.start) / part.step_seconds for part in parts if part.tier != RECENT) * n
    if rows > MAX_ROWS:
        detail = f"This would read {rows:,.0f} roll-ups, {MAX_ROWS:,} are allowed: ask for a larger step, or less."
        raise Invalid(detail, field="step")
    return parts


@dataclass(frozen=True, slots=True)
class _Found:
    """What one part of a range holds, which tiers it came from, and whether all of them answered."""

    pieces: Pieces
    tiers: tuple[str, ...]
    reached: bool = True


def _read(
    requests: Sequence[Request], plans: Sequence[Sequence[Part]], infos: Sequence[Mapping[int, SeriesInfo]]
) -> dict[Part, _Found]:
    wanted: dict[Part, set[int]] = {}
    sketched: set[Part] = set()
    for request, plan, chosen_here in zip(requests, plans, infos, strict=True):
        for part in plan:
            wanted.setdefault(part, set()).update(chosen_here)
        sketched.update(plan if request.needs_sketches else ())
    found: dict[Part, _Found] = {}
    for near in ranges.neighbours(wanted):
        found |= _read_together({part: wanted[part] for part in near}, not sketched.isdisjoint(near))
    return found


def _read_together(wanted: Mapping[Part, set[int]], sketches: bool) -> dict[Part, _Found]:
    """Read neighbouring parts of one tier and step at once, and cut each out of it."""
    whole = ranges.around(list(wanted))
    everybody = np.array(sorted(set().union(*wanted.values())), np.int64)
    samples, rollups, reached = _read_part(whole, everybody, sketches)
    if len(wanted) == 1:
        return {whole: _cut(whole, samples, rollups, reached)}
    found = {}
    for part, ids in wanted.items():
        own = np.array(sorted(ids), np.int64)
        found[part] = _cut(part, _of(samples, own), _of(rollups, own), reached)
    return found


def _read_part(part: Part, series_ids: Ids, sketches: bool) -> tuple[Columns, Pieces, bool]:
    """Return the samples and the roll-ups of one part, and whether all that was asked answered."""
    none, step = columns([], [], []), STEPS[part.step_seconds]
    if part.tier == RECENT:
        # Whole minutes are compared, then the samples cut to the range: half a minute would lose to its roll-up.
        minute = floor(part.start, MINUTE.seconds)
        samples, reached = _hot(series_ids, minute, floor(part.end, MINUTE.seconds) + MINUTE.seconds)
        rollups = warm.read(series_ids, minute, math.nextafter(part.end, math.inf), sketches=sketches)
        return samples, rollups, reached
    if part.tier == WARM:
        return none, warm.read(series_ids, part.start, part.end, step, sketches=sketches), True
    return none, *cold.read(series_ids, part.start, part.end, step)


def _cut(part: Part, samples: Columns, rollups: Pieces, reached: bool) -> _Found:
    """Return what *part* holds of what was read, each moment once."""
    if part.tier != RECENT:
        pieces = _between(rollups, part.start, part.end)
        return _Found(pieces, (part.tier,) if len(pieces) else (), reached)
    minute = floor(part.start, MINUTE.seconds)
    inside = (samples.at >= minute) & (samples.at < floor(part.end, MINUTE.seconds) + MINUTE.seconds)
    rollups = _between(rollups, minute, math.nextafter(part.end, math.inf))
    samples, rollups = better(samples if inside.all() else samples.where(inside), rollups)
    samples = samples.where((samples.at >= part.start) & (samples.at <= part.end))
    tiers = tuple(name for name, found in (("hot", samples), ("warm", rollups)) if len(found))
    return _Found(together(as_pieces(samples), rollups), tiers, reached)


def _recent(series_ids: Ids, start: float, end: float) -> Pieces:
    """Return what samples and minutes know of a range without overlap."""
    part = Part(RECENT, MINUTE.seconds, start, end)
    return _cut(part, *_read_part(part, series_ids, False)).pieces


def _between(pieces: Pieces, start: float, end: float) -> Pieces:
    inside = (pieces.at >= start) & (pieces.at < end)
    return pieces if inside.all() else pieces.where(inside)


def _of(found: Found, series_ids: Ids) -> Found:
    """Return what is of *series_ids* alone: several requests may have read together."""
    mine = np.isin(found.series, series_ids)
    return found if mine.all() else found.where(mine)


def _hot(series_ids: Ids, start: float, end: float) -> tuple[Columns, bool]:
    try:
        return hot_tier().read(series_ids, start, end), True
    except TransientError:
        return columns([], [], []), False


def _answered(
    request: Request,
    reach: Reach,
    infos: Mapping[int, SeriesInfo],
    plan: Sequence[Part],
    shelves: Mapping[Part, _Found],
) -> QueryResult:
    kept = dict(list(infos.items())[: _limit(request)])
    found = [shelves[part] for part in plan]
    pieces = _of(joined_pieces([each.pieces for each in found]), _ids(kept))
    tiers = [name for name in ("hot", "warm", "cold") if any(name in each.tiers for each in found)]
    whole = len(kept) == len(infos) and all(each.reached for each in found)
    points, error = _computed(request, pieces, kept)
    cut = points[:MAX_SERIES]
    complete = whole and len(cut) == len(points) and not ranges.missing_before(request.start, reach)
    return QueryResult(cut, tiers, complete, list(plan), error)


def _computed(
    request: Request, pieces: Pieces, infos: Mapping[int, SeriesInfo]
) -> tuple[list[SeriesPoints], float | None]:
    if request.agg.counts_rises:
        deltas = [pk for pk, info in infos.items() if info.kind == "delta"]
        pieces = aggregates.rises(pieces, np.isin(pieces.series, deltas) if deltas else None)
        # A roll-up that the start cuts through counts whole, as for every other aggregate.
        pieces = pieces.where(pieces.at >= floor(request.start, MINUTE.seconds))
    if request.group_by is not None:
        of, infos = groups(infos, request.group_by)
        pieces = _regrouped(pieces, of)
    found, values = _values(request, pieces)
    return _points(found, values, infos), error_bound(pieces) if request.needs_sketches else 0.0


def _regrouped(pieces: Pieces, of: Mapping[int, int]) -> Pieces:
    if not len(pieces):
        return pieces
    owners = np.fromiter(sorted(of), np.int64, len(of))
    group = np.array([of[pk] for pk in owners.tolist()], np.int64)
    return replace(pieces, series=group[np.searchsorted(owners, pieces.series)]).ordered()


def _values(request: Request, pieces: Pieces) -> tuple[Pieces, Floats]:
    agg, step = request.agg, request.step
    if agg.name == "quantile":
        return aggregates.quantiles(pieces, step, agg.q)
    found = grouped(pieces, step)
    if agg.name == "rate":
        return found, aggregates.per_second(found, step, request.start, request.end)
    return found, found.aggregated("sum" if agg.name == "increase" else agg.name)


def _points(pieces: Pieces, values: Floats, infos: Mapping[int, SeriesInfo]) -> list[SeriesPoints]:
    found = {int(pieces.series[low]): slice(low, high) for low, high in runs(pieces.series)}
    return [
        SeriesPoints(info.metric, info.source, info.labels, pieces.at[found[pk]], values[found[pk]])
        for pk, info in infos.items()
        if pk in found
    ]


def _line(each: SeriesPoints) -> dict[str, Any]:
    points = np.column_stack([each.at, each.values]).tolist()
    return {"metric": each.metric, "source": each.source, "labels": each.labels, "points": points}
