"""Recording samples, and keeping the tiers in order."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from subsystems.kernel.errors import TransientError
from subsystems.telemetry import registry, warm
from subsystems.telemetry.columns import as_pieces, columns, grouped
from subsystems.telemetry.samples import (
    HOT_SECONDS,
    Outcome,
    Rejection,
    Sample,
    counter_of,
    labels_text,
    refusal,
    source_refusal,
)  # fmt: skip
from subsystems.telemetry.store import hot_tier
from subsystems.telemetry.warm import STEP_SECONDS

logger = logging.getLogger(__name__)
WARM_SECONDS = 7 * 86_400.0  # 000-60
LATE_SECONDS = 2 * STEP_SECONDS  # minutes before the newest roll-up that are always done again
SPAN_SECONDS = 10 * STEP_SECONDS  # read at once: an hour of a full tier would be a large copy


@dataclass
class _Intake:
    """What one call of `record` has found so far, as columns."""

    names: list[registry.Name] = field(default_factory=list)
    labels: dict[registry.Name, Mapping[str, str]] = field(default_factory=dict)
    at: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)  # index of each in what was sent
    rejected: list[Rejection] = field(default_factory=list)


def record(batches: Mapping[str, Sequence[Sample]], *, system_id: int, now: float | None = None) -> Outcome:
    """Keep the samples of many sources in the hot tier; say which were refused and why.

    A rejection's index counts the samples of all batches in order. Refusals are counted. A hot tier that is down
    refuses everything as `store_unavailable`: collection goes on, and what was lost is known.
    """
    intake = _take_in(batches, now=time.time() if now is None else now)
    ids = _ids_of(system_id, intake)
    accepted = _append(ids, intake)
    _count(intake.rejected)
    return Outcome(accepted, sorted(intake.rejected, key=lambda rejection: rejection.index))


def evict(*, now: float) -> int:
    """Forget what is older than the hot tier keeps; return how many samples that were."""
    return hot_tier().evict(now - HOT_SECONDS)


def roll_up(*, now: float) -> int:
    """Write the roll-ups of every closed minute that changed; return how many. Running twice writes the same again.

    Besides minutes that got samples, however late, those since the newest roll-up are done: a crash between taking the
    list of minutes and writing them loses nothing that is still hot.
    """
    tier = hot_tier()
    closed = now // STEP_SECONDS * STEP_SECONDS
    taken = tier.take_dirty(closed)
    try:
        return sum(_roll_up(start, end) for start, end in _spans(taken, closed))
    except BaseException:
        tier.mark_dirty(taken)
        raise


def forget_rollups(*, now: float) -> int:
    """Delete roll-ups past their retention (2-26); return how many."""
    return warm.forget(now - WARM_SECONDS)


def _spans(taken: Sequence[int], closed: float) -> list[tuple[float, float]]:
    """Return [start, end) spans of at most ten minutes that hold all minutes to roll up."""
    newest = warm.newest()
    oldest = closed - HOT_SECONDS
    since = oldest if newest is None else max(oldest, newest - LATE_SECONDS)
    start = min([since, *taken])
    return [(at, min(at + SPAN_SECONDS, closed)) for at in np.arange(start, closed, SPAN_SECONDS).tolist()]


def _roll_up(start: float, end: float) -> int:
    samples = hot_tier().read(None, start, np.nextafter(end, start))
    pieces = grouped(as_pieces(samples), STEP_SECONDS)
    warm.write(pieces)
    return len(pieces)


def _take_in(batches: Mapping[str, Sequence[Sample]], *, now: float) -> _Intake:
    intake = _Intake()
    start = 0
    for source, samples in batches.items():
        no_source = source_refusal(source)
        for index, sample in enumerate(samples, start):
            reason = no_source or refusal(sample, now=now)
            if reason:
                intake.rejected.append(Rejection(index, *reason))
            else:
                _accept(intake, source, sample, index)
        start += len(samples)
    return intake


def _accept(intake: _Intake, source: str, sample: Sample, index: int) -> None:
    name = (source, sample.metric, labels_text(sample.labels))
    intake.names.append(name)
    intake.labels[name] = sample.labels
    intake.at.append(float(sample.at))
    intake.values.append(float(sample.value))
    intake.places.append(index)


def _ids_of(system_id: int, intake: _Intake) -> dict[registry.Name, int]:
    known = {name: registry.known_id(system_id, name) for name in intake.labels}
    found = {name: pk for name, pk in known.items() if pk is not None}
    if len(found) < len(known):
        new = [registry.Wanted(name[0], name[1], intake.labels[name]) for name, pk in known.items() if pk is None]
        found |= registry.series_ids(system_id, new)
    return found


def _append(ids: Mapping[registry.Name, int], intake: _Intake) -> int:
    kept = [place for place, name in enumerate(intake.names) if name in ids]
    if len(kept) < len(intake.names):
        detail = f"The system has {registry.MAX_SERIES_PER_SYSTEM} series already."
        full = [index for name, index in zip(intake.names, intake.places, strict=True) if name not in ids]
        intake.rejected.extend(Rejection(index, "series_limit", detail) for index in full)
    batch = columns(
        [ids[intake.names[place]] for place in kept],
        [intake.at[place] for place in kept],
        [intake.values[place] for place in kept],
    )
    try:
        hot_tier().append(batch)
    except TransientError as error:
        logger.warning("%d samples were lost: %s", len(kept), error)
        intake.rejected.extend(Rejection(intake.places[place], "store_unavailable", "Try again.") for place in kept)
        return 0
    return len(kept)


def _count(rejected: Sequence[Rejection]) -> None:
    for code, n in Counter(rejection.code for rejection in rejected).items():
        hot_tier().count(counter_of(code), n)
