"""Reading the archive: which days it holds, and the minutes of some series in it."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from django.conf import settings

from subsystems.kernel.errors import Refused, TransientError
from subsystems.telemetry import merging
from subsystems.telemetry.aggregates import merged
from subsystems.telemetry.archive_files import day_of, open_archive
from subsystems.telemetry.columns import Ids, Pieces, joined_pieces
from subsystems.telemetry.distributions import hours_of
from subsystems.telemetry.models import ArchivedDay
from subsystems.telemetry.steps import HOUR, MINUTE, Step

logger = logging.getLogger(__name__)
State = ArchivedDay.State


def days(start: float, now: float) -> tuple[frozenset[int], float]:
    """Return the days (their first second) since *start* that only the archive holds, and when archiving began.

    Since then days that are not among them are still in the database; without an archive that is never.
    """
    if not settings.ARCHIVE_URL:
        return frozenset(), math.inf
    known = ArchivedDay.objects.order_by("day").values_list("day", "state")
    seconds = [(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()), state) for day, state in known]
    expired = [at for at, state in seconds if state == State.EXPIRED]
    began = max(expired) + 86_400 if expired else (seconds[0][0] if seconds else math.inf)
    return frozenset(at for at, state in seconds if state == State.MOVED and at + 86_400 > start), began


def read(series_ids: Ids, start: float, end: float, step: Step = MINUTE) -> tuple[Pieces, bool]:
    """Return the ordered roll-ups of *series_ids* in [start, end), and whether every day's file could be read.

    They are minutes without sketches, or hours with them.
    """
    if not len(series_ids):
        return joined_pieces([]), True
    paths = ArchivedDay.objects.filter(
        day__gte=day_of(start), day__lte=day_of(math.nextafter(end, start)), state=State.MOVED
    ).values_list("path", flat=True)
    found, whole = [], True
    into, counters = merging.members_of(series_ids)
    for path in paths.order_by("day"):
        try:
            found.append(open_archive(settings.ARCHIVE_URL).read(path, np.concatenate([series_ids, list(into)])))
        except (Refused, TransientError) as error:
            logger.warning("A part of the answer is missing: %s", error)
            whole = False
    pieces = joined_pieces(found)
    pieces = pieces.where((pieces.at >= start) & (pieces.at < end))
    pieces = hours_of(pieces) if step is HOUR else replace(pieces, sketch=None)
    return merged(pieces, into, counters, step.seconds), whole
