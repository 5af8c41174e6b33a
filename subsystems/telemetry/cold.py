"""Reading the archive: which days it holds, and the minutes of some series in it."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime

from django.conf import settings

from subsystems.kernel.errors import Refused, TransientError
from subsystems.telemetry.archive_files import day_of, open_archive
from subsystems.telemetry.columns import Ids, Pieces, joined_pieces
from subsystems.telemetry.models import ArchivedDay

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


def read(series_ids: Ids, start: float, end: float) -> tuple[Pieces, bool]:
    """Return the ordered minutes of *series_ids* in [start, end), and whether every day's file could be read."""
    if not len(series_ids):
        return joined_pieces([]), True
    paths = ArchivedDay.objects.filter(
        day__gte=day_of(start), day__lte=day_of(math.nextafter(end, start)), state=State.MOVED
    ).values_list("path", flat=True)
    found, whole = [], True
    for path in paths.order_by("day"):
        try:
            found.append(open_archive(settings.ARCHIVE_URL).read(path, series_ids))
        except (Refused, TransientError) as error:
            logger.warning("A part of the answer is missing: %s", error)
            whole = False
    pieces = joined_pieces(found)
    return pieces.where((pieces.at >= start) & (pieces.at < end)), whole
