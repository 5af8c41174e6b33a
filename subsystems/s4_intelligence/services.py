"""Looking at what series do now, and foretelling what they will do."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from django.db import transaction

from subsystems.event_log.services import append_many, pending
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import TransientError
from subsystems.kernel.telemetry_events import emit
from subsystems.messaging.channels import Party
from subsystems.messaging.live import push
from subsystems.messaging.slots import slot_once
from subsystems.recursion.models import System
from subsystems.s4_intelligence import grids, watched
from subsystems.s4_intelligence.forecast_columns import packed, unpacked
from subsystems.s4_intelligence.forecasting import Forecasts, forecast
from subsystems.s4_intelligence.grids import Seen
from subsystems.s4_intelligence.matrices import Floats, Ids, last, on_grid
from subsystems.s4_intelligence.models import Finding, Forecast
from subsystems.s4_intelligence.projecting import project
from subsystems.s4_intelligence.watched import DAYS, HOUR, METRICS, Span
from subsystems.telemetry.columns import grouped
from subsystems.telemetry.models import Series
from subsystems.telemetry.queries import pieces
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record

logger = logging.getLogger(__name__)
LOOK_JOB, LOOK_SECONDS = "s4_intelligence.look", 60
FORESEE_JOB = "s4_intelligence.foresee"
QUIET_SECONDS = 300  # a finding not seen for so long is over
KEEP_FINDINGS_SECONDS = 30 * 86_400
HOURS_OF_A_DAY = 24
MAX_EVENTS = 50  # of one system and slot: in a storm the findings themselves tell the rest
KEPT_JUDGED = 5_000  # values after which older ones count half, so that a figure follows what is true now
Known = Mapping[tuple[int, str, str], Finding]


def note_viability(system_id: int, score: float, *, now: datetime) -> None:
    """Keep a system's viability as a sample, under the name of the system."""
    slug = System.objects.values_list("slug", flat=True).get(pk=system_id)
    at = now.timestamp()
    record({slug: [Sample("viability", at, score)]}, system_id=system_id, now=at)


# --- What is unusual now ----------------------------------------------------------------------------------------------
def look_slot(*, now: datetime) -> int:
    """Look at every system once in the current slot, whoever comes first; return how many findings are new."""
    with slot_once(LOOK_JOB, LOOK_SECONDS, now=now) as slot:
        return 0 if slot is None else sum(look(system, slot) for system in System.objects.all())


def look(system: System, slot: int) -> int:
    """Look for anomalies and trends in *system* up to *slot*; return how many findings are new.

    Running twice for a slot finds the same, and a finding that is open is not opened again.
    """
    ids = _series(system)
    if not len(ids):
        return 0
    try:
        fine = _fine(ids, slot)
    except TransientError as error:
        logger.warning("Nothing can be looked at: %s", error)
        return 0
    return _keep(
        system, ids, [*grids.anomalies_in(fine), *grids.trends_in(fine)], slot, names=("anomaly", *grids.WINDOWS)
    )


def forget(*, now: datetime) -> int:
    """Delete findings that ended long ago, and forecasts of series nobody hears any more; return how many findings."""
    moment = now.timestamp()
    Forecast.objects.filter(slot__lt=moment - 7 * 86_400).delete()
    return Finding.objects.filter(ended_at__lt=moment - KEEP_FINDINGS_SECONDS).delete()[0]


def _series(system: System) -> Ids:
    """Return the ids of the series that matter, sorted. Counters are left out: their rates are series of their own."""
    rows = Series.objects.filter(system=system, metric__in=list(METRICS), merged_into=None).exclude(kind="counter")
    return np.array(watched.capped(dict(rows.values_list("pk", "metric"))), np.int64)


def _fine(ids: Ids, slot: int) -> Floats:
    found = grouped(pieces(ids, slot - grids.HOUR, slot - 0.001, grids.FINE, now=float(slot)), grids.FINE)
    rows = np.searchsorted(ids, found.series)
    return grids.fine_grid(rows, found.at, found.sum / found.count, n_rows=len(ids), end=slot)


@transaction.atomic
def _keep(system: System, ids: Ids, seen: Sequence[Seen], slot: int, *, names: Sequence[str]) -> int:
    """Write what was seen: new findings are opened and told, open ones go on, and what was not seen lately is over.

    *names* are the windows (and `anomaly`) that were looked at: what was not looked at does not end.
    """
    open_now = Finding.objects.select_for_update().filter(system=system, ended_at=None)
    known = {(row.series_id, row.kind, row.name): row for row in open_now}
    fresh, going = _sorted(system, ids, seen, slot, known)
    looked = [row for row in known.values() if _window(row) in names]
    over = [row for row in looked if row not in going and slot - row.last_at >= QUIET_SECONDS]
    for row in over:
        row.ended_at = row.last_at
    Finding.objects.bulk_update(
        [*going, *over], ["last_at", "score", "value", "usual", "p", "ended_at"], batch_size=200
    )
    Finding.objects.bulk_create(fresh, batch_size=200)
    told = [row for row in fresh if row.kind == Finding.Kind.ANOMALY] + [row for row in fresh if row.kind == "trend"]
    _tell(system, told[:MAX_EVENTS])
    if fresh or over:
        transaction.on_commit(
            lambda: push(system.pk, "intelligence", system.slug, {"new": len(fresh), "over": len(over)})
        )
    return len(fresh)


def _window(row: Finding) -> str:
    """Return which look a finding is of: anomalies are looked for each minute, but those of a season each hour."""
    return "anomaly" if row.kind == Finding.Kind.ANOMALY and row.name != grids.SEASON else row.name


def _sorted(
    system: System, ids: Ids, seen: Sequence[Seen], slot: int, known: Known
) -> tuple[list[Finding], list[Finding]]:
    """Return what is new, and what was open and was seen again."""
    fresh, going = [], []
    for each in seen:
        series = int(ids[each.row])
        row = known.get((series, each.kind, each.name))
        if row is None:
            fresh.append(
                Finding(
                    system=system, series_id=series, kind=each.kind, name=each.name, started_at=slot, last_at=slot,
                    score=each.score, value=each.value, usual=each.usual, p=each.p,
                )
            )  # fmt: skip
        elif slot > row.last_at:
            row.last_at, row.value, row.p = slot, each.value, each.p
            row.score = max(row.score, each.score, key=abs)
            going.append(row)
        else:
            going.append(row)
    return fresh, going


def _tell(system: System, rows: Sequence[Finding]) -> None:
    """Record what is new in the event log, and tell who listens in this process."""
    names = {pk: (source, metric) for pk, source, metric in _named([row.series_id for row in rows])}
    events = []
    for row in rows:
        source, metric = names[row.series_id]
        type_ = "AnomalyFound" if row.kind == Finding.Kind.ANOMALY else "TrendFound"
        data = {
            "source": source, "metric": metric, "name": row.name, "score": row.score, "value": row.value,
            "usual": row.usual, "p": row.p,
        }  # fmt: skip
        events.append(pending(Stream.INTELLIGENCE, type_, data, system_id=system.pk, actor=str(Party.S4)))
        about = {"pattern": f"{row.kind}:{row.name}", "source": source}
        emit("vsm.s4.pattern.detected", {"count": 1, "confidence": 1 - (row.p or 0.0)}, about)
    append_many(events)


def _named(ids: Sequence[int]) -> list[tuple[int, str, str]]:
    return list(Series.objects.filter(pk__in=ids).values_list("pk", "source", "metric"))


# --- What will be -----------------------------------------------------------------------------------------------------
def foresee_slot(*, now: datetime) -> int:
    """Foretell every system once in the current slot, whoever comes first; return how many series that were.

    The hour is foretold in each slot, the days once an hour, and where they never were.
    """
    with slot_once(FORESEE_JOB, HOUR.every_seconds, now=now) as slot:
        if slot is None:
            return 0
        n = 0
        for system in System.objects.all():
            n += foresee(system, slot, HOUR)
            project(system, slot)
            days = slot // DAYS.every_seconds * DAYS.every_seconds
            if not Forecast.objects.filter(system=system, span=DAYS.name, slot__gte=days).exists():
                n += foresee(system, days, DAYS)
        return n


def foresee(system: System, slot: int, span: Span) -> int:
    """Foretell the series of *system* from *slot* on; return how many. Twice for a slot writes the same rows again."""
    ids = _series(system)
    if not len(ids):
        return 0
    past = _past(ids, slot, span)
    if span is DAYS:
        _look_long(system, ids, slot)
        _keep(system, ids, grids.seasonal_in(past, HOURS_OF_A_DAY), slot, names=(grids.SEASON,))
    heard = np.isfinite(past[:, -min(10, past.shape[1]) :]).any(axis=1)  # of what fell silent nothing is foretold
    ids, past = ids[heard], past[heard]
    metrics = dict(Series.objects.filter(pk__in=ids.tolist()).values_list("pk", "metric"))
    floor, ceiling = np.array([_bounds(metrics[pk]) for pk in ids.tolist()], np.float64).reshape(-1, 2).T
    found = forecast(past, horizon=span.ahead, periods=span.periods, floor=floor, ceiling=ceiling)
    rows = {row.series_id: row for row in Forecast.objects.filter(series_id__in=ids.tolist(), span=span.name)}
    _judge(rows, ids, past, slot, span)
    return _write(system, ids, past, found, rows, slot, span)


def _bounds(metric: str) -> tuple[float, float]:
    known = METRICS[metric]
    return np.nan if known.floor is None else known.floor, np.nan if known.full is None else known.full


def _past(ids: Ids, slot: int, span: Span) -> Floats:
    start = slot - span.past * span.step_seconds
    found = grouped(pieces(ids, start, slot - 0.001, span.step_seconds, now=float(slot)), span.step_seconds)
    return on_grid(
        np.searchsorted(ids, found.series), found.at, found.sum / found.count,
        n_rows=len(ids), start=start, step=span.step_seconds, columns=span.past,
    )  # fmt: skip


def _look_long(system: System, ids: Ids, slot: int) -> None:
    """Look for trends of a day, once an hour."""
    name, step, columns = grids.LONG_WINDOW
    start = slot - step * columns
    found = grouped(pieces(ids, start, slot - 0.001, step, now=float(slot)), step)
    day = on_grid(
        np.searchsorted(ids, found.series), found.at, found.sum / found.count,
        n_rows=len(ids), start=start, step=step, columns=columns,
    )  # fmt: skip
    _keep(system, ids, grids.trends_of(day, name, step), slot, names=(name,))


def _judge(rows: Mapping[int, Forecast], ids: Ids, past: Floats, slot: int, span: Span) -> None:
    """Compare forecasts whose span has wholly passed with what came."""
    for place, pk in enumerate(ids.tolist()):
        row = rows.get(pk)
        if row is None or row.held_body is None or row.held_slot is None or row.held_from is None:
            continue
        steps = (slot - row.held_slot) // span.step_seconds
        if steps < span.ahead:
            continue
        lines = unpacked(bytes(row.held_body))
        first = span.past - steps
        if first >= 0 and len(lines["mean"]) == span.ahead:
            _count(row, lines, past[place, first : first + span.ahead])
        row.held_body = None


def _count(row: Forecast, lines: Mapping[str, Floats], came: Floats) -> None:
    heard = np.isfinite(came) & np.isfinite(lines["mean"])
    came, lines = came[heard], {name: line[heard] for name, line in lines.items()}
    room = 1e-6 * np.abs(came)  # what single precision takes away
    inside = {
        width: (came >= lines[f"low{width}"] - room) & (came <= lines[f"high{width}"] + room) for width in ("80", "95")
    }
    if row.judged >= KEPT_JUDGED:
        row.judged //= 2
        row.judged_error /= 2
        row.judged_naive_error /= 2
        row.judged_in80 //= 2
        row.judged_in95 //= 2
    row.judged += len(came)
    row.judged_error += float(np.abs(came - lines["mean"]).sum())
    row.judged_naive_error += float(np.abs(came - (row.held_from or 0.0)).sum())
    row.judged_in80 += int(inside["80"].sum())
    row.judged_in95 += int(inside["95"].sum())


FIELDS = ("system", "slot", "step_seconds", "used", "best", "skill", "error", "naive_error", "compared", "body",
          "held_slot", "held_body", "held_from", "judged", "judged_error", "judged_naive_error", "judged_in80",
          "judged_in95")  # fmt: skip


def _write(
    system: System, ids: Ids, past: Floats, found: Forecasts, rows: Mapping[int, Forecast], slot: int, span: Span
) -> int:
    newest = last(past)
    written = []
    for place, pk in enumerate(ids.tolist()):
        if not found.used[place]:
            continue
        row = rows.get(pk) or Forecast(series_id=pk, span=span.name)
        row.system, row.slot, row.step_seconds = system, slot, span.step_seconds
        row.used, row.best = str(found.used[place]), str(found.best[place])
        row.skill, row.error, row.naive_error = (
            _known(each[place]) for each in (found.skill, found.error, found.naive_error)
        )
        row.compared, row.body = int(found.compared[place]), packed(found, place)
        if row.held_body is None:
            row.held_slot, row.held_body, row.held_from = slot, row.body, float(newest[place])
        written.append(row)
    # By one statement for many rows: what is there already is found by its series and span, whatever its number.
    for row in written:
        row.pk = None
    Forecast.objects.bulk_create(
        written, batch_size=50, update_conflicts=True, unique_fields=["series", "span"], update_fields=FIELDS
    )
    return len(written)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
