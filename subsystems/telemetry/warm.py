"""The warm tier: roll-ups of a minute, five minutes and an hour in the database, written and read in bulk (000-60).

Those of the day are rows; days that have settled are chunks (see `packing`), and both are read as one.

Writing twice is harmless: a row only ever gives way to one that saw at least as many samples, so recomputing a minute
that the hot tier has half forgotten cannot spoil it. Rows are written together with the window of the next step that
they make due, so that a process which dies in between leaves nothing to guess.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from django.db import connection, transaction

from subsystems.telemetry import chunk_table, partitions
from subsystems.telemetry.columns import Floats, Ids, Pieces, Sketches, fuller, joined_pieces, pieces_of
from subsystems.telemetry.models import DueWindow
from subsystems.telemetry.packed import FIELDS, packed, unpacked
from subsystems.telemetry.steps import DAY, MINUTE, PARENT, Step, floor

STEP_SECONDS = MINUTE.seconds
CHUNK = 50_000
_NAMES = 'series_id, at, "count", "sum", "min", "max", "last"'
_VALUES = ("count", "sum", "min", "max", "last")
# The same row again is left alone, and with it the disk.
_KEEP_FULLER = (
    "ON CONFLICT (series_id, at) DO UPDATE SET "
    + ", ".join(f'"{name}" = excluded."{name}"' for name in (*_VALUES, "sketch"))
    + ' WHERE excluded."count" > {table}."count" OR (excluded."count" = {table}."count" AND ('
    + " OR ".join(f'excluded."{name}" <> {{table}}."{name}"' for name in _VALUES[1:])
    + "))"
)
# A series may be deleted while its samples are still hot: its roll-up then has no place and is left out.
_SQLITE = (
    f"INSERT INTO {{table}} ({_NAMES}, sketch) SELECT ?, ?, ?, ?, ?, ?, ?, ? "  # noqa: S608
    f"WHERE EXISTS (SELECT 1 FROM telemetry_series WHERE id = ?) {_KEEP_FULLER}"
).replace("?", "%s")
_STAGING = (
    'CREATE TEMP TABLE IF NOT EXISTS telemetry_staging (series_id bigint, at bigint, "count" bigint, "sum" float8, '
    '"min" float8, "max" float8, "last" float8, sketch bytea) ON COMMIT DELETE ROWS'
)
_UPSERT = (
    f"INSERT INTO {{table}} ({_NAMES}, sketch) SELECT staged.* FROM telemetry_staging AS staged "  # noqa: S608
    f"JOIN telemetry_series AS known ON known.id = staged.series_id ORDER BY 1, 2 {_KEEP_FULLER}"
)
_MAKE_DUE = (
    "INSERT INTO telemetry_duewindow (step_seconds, at, version) VALUES (%s, %s, 1) "
    "ON CONFLICT (step_seconds, at) DO UPDATE SET version = telemetry_duewindow.version + 1"
)
_OF_SERIES_SQLITE = (
    "SELECT {names} FROM {table} "
    "WHERE series_id IN (SELECT value FROM json_each(%s)) AND at >= %s AND at < %s ORDER BY 1, 2"
)
_OF_ALL_SQLITE = (  # a search for each series, for there is no index by time alone
    "SELECT {names} FROM telemetry_series AS known CROSS JOIN {table} AS found "
    "ON found.series_id = known.id AND found.at >= %s AND found.at < %s ORDER BY 1, 2"
)
_TAKE_SQLITE = (
    "DELETE FROM {table} WHERE series_id IN (SELECT value FROM json_each(%s)) AND at >= %s AND at < %s "
    "RETURNING {names}"
)
_SELECT = "SELECT {names} FROM {table} WHERE {wanted} at >= {start} AND at < {end}"
_TAKE = "DELETE FROM {table} WHERE {wanted} at >= {start} AND at < {end} RETURNING {names}"


def write(pieces: Pieces, step: Step = MINUTE) -> None:
    """Insert or complete the roll-ups *pieces* of *step*; one per series and step. What they make due is noted."""
    if not len(pieces):
        return
    partitions.ensure(step, np.unique(pieces.at).tolist())
    for start in range(0, len(pieces), CHUNK):
        with transaction.atomic():
            part = pieces.where(np.arange(start, min(start + CHUNK, len(pieces))))
            _make_due(step, part)
            _write(part, step)


def read(
    series_ids: Sequence[int] | Ids | None, start: float, end: float, step: Step = MINUTE, *, sketches: bool = False
) -> Pieces:
    """Return the ordered roll-ups of *series_ids* (None: of all) whose step starts in [start, end).

    Their *sketches* are read for whoever asks, for they are as large as the rest.
    """
    low, high = int(np.ceil(start)), int(np.ceil(end))
    ids = None if series_ids is None else np.asarray(series_ids, np.int64).tolist()
    if (ids is not None and not ids) or low >= high:
        return joined_pieces([])
    if connection.vendor == "postgresql":
        rows = _copied_out(_SELECT, ids, low, high, step, sketches)
    else:
        rows = _fetched(_OF_ALL_SQLITE if ids is None else _OF_SERIES_SQLITE, ids, low, high, step, sketches)
    # After the rows: what is packed in between is seen twice instead of never.
    return fuller(rows, chunk_table.read(ids, low, high, step, sketches=sketches))


def take(series_ids: Sequence[int], start: int, end: int, step: Step) -> Pieces:
    """Delete the rows of *series_ids* in [start, end) and return them; within the caller's transaction."""
    if connection.vendor == "postgresql":
        return _copied_out(_TAKE, list(series_ids), start, end, step, True).ordered()
    return _fetched(_TAKE_SQLITE, list(series_ids), start, end, step, True).ordered()


def unpacked_series(start: int, end: int, step: Step) -> list[int]:
    """Return the series that have rows in [start, end), those that were deleted meanwhile too."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT series_id FROM {step.table} WHERE at >= %s AND at < %s ORDER BY 1",  # noqa: S608
            [start, end],
        )
        return [pk for (pk,) in cursor.fetchall()]


def due(step: Step, *, before: float) -> list[tuple[int, int]]:
    """Return (start, version) of each window of *step* that is to be made and has ended before *before*."""
    ended = DueWindow.objects.filter(step_seconds=step.seconds, at__lte=before - step.seconds)
    return list(ended.order_by("at").values_list("at", "version"))


def oldest_due() -> int | None:
    """Return the start of the oldest window of any step that is still to be made."""
    return DueWindow.objects.order_by("at").values_list("at", flat=True).first()


def settle(step: Step, at: int, version: int) -> None:
    """Take a window off the list, unless its finer rows have changed since *version*."""
    DueWindow.objects.filter(step_seconds=step.seconds, at=at, version=version).delete()


def count(start: float, end: float, step: Step = MINUTE) -> tuple[int, int]:
    """Return how many roll-ups [start, end) holds, and how many samples they sum up."""
    source = step.table if connection.vendor == "postgresql" else f"telemetry_series AS known CROSS JOIN {step.table}"
    same = "" if connection.vendor == "postgresql" else "series_id = known.id AND"
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT count(*), coalesce(sum("count"), 0) FROM {source} WHERE {same} at >= %s AND at < %s',  # noqa: S608
            [int(start), int(end)],
        )
        rows, samples = cursor.fetchone()
    packed_rows, packed_samples = chunk_table.count(int(start), int(end), step)
    return int(rows) + packed_rows, int(samples) + packed_samples


def unpacked_days(step: Step, *, before: float) -> list[tuple[int, int]]:
    """Return [start, end) of each day of *step* that has rows and has ended before *before*."""
    found = partitions.spans(step) if partitions.partitioned() else _spans_sqlite(step)
    return [span for span in found if span[1] <= before]


def _make_due(step: Step, pieces: Pieces) -> None:
    parent = PARENT.get(step.seconds)
    if parent is None:
        return
    windows = np.unique(np.floor(pieces.at / parent) * parent).astype(np.int64).tolist()
    with connection.cursor() as cursor:
        cursor.executemany(_MAKE_DUE, [(parent, at) for at in windows])


def _write(pieces: Pieces, step: Step) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_STAGING)
            cursor.execute("TRUNCATE telemetry_staging")
            with cursor.copy("COPY telemetry_staging FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(packed(pieces))
            cursor.execute(_UPSERT.format(table=step.table))
        else:
            cursor.executemany(_SQLITE.format(table=step.table), _rows(pieces))


def _rows(pieces: Pieces) -> list[tuple[Any, ...]]:
    lists = [column.tolist() for column in (pieces.series, pieces.at.astype(np.int64), pieces.count.astype(np.int64))]
    lists += [column.tolist() for column in (pieces.sum, pieces.min, pieces.max, pieces.last)]
    sketches = [None] * len(pieces) if pieces.sketch is None else pieces.sketch.tolist()
    return list(zip(*lists, sketches, lists[0], strict=True))


def _fetched(statement: str, ids: list[int] | None, start: int, end: int, step: Step, sketches: bool) -> Pieces:
    given: list[Any] = [start, end] if ids is None else [json.dumps(ids), start, end]
    names = f"{_NAMES}, sketch" if sketches else _NAMES
    with connection.cursor() as cursor:
        cursor.execute(statement.format(names=names, table=step.table), given)
        rows = cursor.fetchall()
    if not sketches:
        return pieces_of(_table(rows))
    return replace(pieces_of(_table([row[:-1] for row in rows])), sketch=_objects([row[-1] for row in rows]))


def _table(rows: Sequence[Sequence[Any]]) -> Floats:
    return np.fromiter(chain.from_iterable(rows), np.float64).reshape(-1, len(FIELDS))


def _objects(found: list[bytes | None]) -> Sketches:
    made = np.empty(len(found), np.object_)
    made[:] = found
    return made


def _copied_out(statement: str, ids: list[int] | None, start: int, end: int, step: Step, sketches: bool) -> Pieces:
    """Read without making an object of any number; only integers are put into the statement."""
    wanted = "" if ids is None else f"series_id = ANY('{{{','.join(map(str, ids))}}}'::bigint[]) AND"
    names = f"{_NAMES}, sketch" if sketches else _NAMES
    query = statement.format(names=names, table=step.table, wanted=wanted, start=start, end=end)
    with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)") as copy:
        return unpacked(b"".join(copy), sketches=sketches)


def _spans_sqlite(step: Step) -> list[tuple[int, int]]:
    """Return the days between the oldest and the newest row: two searches for each series."""
    edge = f"(SELECT at FROM {step.table} WHERE series_id = known.id ORDER BY at %s LIMIT 1)"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT min({edge % 'ASC'}), max({edge % 'DESC'}) FROM telemetry_series AS known")  # noqa: S608
        first, last = cursor.fetchone()
    return [] if first is None else [(at, at + DAY) for at in range(floor(first, DAY), last + 1, DAY)]
