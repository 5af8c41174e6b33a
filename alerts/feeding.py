"""The numbers that rules compare, read from where each kind of condition has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from alerts.book import Book, Group, Watch
from alerts.conditions import burn_rate
from alerts.conditions.expression import evaluated
from alerts.conditions.kind import Asked, Feed
from alerts.conditions.ragged import AGGREGATIONS, Floats, Rows, first, last, last_at, rises, rows_of, span
from alerts.evaluation import base_metric
from alerts.selecting import Places, Row, Table
from subsystems.algedonic.models import Signal
from subsystems.event_log.models import Event, EventCheckpoint, PendingEvent
from subsystems.health.models import Assessment
from subsystems.s1_operations.models import Unit
from subsystems.telemetry import queries as telemetry
from subsystems.telemetry.aggregates import Aggregate
from subsystems.telemetry.store import hot_tier

ASSESSED_EVERY = timedelta(seconds=30)


@dataclass
class Reading:
    """One number for each pair of a rule and what it watches."""

    rule: Places  # the rule's place in the book
    rows: list[Row] | None  # what each pair is about, where that is no series of the table
    places: Places | None  # where it is one
    values: Floats
    at: Floats  # of the last sample; NaN where none was heard in the last hour
    judged_at: Floats  # the moment that the value is of
    failed: dict[int, str] = field(default_factory=dict)  # rule's place -> why it could not be evaluated

    def row(self, pair: int, table: Table) -> Row:
        """Return what a pair is about."""
        if self.rows is not None:
            return self.rows[pair]
        assert self.places is not None
        return table.rows[int(self.places[pair])]


def read(book: Book, group: Group, *, now: float) -> Reading:
    """Return the numbers of one group of rules. Raises TransientError where they cannot be had."""
    feed = group.kind.feed
    if feed is Feed.SAMPLES:
        return _samples(book, group, now)
    if feed is Feed.EXPRESSION:
        return _expressions(book, group, now)
    if feed is Feed.PAIRS:
        return _burns(book, group, now)
    return _told(book, group, now)


def window_rows(table: Table, places: Places, start: float, end: float) -> Rows:
    """Return the samples of some places of the table."""
    ids = table.ids[places]
    found = hot_tier().read(ids, start, end)
    return rows_of(found.series, found.at, found.values, ids)


def _samples(book: Book, group: Group, now: float) -> Reading:
    seconds = group.kind.window(group.asked)
    ids = book.table.ids[group.places]
    if seconds and group.asked.kind != "absence":
        rows = window_rows(book.table, group.places, now - seconds, now)
    else:
        newest = hot_tier().latest(ids)
        rows = rows_of(newest.series, newest.at, newest.values, ids)
    assert group.kind.measure is not None
    values, at = group.kind.measure(rows, group.asked, now)[group.pair_compact], last_at(rows)[group.pair_compact]
    if group.kind.hears_silence:
        at = np.where(np.isnan(values), np.nan, now)
    moment = at if not seconds else np.full(len(at), now)
    return Reading(group.pair_rule, None, group.pair_place, values, at, moment)


# --- Expressions ----------------------------------------------------------------------------------------------------
def _expressions(book: Book, group: Group, now: float) -> Reading:
    window = group.asked.window_seconds
    ids = book.table.ids[group.places]
    newest = hot_tier().latest(ids)
    latest = rows_of(newest.series, newest.at, newest.values, ids)
    rows = window_rows(book.table, group.places, now - window, now) if window else latest
    columns = {name: how(rows) for name, how in AGGREGATIONS.items() if name != "last"}
    seconds = span(rows)
    columns |= {"value": last(latest), "change": last(rows) - first(rows)}
    columns["rate"] = np.divide(rises(rows), seconds, out=np.full(len(rows), np.nan), where=seconds > 0)
    beside = _beside(book, group)
    values = np.full(len(group.pair_rule), np.nan)
    failed: dict[int, str] = {}
    at = last_at(latest)
    for pair, (rule, compact) in enumerate(zip(group.pair_rule.tolist(), group.pair_compact.tolist(), strict=True)):
        if not now - at[compact] <= book.watches[rule].rule.stale_seconds:
            continue
        names = _names(book, book.watches[rule], int(group.pair_place[pair]), columns, compact, beside)
        try:
            values[pair] = evaluated(group.asked.param("expression"), names)
        except ValueError as error:
            failed.setdefault(rule, str(error)[:300])
    heard = at[group.pair_compact]
    return Reading(group.pair_rule, None, group.pair_place, values, heard, heard, failed)


def _beside(book: Book, group: Group) -> dict[tuple[int, str], dict[str, float]]:
    """Return the newest values of the other metrics that the expression names, by source."""
    wanted = [book.table.by_metric[name] for name in group.asked.param("metrics") if name in book.table.by_metric]
    if not wanted:
        return {}
    places = np.unique(np.concatenate(wanted))
    newest = hot_tier().latest(book.table.ids[places])
    found: dict[tuple[int, str], dict[str, float]] = {}
    for place, value in zip(
        np.searchsorted(book.table.ids, newest.series).tolist(), newest.values.tolist(), strict=True
    ):
        row = book.table.rows[place]
        found.setdefault((row.system_id, row.source), {})[row.series] = value
    return found


def _names(
    book: Book, each: Watch, place: int, columns: Mapping[str, Floats], compact: int,
    beside: Mapping[tuple[int, str], dict[str, float]],
) -> dict[str, object]:  # fmt: skip
    row = book.table.rows[place]
    unit = book.units.within(each.selector.scope, row.system_id, row.source)[1]
    numbers = {name: float(values[compact]) for name, values in columns.items() if not np.isnan(values[compact])}
    return {
        **numbers, "labels": row.labels, "metrics": beside.get((row.system_id, row.source), {}), "source": row.source,
        "unit": unit.name if unit else "", "unit_kind": unit.kind if unit else "", "system": str(row.system_id),
    }  # fmt: skip


# --- Burn rates -----------------------------------------------------------------------------------------------------
def _burns(book: Book, group: Group, now: float) -> Reading:
    """Read the rises of both counters over all windows in one question to the tiers, for each system."""
    pairs = burn_rate.windows(group.asked)
    lengths = sorted({seconds for long, short, _ in pairs for seconds in (long, short)})
    rows = [book.table.rows[place] for place in group.places.tolist()]
    burns = np.full((len(lengths), len(rows)), np.nan)
    for system_id in sorted({row.system_id for row in rows}):
        found = _rises(system_id, group.asked, lengths, now)
        for place, row in enumerate(rows):
            if row.system_id == system_id:
                burns[:, place] = [_burn(found[seconds], row, group.asked) for seconds in lengths]
    by_length = dict(zip(lengths, burns, strict=True))
    values = burn_rate.worst([(by_length[long], by_length[short], factor) for long, short, factor in pairs])
    values = values[group.pair_compact]
    at = np.where(np.isnan(values), np.nan, now)
    return Reading(group.pair_rule, None, group.pair_place, values, at, at)


Risen = dict[tuple[str, str, str], float]


def _rises(system_id: int, asked: Asked, lengths: list[float], now: float) -> dict[float, Risen]:
    metrics = (base_metric(asked.metric), asked.param("total"))
    requests = [
        telemetry.Request((system_id,), metric, now - seconds, now, seconds, Aggregate("increase"))
        for seconds in lengths
        for metric in metrics
    ]
    answers = iter(telemetry.answer(requests, now=now))
    found: dict[float, Risen] = {}
    for seconds in lengths:
        risen: Risen = {}
        for _ in metrics:
            for line in next(answers).series:
                row = Row(system_id, line.source, line.metric, line.labels)
                risen[line.metric, line.source, row.series.partition("{")[2]] = float(line.values.sum())
        found[seconds] = risen
    return found


def _burn(risen: Risen, row: Row, asked: Asked) -> float:
    labels = row.series.partition("{")[2]
    total = risen.get((asked.param("total"), row.source, labels))
    if total is None:
        return float("nan")
    bad = risen.get((row.metric, row.source, labels), 0.0)
    return float(burn_rate.burn(np.array([bad]), np.array([total]), asked.param("objective"))[0])


# --- What is no series ----------------------------------------------------------------------------------------------
def _told(book: Book, group: Group, now: float) -> Reading:
    rules: list[int] = []
    rows: list[Row] = []
    values: list[float] = []
    for place in group.rules:
        for row, value in _READERS[group.kind.feed](book, book.watches[place], now):
            rules.append(place)
            rows.append(row)
            values.append(np.nan if value is None else value)
    found = np.array(values, np.float64)
    at = np.where(np.isnan(found), np.nan, now)
    return Reading(np.array(rules, np.int64), rows, None, found, at, at)


Found = Iterable[tuple[Row, float | None]]


def _units(book: Book, each: Watch, now: float) -> Found:
    scope, part = each.selector.scope, each.asked.param("part")
    known = Unit.objects.filter(system_id__in=scope.system_ids).order_by("pk")
    for system_id, name, score, parts in known.values_list("system_id", "name", "score", "health_parts"):
        if book.units.within(scope, system_id, name)[0]:
            yield Row(system_id, name, "health"), parts.get(part) if part else score


def _systems(book: Book, each: Watch, now: float) -> Found:
    """Yield the newest assessment of each system; one that is long over says nothing about now."""
    wanted = each.asked.param("of")
    since = datetime.fromtimestamp(now, UTC) - 3 * ASSESSED_EVERY
    newest: dict[int, Assessment] = {}
    for row in Assessment.objects.filter(
        system_id__in=each.selector.scope.system_ids, assessed_at__gt=since, assessed_at__lte=_moment(now)
    ).order_by("slot"):
        newest[row.system_id] = row
    for system_id in each.selector.scope.system_ids:
        assessment = newest.get(system_id)
        yield Row(system_id, "", f"viability_{wanted}"), None if assessment is None else score_of(assessment, wanted)


def score_of(assessment: Assessment, wanted: str) -> float | None:
    """Return what *assessment* says of a system as a whole, of its weakest function, or of one of them."""
    if wanted in ("score", "geometric"):
        found: float | None = getattr(assessment, wanted)
        return found
    told = (assessment.weakest_link or {}) if wanted == "weakest" else assessment.subsystems.get(wanted, {})
    score: float | None = told.get("score")
    return score


def _signals(book: Book, each: Watch, now: float) -> Found:
    raised = Signal.objects.filter(raised_at__gt=_moment(now - each.asked.window_seconds), raised_at__lte=_moment(now))
    for name in ("type", "severity", "source"):
        if wanted := each.asked.param(name):
            raised = raised.filter(**{name: wanted})
    for system_id in each.selector.scope.system_ids:
        yield Row(system_id, "", "signals"), float(raised.filter(system_id=system_id).count())


def _events(book: Book, each: Watch, now: float) -> Found:
    since = _moment(now - each.asked.window_seconds)
    wanted = {name: each.asked.param(name) for name in ("stream", "type") if each.asked.param(name)}
    signed = EventCheckpoint.objects.filter(at__lte=since).order_by("-position").values_list("position", flat=True)
    sealed = Event.objects.filter(position__gt=signed.first() or 0)  # the log is long, and has no index by time
    for system_id in each.selector.scope.system_ids:
        asked = {**wanted, "system_id": system_id, "at__gt": since, "at__lte": _moment(now)}
        count = sealed.filter(**asked).count() + PendingEvent.objects.filter(**asked).count()
        yield Row(system_id, "", "events"), float(count)


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


_READERS = {Feed.UNITS: _units, Feed.VIABILITY: _systems, Feed.SIGNALS: _signals, Feed.EVENTS: _events}
