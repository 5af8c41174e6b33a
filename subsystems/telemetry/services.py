"""Recording samples."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from django.conf import settings

from subsystems.kernel.errors import TransientError
from subsystems.telemetry import registry
from subsystems.telemetry.columns import Columns, Floats, Ids
from subsystems.telemetry.samples import (
    FUTURE_SECONDS,
    HOT_SECONDS,
    Outcome,
    Refusal,
    Rejection,
    Sample,
    counter_of,
    name_refusal,
    sample_refusal,
)
from subsystems.telemetry.store import hot_tier
from subsystems.telemetry.tables import Mask, Table, table_of

logger = logging.getLogger(__name__)
LATE_SECONDS = 60.0  # the minute may have been summed up already: it will be once more
NOTHING: Mapping[int, Refusal] = MappingProxyType({})


def record(batches: Mapping[str, Sequence[Sample]], *, system_id: int, now: float | None = None) -> Outcome:
    """Keep the samples of many sources in the hot tier; for callers with few of them. See `record_table`.

    A rejection's index counts the samples of all batches in order.
    """
    return record_table(table_of(batches), system_id=system_id, now=now)


def record_table(
    table: Table, *, system_id: int, now: float | None = None, refused: Mapping[int, Refusal] = NOTHING
) -> Outcome:
    """Keep the samples of *table* in the hot tier; say which were refused and why. Refusals are counted.

    *refused* are the names, by code, that the caller refuses. A hot tier that is down refuses everything as
    `store_unavailable`: collection goes on, and what was lost is known.
    """
    now = time.time() if now is None else now
    sound = np.isfinite(table.values) & (table.at >= now - HOT_SECONDS) & (table.at <= now + FUTURE_SECONDS)
    ids, reasons = _ids_of(table, sound, system_id, refused)
    series = ids[table.codes]
    kept = sound & (series != registry.UNKNOWN)
    rejected = list(table.rejected)
    samples = Columns(series, table.at, table.values)
    if not kept.all():
        rejected += [_rejection(table, place, reasons, now) for place in np.flatnonzero(~kept).tolist()]
        samples = samples.where(kept)
    lost = _append(samples)
    if lost:
        rejected += [Rejection(table.index(place), *lost) for place in np.flatnonzero(kept).tolist()]
        kept = np.zeros_like(kept)
    _count(rejected)
    _count_odd_times(table.at[kept], now)
    return Outcome(int(kept.sum()), sorted(rejected, key=lambda rejection: rejection.index), kept)


def _ids_of(
    table: Table, sound: Mask, system_id: int, refused: Mapping[int, Refusal]
) -> tuple[Ids, Mapping[int, Refusal]]:
    """Return the id of each name (UNKNOWN where it is refused), and the reasons by code."""
    ids = registry.known_ids(system_id, table.names, table.layout)
    if refused:
        ids = ids.copy()
        ids[list(refused)] = registry.UNKNOWN
    missing = np.flatnonzero(ids == registry.UNKNOWN)
    if not len(missing):
        return ids, refused
    used = np.zeros(len(ids), np.bool_)
    used[table.codes[sound]] = True  # a series whose samples are all refused is not made
    return _make_series(
        table, ids, [code for code in missing.tolist() if code not in refused], used, system_id, refused
    )


def _make_series(
    table: Table, ids: Ids, codes: Sequence[int], used: Mask, system_id: int, refused: Mapping[int, Refusal]
) -> tuple[Ids, dict[int, Refusal]]:
    reasons = dict(refused)
    wanted: dict[int, registry.Wanted] = {}
    for code in codes:
        reason = name_refusal(table.names[code], table.labels[code])
        if reason:
            reasons[code] = reason
        elif used[code]:
            kind = table.kinds[code] if table.kinds is not None else ""
            wanted[code] = registry.Wanted(*table.names[code][:2], table.labels[code], kind)
    if not wanted:
        return ids, reasons
    found = registry.series_ids(system_id, list(wanted.values()))
    ids = ids.copy()
    full = "series_limit", f"The system has {settings.MAX_SERIES:,} series already, as many as it may (VSM_MAX_SERIES)."
    for code in wanted:
        ids[code] = found.get(table.names[code], registry.UNKNOWN)
        if ids[code] == registry.UNKNOWN:
            reasons[code] = full
    return ids, reasons


def _rejection(table: Table, place: int, reasons: Mapping[int, Refusal], now: float) -> Rejection:
    """Say why one sample is not kept: what is wrong with itself, else with its series."""
    own = sample_refusal(float(table.at[place]), float(table.values[place]), now=now)
    reason = reasons.get(int(table.codes[place]))
    if reason is None or (own is not None and reason[0] == "series_limit"):
        reason = own
    return Rejection(table.index(place), *(reason or ("bad_sample", "The sample cannot be kept.")))


def _append(samples: Columns) -> Refusal | None:
    """Append to the hot tier; return why the samples are lost when it does not answer, or is not wanted."""
    if not settings.TELEMETRY:
        return "telemetry_off", "Telemetry is switched off here (VSM_TELEMETRY)."
    try:
        hot_tier().append(samples)
    except TransientError as error:
        logger.warning("%d samples were lost: %s", len(samples), error)
        return "store_unavailable", "Try again."
    return None


def _count_odd_times(at: Floats, now: float) -> None:
    """Count kept samples that came after their minute was summed up, and those of clocks that are ahead."""
    for name, n in (("late_samples", int((at < now - LATE_SECONDS).sum())), ("ahead_samples", int((at > now).sum()))):
        if n:
            hot_tier().count(name, n)


def _count(rejected: Sequence[Rejection]) -> None:
    for code, n in Counter(rejection.code for rejection in rejected).items():
        hot_tier().count(counter_of(code), n)
