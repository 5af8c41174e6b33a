"""Keeping the tiers in order: hot samples become minutes, minutes five, five an hour; what is past its time goes.

Every step may end anywhere, by any death, and be done again: minutes stay claimed in the hot tier until their rows are
committed, and rows are committed together with the window of the next step that they make due.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from django.db import transaction

from subsystems.telemetry import warm
from subsystems.telemetry.distributions import of_samples, summed_up
from subsystems.telemetry.samples import HOT_SECONDS
from subsystems.telemetry.steps import FINER, FIVE_MINUTES, HOUR, MINUTE, STEPS, Step, floor
from subsystems.telemetry.store import hot_tier

logger = logging.getLogger(__name__)
MINUTES_AT_ONCE = 10  # read at once: an hour of a full tier would be a large copy
WINDOWS_AT_ONCE = 12


def roll_up(*, now: float) -> int:
    """Write the roll-ups of every closed minute that changed, and of the steps above; return how many minutes' rows.

    Running twice writes the same again. Late samples make their minute change, and that its five minutes and hour.
    """
    tier = hot_tier()
    closed = floor(now, MINUTE.seconds)
    taken = tier.take_dirty(closed)
    try:
        written = sum(_roll_up_samples(start, end) for start, end in _runs(taken, MINUTE.seconds, MINUTES_AT_ONCE))
    except BaseException:
        tier.mark_dirty(taken)
        raise
    tier.settle(taken)
    roll_up_steps(now=now)
    return written


def roll_up_steps(*, now: float) -> int:
    """Make every window of five minutes and hours that is due and has ended, from the finer rows; return how many."""
    made = 0
    for step in (FIVE_MINUTES, HOUR):
        versions = dict(warm.due(step, before=now))
        for start, end in _runs(sorted(versions), step.seconds, WINDOWS_AT_ONCE):
            _roll_up_windows(step, start, end, versions)
        made += len(versions)
    return made


def evict(*, now: float) -> int:
    """Forget what is older than the hot tier keeps; return how many samples that were.

    Minutes that wait for their roll-up stay for as long as there is room.
    """
    tier = hot_tier()
    waiting = tier.oldest_dirty()
    before = now - HOT_SECONDS
    return tier.evict(before if waiting is None else min(before, waiting))


@transaction.atomic
def _roll_up_windows(step: Step, start: int, end: int, versions: Mapping[int, int]) -> None:
    finer = STEPS[FINER[step.seconds]]
    warm.write(summed_up(warm.read(None, start, end, finer, sketches=True), step.seconds), step)
    for at in range(start, end, step.seconds):
        warm.settle(step, at, versions[at])


def _roll_up_samples(start: float, end: float) -> int:
    samples = hot_tier().read(None, start, np.nextafter(end, start))
    pieces = of_samples(samples, MINUTE.seconds)
    warm.write(pieces)
    return len(pieces)


def _runs(moments: Sequence[int], step: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield [start, end) spans of at most *most* steps that hold exactly *moments*, which are sorted."""
    places = np.asarray(moments, np.int64)
    for run in np.split(places, np.flatnonzero(np.diff(places) != step) + 1):
        for part in range(0, len(run), most):
            held = run[part : part + most]
            yield int(held[0]), int(held[-1]) + step
