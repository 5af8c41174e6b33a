"""The numbers that each kind of condition had at moments of the past, as far as something keeps them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from alerts import rehearsal
from alerts.book import Book, Watch
from alerts.conditions import burn_rate
from alerts.conditions.expression import evaluated
from alerts.conditions.kind import Feed
from alerts.conditions.ragged import AGGREGATIONS, Floats, Rows, first, last, rises, rows_of, span
from alerts.evaluation import base_metric
from alerts.feeding import ASSESSED_EVERY, score_of
from alerts.selecting import Row
from subsystems.algedonic.models import Signal
from subsystems.event_log.models import Event, EventCheckpoint, PendingEvent
from subsystems.health.models import Assessment
from subsystems.health.services import UNIT_HEALTH, UNIT_HEALTH_PART
from subsystems.telemetry import queries as telemetry
from subsystems.telemetry.aggregates import Aggregate, parse

READ_AT_ONCE = 5000
REMEMBERED_SECONDS = 3600.0  # so long the newest value of a series is known, live as well


@dataclass
class Past:
    """Values, one row for each thing that is watched, one column for each moment; NaN where nothing is known."""

    rows: Sequence[Row] = ()
    values: Floats = field(default_factory=lambda: np.empty((0, 0)))
    tiers: set[str] = field(default_factory=set)
    complete: bool = True


@dataclass(frozen=True)
class Span:
    """The moments of the past that are looked at, *step* seconds apart."""

    moments: Floats
    step: float

    @property
    def first(self) -> float:
        """Return the first moment."""
        return float(self.moments[0])

    @property
    def last(self) -> float:
        """Return the last moment."""
        return float(self.moments[-1])


def recall(book: Book, each: Watch, over: Span) -> Past:
    """Return what the only rule of *book* would have compared."""
    return _READERS[each.kind.feed](book, each, over)


# --- Series ---------------------------------------------------------------------------------------------------------
Line = tuple[Row, Floats, Floats]  # what it is of, the ends of the steps, the values


def _lines(systems: Iterable[int], metric: str, agg: Aggregate, start: float, over: Span, past: Past) -> list[Line]:
    """Return a value for each step of each series of *metric* since *start*; note in *past* how much is known."""
    found: list[Line] = []
    for system_id in sorted(set(systems)):
        asked = telemetry.Request((system_id,), metric, start - over.step, over.last, over.step, agg)
        [answer] = telemetry.answer([asked], now=over.last)
        past.tiers |= set(answer.tiers)
        past.complete &= answer.complete
        found += [
            (Row(system_id, line.source, line.metric, line.labels), line.at + over.step, line.values)
            for line in answer.series
        ]
    return found


def _rows(lines: Sequence[Line], rows: Sequence[Row]) -> Rows:
    """Return the lines of *rows*, in their order."""
    place_of = {row.name: place for place, row in enumerate(rows)}
    known = sorted((place_of[row.name], place) for place, (row, _, _) in enumerate(lines) if row.name in place_of)
    if not known:
        return Rows(np.empty(0), np.empty(0), np.zeros(len(rows) + 1, np.int64))
    chosen = [lines[place] for _, place in known]
    series = np.repeat([place for place, _ in known], [len(at) for _, at, _ in chosen]).astype(np.int64)
    at, values = (np.concatenate([line[column] for line in chosen]) for column in (1, 2))
    return rows_of(series, at, values, np.arange(len(rows)))


def _watched(book: Book) -> list[Row]:
    return [book.table.rows[place] for place in book.groups[0].pair_place.tolist()]


def _samples(book: Book, each: Watch, over: Span) -> Past:
    past = Past(_watched(book))
    rule, window = each.rule, each.kind.window(each.asked)
    own = rule.aggregation if rule.kind == "threshold" and rule.window_seconds else "last"
    agg = parse("sum" if own == "count" else own) if own != "last" else Aggregate("last")
    systems = [row.system_id for row in past.rows]
    rows = _rows(_lines(systems, base_metric(rule.metric), agg, over.first - window, over, past), past.rows)
    measure = each.kind.measure
    if window and measure is not None:
        past.values = rehearsal.sliding(
            lambda inside, now: measure(inside, each.asked, now), window, rows, over.moments
        )
    else:
        past.values = rehearsal.on_steps(rows, over.moments, over.step)
    return past


def _burns(book: Book, each: Watch, over: Span) -> Past:
    """Add the rises of both counters up, step by step, over each of the windows."""
    past = Past(_watched(book))
    pairs = burn_rate.windows(each.asked)
    longest = max(long for long, _, _ in pairs)
    before = int(np.ceil(longest / over.step))
    grid = np.arange(-before, len(over.moments), dtype=np.float64) * over.step + over.first
    systems = [row.system_id for row in past.rows]
    totals = [Row(row.system_id, row.source, each.asked.param("total"), row.labels) for row in past.rows]
    risen = []
    for metric, rows in ((base_metric(each.rule.metric), past.rows), (each.asked.param("total"), totals)):
        lines = _lines(systems, metric, Aggregate("increase"), float(grid[0]), over, past)
        steps = rehearsal.on_steps(_rows(lines, rows), grid, over.step)
        risen.append(np.cumsum(np.nan_to_num(steps), axis=1))
    burns = {
        seconds: _burn(risen[0], risen[1], max(1, round(seconds / over.step)), each, len(over.moments))
        for long, short, _ in pairs
        for seconds in (long, short)
    }
    past.values = burn_rate.worst([(burns[long], burns[short], factor) for long, short, factor in pairs])
    return past


def _burn(bad: Floats, total: Floats, steps: int, each: Watch, count: int) -> Floats:
    """Return how fast the budget burnt in the last *steps* before each of the last *count* moments."""
    spent, all_ = (sums[:, -count:] - sums[:, -count - steps : -steps] for sums in (bad, total))
    return burn_rate.burn(spent.ravel(), all_.ravel(), each.asked.param("objective")).reshape(spent.shape)


def _expressions(book: Book, each: Watch, over: Span) -> Past:
    past = Past(_watched(book))
    window = each.asked.window_seconds
    systems = [row.system_id for row in past.rows]
    lines = _lines(systems, base_metric(each.rule.metric), Aggregate("last"), over.first - window, over, past)
    rows = _rows(lines, past.rows)
    columns = {"value": rehearsal.on_steps(rows, over.moments, over.step)}
    for name, how in _COLUMNS.items():  # without a window: of the newest value alone, as live
        columns[name] = rehearsal.sliding(_timeless(how), window or over.step, rows, over.moments)
    beside = _beside(each, systems, over, past)
    past.values = np.full(columns["value"].shape, np.nan)
    for place, row in enumerate(past.rows):
        unit = book.units.within(each.selector.scope, row.system_id, row.source)[1]
        about = {
            "labels": row.labels, "source": row.source, "unit": unit.name if unit else "",
            "unit_kind": unit.kind if unit else "", "system": str(row.system_id),
        }  # fmt: skip
        others = beside.get((row.system_id, row.source), {})
        for column in np.flatnonzero(~np.isnan(columns["value"][place])).tolist():
            numbers = {name: float(values[place, column]) for name, values in columns.items()}
            known = {name: number for name, number in numbers.items() if not np.isnan(number)}
            metrics = {name: float(values[column]) for name, values in others.items() if not np.isnan(values[column])}
            past.values[place, column] = _evaluated(each, {**known, **about, "metrics": metrics})
    return past


def _timeless(how: Callable[[Rows], Floats]) -> Callable[[Rows, float], Floats]:
    return lambda rows, now: how(rows)


def _rate(rows: Rows) -> Floats:
    seconds = span(rows)
    risen: Floats = np.divide(rises(rows), seconds, out=np.full(len(rows), np.nan), where=seconds > 0)
    return risen


_COLUMNS: dict[str, Callable[[Rows], Floats]] = {
    **{name: how for name, how in AGGREGATIONS.items() if name != "last"},
    "change": lambda rows: last(rows) - first(rows),
    "rate": _rate,
}


def _evaluated(each: Watch, names: Mapping[str, object]) -> float:
    try:
        return evaluated(each.asked.param("expression"), names)
    except ValueError:  # live, that would be an error of the rule; here nothing is known of this moment
        return float("nan")


def _beside(
    each: Watch, systems: Iterable[int], over: Span, past: Past
) -> dict[tuple[int, str], dict[str, Floats]]:  # fmt: skip
    """Return the values of the other metrics that the expression names, by source; each stays known for an hour."""
    found: dict[tuple[int, str], dict[str, Floats]] = defaultdict(dict)
    for metric in each.asked.param("metrics"):
        lines = _lines(systems, metric, Aggregate("last"), over.first - REMEMBERED_SECONDS, over, past)
        for row, at, values in lines:
            place = np.searchsorted(at, over.moments, "right") - 1
            known = (place >= 0) & (over.moments - at[np.maximum(place, 0)] <= REMEMBERED_SECONDS)
            newest = np.where(known, values[np.maximum(place, 0)], np.nan)
            found[row.system_id, row.source][row.series] = newest
    return found


# --- What is no series ----------------------------------------------------------------------------------------------
def _units(book: Book, each: Watch, over: Span) -> Past:
    past = Past()
    scope, part = each.selector.scope, each.asked.param("part")
    metric = UNIT_HEALTH_PART if part else UNIT_HEALTH
    lines = [
        line
        for line in _lines(scope.system_ids, metric, Aggregate("last"), over.first, over, past)
        if (not part or line[0].labels.get("part") == part)
        and scope.unit_kind in ("", line[0].labels.get("kind"))
        and book.units.within(scope, line[0].system_id, line[0].source)[0]
    ]
    past.values = rehearsal.on_steps(_rows(lines, [line[0] for line in lines]), over.moments, over.step)
    past.rows = [Row(row.system_id, row.source, "health") for row, _, _ in lines]
    return past


def _systems(book: Book, each: Watch, over: Span) -> Past:
    """Read the assessments that are kept; one that is long over said nothing about a moment."""
    wanted, systems = each.asked.param("of"), each.selector.scope.system_ids
    known = max(3 * ASSESSED_EVERY.total_seconds(), over.step)
    rows = [Row(system_id, "", f"viability_{wanted}") for system_id in systems]
    values = np.full((len(rows), len(over.moments)), np.nan)
    for place, system_id in enumerate(systems):
        kept = Assessment.objects.filter(
            system_id=system_id, assessed_at__gt=_moment(over.first - known), assessed_at__lte=_moment(over.last)
        ).order_by("assessed_at")
        kept = kept.only("assessed_at", "score", "geometric", "weakest_link", "subsystems")
        told = [(row.assessed_at.timestamp(), score_of(row, wanted)) for row in kept.iterator(READ_AT_ONCE)]
        if not told:
            continue
        at = np.array([moment for moment, _ in told])
        scores = np.array([np.nan if score is None else score for _, score in told])
        newest = np.searchsorted(at, over.moments, "right") - 1
        valid = (newest >= 0) & (over.moments - at[np.maximum(newest, 0)] < known)
        values[place] = np.where(valid, scores[np.maximum(newest, 0)], np.nan)
    return Past(rows, values, {"assessments"}, complete=bool(~np.isnan(values[:, :1]).any()))


def _signals(book: Book, each: Watch, over: Span) -> Past:
    window = each.asked.window_seconds
    raised = Signal.objects.filter(
        raised_at__gt=_moment(over.first - window), raised_at__lte=_moment(over.last),
        **{name: wanted for name in ("type", "severity", "source") if (wanted := each.asked.param(name))},
    ).order_by("raised_at")  # fmt: skip
    return _counted(
        "signals", each, over, lambda system_id: raised.filter(system_id=system_id).values_list("raised_at", flat=True)
    )


def _events(book: Book, each: Watch, over: Span) -> Past:
    since = _moment(over.first - each.asked.window_seconds)
    wanted = {name: each.asked.param(name) for name in ("stream", "type") if each.asked.param(name)}
    signed = EventCheckpoint.objects.filter(at__lte=since).order_by("-position").values_list("position", flat=True)
    start = signed.first() or 0  # the log is long, and has no index by time

    def moments_of(system_id: int) -> Iterable[datetime]:
        asked: dict[str, Any] = {**wanted, "system_id": system_id, "at__gt": since, "at__lte": _moment(over.last)}
        yield from Event.objects.filter(position__gt=start, **asked).values_list("at", flat=True).iterator(READ_AT_ONCE)
        yield from PendingEvent.objects.filter(**asked).values_list("at", flat=True)

    return _counted("events", each, over, moments_of)


def _counted(
    word: str, each: Watch, over: Span, moments_of: Callable[[int], Iterable[datetime]]
) -> Past:  # fmt: skip
    """Count what happened in the window before each moment, in each system."""
    systems = each.selector.scope.system_ids
    values = np.zeros((len(systems), len(over.moments)))
    for place, system_id in enumerate(systems):
        at = np.sort(np.array([moment.timestamp() for moment in moments_of(system_id)], np.float64))
        ends = np.searchsorted(at, over.moments, "right")
        values[place] = ends - np.searchsorted(at, over.moments - each.asked.window_seconds, "right")
    return Past([Row(system_id, "", word) for system_id in systems], values, {word})


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


_READERS: dict[Feed, Callable[[Book, Watch, Span], Past]] = {
    Feed.SAMPLES: _samples, Feed.PAIRS: _burns, Feed.EXPRESSION: _expressions, Feed.UNITS: _units,
    Feed.VIABILITY: _systems, Feed.SIGNALS: _signals, Feed.EVENTS: _events,
}  # fmt: skip
