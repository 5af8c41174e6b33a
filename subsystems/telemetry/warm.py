"""The warm tier: roll-ups of a minute in the database, written and read in bulk (000-60).

Writing twice is harmless: a row only ever gives way to one that saw at least as many samples, so recomputing a minute
that the hot tier has half forgotten cannot spoil it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from django.db import connection, transaction

from subsystems.telemetry.columns import Pieces
from subsystems.telemetry.models import Rollup

STEP_SECONDS = 60
CHUNK = 5_000
_KEEP_FULLER = """
ON CONFLICT (series_id, step_seconds, at) DO UPDATE SET
  "count" = excluded."count", "sum" = excluded."sum", "min" = excluded."min", "max" = excluded."max", "last" = excluded."last"
WHERE excluded."count" >= telemetry_rollup."count"
"""  # noqa: E501
_INTO = 'INSERT INTO telemetry_rollup (series_id, step_seconds, at, "count", "sum", "min", "max", "last") '
# A series may be deleted while its samples are still hot: its roll-up then has no place and is left out.
_SQLITE = (
    f"{_INTO} SELECT %s, {STEP_SECONDS}, %s, %s, %s, %s, %s, %s "  # noqa: S608 (constants)
    f"WHERE EXISTS (SELECT 1 FROM telemetry_series WHERE id = %s) {_KEEP_FULLER}"
)
_POSTGRESQL = (
    f"{_INTO} SELECT new.series, {STEP_SECONDS}, new.at, new.n, new.total, new.low, new.high, new.last "  # noqa: S608
    "FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::float8[], %s::float8[], %s::float8[], %s::float8[]) "
    "AS new (series, at, n, total, low, high, last) "
    f"JOIN telemetry_series AS known ON known.id = new.series ORDER BY new.series, new.at {_KEEP_FULLER}"
)
_FORGET = (
    "DELETE FROM telemetry_rollup WHERE id IN "
    "(SELECT id FROM telemetry_rollup WHERE step_seconds = %s AND at < %s LIMIT %s)"
)


def write(pieces: Pieces) -> None:
    """Insert or complete the roll-ups *pieces*; one per series and minute."""
    for start in range(0, len(pieces), CHUNK):
        _write(pieces.where(np.arange(start, min(start + CHUNK, len(pieces)))))


def read(series_ids: Sequence[int], start: float, end: float) -> Pieces:
    """Return the ordered roll-ups of *series_ids* whose minute starts in *start* to *end*."""
    rows: list[Any] = []
    for ids in _chunks(series_ids):
        found = Rollup.objects.filter(series_id__in=ids, step_seconds=STEP_SECONDS, at__gte=start, at__lte=end)
        rows.extend(found.order_by().values_list("series_id", "at", "count", "sum", "min", "max", "last"))
    table = np.array(rows, np.float64).reshape(-1, 7)
    return Pieces(table[:, 0].astype(np.int64), *table[:, 1:].T).ordered()


def newest() -> int | None:
    """Return the newest minute that has a roll-up."""
    newest_row = Rollup.objects.filter(step_seconds=STEP_SECONDS).order_by("-at").values_list("at", flat=True).first()
    return None if newest_row is None else int(newest_row)


def forget(before: float, *, batch: int = 10_000) -> int:
    """Delete roll-ups older than *before*, a batch at a time so that nobody waits long; return how many."""
    deleted, gone = 0, batch
    while gone == batch:
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, [STEP_SECONDS, int(before), batch])
            gone = cursor.rowcount
        deleted += gone
    return deleted


def _write(pieces: Pieces) -> None:
    lists = [column.tolist() for column in (pieces.series, pieces.at.astype(np.int64), pieces.count.astype(np.int64))]
    lists += [column.tolist() for column in (pieces.sum, pieces.min, pieces.max, pieces.last)]
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL, lists)
        else:
            cursor.executemany(_SQLITE, list(zip(*lists, lists[0], strict=True)))


def _chunks(series_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(series_ids), CHUNK):
        yield series_ids[start : start + CHUNK]
