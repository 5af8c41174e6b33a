"""Packing the rows of settled days: a chunk takes a twentieth of the room of the rows that it is made of.

Rows are deleted and their chunk is written in one transaction, some series at a time, so that a death leaves a day half
rows and half chunks and nothing lost. Rows that come later are packed into the same chunk.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from django.db import transaction

from subsystems.telemetry import chunk_table, partitions, warm
from subsystems.telemetry.columns import fuller
from subsystems.telemetry.models import Series
from subsystems.telemetry.steps import STEPS, Step, floor

SETTLED_SECONDS = 2 * 3600  # after the end of a day nothing of it changes any more
SERIES_AT_ONCE = 24  # a few megabytes in memory for a day of minutes
Progress = Callable[[int, int], None]


def pack_settled(*, now: float, progress: Progress = lambda done, total: None) -> int:
    """Pack the rows of every day that has settled; return how many rows. Running twice packs what came meanwhile."""
    days = [(step, *span) for step in STEPS.values() for span in warm.unpacked_days(step, before=now - SETTLED_SECONDS)]
    gone = 0
    for done, (step, start, end) in enumerate(days):
        progress(done, len(days))
        gone += _pack_day(step, start, end)
    progress(len(days), len(days))
    return gone


def _pack_day(step: Step, start: int, end: int) -> int:
    ids = warm.unpacked_series(start, end, step)
    groups = [ids[place : place + SERIES_AT_ONCE] for place in range(0, len(ids), SERIES_AT_ONCE)]
    gone = sum(_pack_series(group, step, start, end) for group in groups)
    if partitions.partitioned():
        partitions.drop_empty(step, start)
    return gone


@transaction.atomic
def _pack_series(ids: list[int], step: Step, start: int, end: int) -> int:
    chunk_table.lock()
    taken = warm.take(ids, start, end, step)
    known = Series.objects.filter(pk__in=ids).values_list("pk", flat=True)
    rows = taken.where(np.isin(taken.series, np.fromiter(known, np.int64)))  # who was deleted leaves nothing
    if len(rows):
        first = floor(start, step.chunk_seconds)
        whole = fuller(rows, chunk_table.read(ids, first, first + step.chunk_seconds, step, sketches=True))
        chunk_table.write(whole, step)
    return len(taken)
