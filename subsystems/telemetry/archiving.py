"""Moving days of minutes into the archive: write, read back, and only then take them out of the database.

Each day goes through these on its own, and each step can be done again: a process that dies in between leaves either
an unfinished file that nobody reads, or a day that is in the archive and still in the database.
"""

from __future__ import annotations

import fcntl
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from subsystems.kernel.errors import Refused
from subsystems.telemetry import chunk_table, packing, tiers, warm
from subsystems.telemetry.archive_files import Archive, ArchiveDamaged, Written, day_of, open_archive
from subsystems.telemetry.columns import Pieces
from subsystems.telemetry.distributions import with_hours
from subsystems.telemetry.models import ArchivedDay, Series
from subsystems.telemetry.selection import SeriesInfo
from subsystems.telemetry.steps import DAY, HOUR, MINUTE
from subsystems.telemetry.store import hot_tier

logger = logging.getLogger(__name__)
SERIES_AT_ONCE = 24  # a row group: about a megabyte in memory for each day
_LOCK = 0x76736D_617263
State = ArchivedDay.State
Progress = Callable[[int, int], None]


@dataclass
class Report:
    """How many days were written, read back, taken out of the database, and forgotten; and how many were not begun."""

    written: int = 0
    verified: int = 0
    moved: int = 0
    expired: int = 0
    left: int = 0

    def to_wire(self) -> dict[str, int]:
        """Return it as JSON."""
        return asdict(self)


class ArchiveBusy(Refused):
    """Another process is archiving."""

    code = "archive_busy"


def archive_due(*, now: float, until: float = math.inf, progress: Progress = lambda done, total: None) -> Report:
    """Archive every day that has settled, move those past a week, forget what is past the archive's own time.

    No day is begun when the monotonic clock has passed *until*. Running twice, or again after any death, does what is
    left to do. Raises Refused without `VSM_ARCHIVE_URL`, without
    pyarrow, or while another process does it (`archive_busy`); ArchiveDamaged when a file is not what was written.
    """
    if not settings.ARCHIVE_URL:
        raise Refused("There is no archive: VSM_ARCHIVE_URL is not set.", code="no_archive")
    archive = open_archive(settings.ARCHIVE_URL)
    report = Report()
    with _alone():
        archive.tidy(now=datetime.fromtimestamp(now, UTC))
        tiers.roll_up_steps(now=now)
        packing.pack_settled(now=now)
        days = due_days(now=now)
        for done, start in enumerate(days):
            progress(done, len(days))
            if time.monotonic() > until:
                report.left = len(days) - done
                break
            _archive_day(archive, start, now, report)
        progress(len(days) - report.left, len(days))
        _expire(archive, now, report)
    return report


def due_days(*, now: float) -> list[int]:
    """Return the first second of each day that is packed in the database, oldest first.

    Days of which samples still wait to be summed up are not among them. Raises TransientError when nobody can tell.
    """
    waiting = [at for at in (warm.oldest_due(), hot_tier().oldest_dirty()) if at is not None]
    found = chunk_table.spans(MINUTE, before=now - packing.SETTLED_SECONDS)
    return [start for start, end in found if end <= min(waiting, default=end)]


def _archive_day(archive: Archive, start: int, now: float, report: Report) -> None:
    day = day_of(start)
    rows, samples = warm.count(start, start + DAY)
    known = ArchivedDay.objects.filter(day=day).first()
    if known is not None and known.state in (State.MOVED, State.EXPIRED):
        if rows:
            logger.error("%s is in the archive already; %d rows of it stay in the database", day, rows)
        return
    if known is None or (known.rows, known.samples) != (rows, samples):
        known = _write(archive, day, start)
        report.written += 1
    if known.state == State.WRITTEN:
        _verify(archive, known)
        report.verified += 1
    if start + DAY <= now - MINUTE.keep_seconds and _move(known, start):
        report.moved += 1


def _write(archive: Archive, day: date, start: int) -> ArchivedDay:
    """Write a day and note it."""
    written = archive.write_day(day, _parts(start), _infos())
    fields = {name: getattr(written, name) for name in ("path", "sha256", "bytes", "rows", "samples", "content")}
    fields |= {"state": State.WRITTEN, "written_at": timezone.now(), "verified_at": None}
    known, _ = ArchivedDay.objects.update_or_create(day=day, defaults=fields)
    return known


def _verify(archive: Archive, known: ArchivedDay) -> None:
    """Read a day back; what earlier tries left of it goes. A damaged one is told, and written anew the next time."""
    try:
        archive.verify(_written(known))
    except ArchiveDamaged:
        known.delete()
        raise
    archive.forget_day(known.day, but=known.path)
    known.state, known.verified_at = State.VERIFIED, timezone.now()
    known.save(update_fields=["state", "verified_at"])


@transaction.atomic
def _move(known: ArchivedDay, start: int) -> bool:
    """Take a verified day out of the database; return False when it is not what was archived any more."""
    if warm.count(start, start + DAY) != (known.rows, known.samples):
        return False
    chunk_table.forget(start, MINUTE)
    return bool(ArchivedDay.objects.filter(day=known.day, state=State.VERIFIED).update(state=State.MOVED))


def _expire(archive: Archive, now: float, report: Report) -> None:
    oldest = day_of(now) - timedelta(days=settings.ARCHIVE_DAYS)
    going = list(ArchivedDay.objects.filter(day__lt=oldest, state=State.MOVED).values_list("day", flat=True))
    # Noted first: a reader must not look for a file that is going.
    report.expired = ArchivedDay.objects.filter(day__in=going).update(state=State.EXPIRED)
    recently = ArchivedDay.objects.filter(day__gte=oldest - timedelta(days=7), state=State.EXPIRED)
    for day in {*going, *recently.values_list("day", flat=True)}:  # what a death left behind goes with the next run
        archive.forget_day(day)


def _parts(start: int) -> Iterator[Pieces]:
    """Yield the minutes of a day by series, a few at a time."""
    ids = list(Series.objects.order_by("pk").values_list("pk", flat=True))
    for place in range(0, len(ids), SERIES_AT_ONCE):
        some = ids[place : place + SERIES_AT_ONCE]
        found = warm.read(some, start, start + DAY)
        if len(found):
            yield with_hours(found, warm.read(some, start, start + DAY, HOUR, sketches=True))


def _infos() -> dict[int, SeriesInfo]:
    rows = Series.objects.values_list("pk", "source", "metric", "labels", "system__slug")
    return {pk: SeriesInfo(*rest) for pk, *rest in rows}


def _written(known: ArchivedDay) -> Written:
    return Written(str(known.day), known.path, known.sha256, known.bytes, known.rows, known.samples, known.content)


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time archive; the lock dies with its holder."""
    if connection.vendor != "postgresql":
        with (settings.HOME / "archive.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArchiveBusy("Another process is archiving.") from None
            yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            raise ArchiveBusy("Another process is archiving.")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
