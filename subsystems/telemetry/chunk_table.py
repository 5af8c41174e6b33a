"""Where chunks of packed roll-ups lie in the database: read, written, counted and forgotten by series and time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models import Sum

from subsystems.telemetry.chunks import Chunk, pack, unpack
from subsystems.telemetry.columns import Pieces, joined_pieces, runs
from subsystems.telemetry.models import RollupChunk
from subsystems.telemetry.steps import Step

AT_ONCE = 500  # unpacked together: a few hundred thousand rows at most
_LOCK = 0x76736D_7061636B  # of those that pack; any number that nobody else takes
_OF_SERIES = {
    "postgresql": "series_id = ANY(%s) AND",
    "sqlite": "series_id IN (SELECT value FROM json_each(%s)) AND",
}


def read(series_ids: Sequence[int] | None, start: int, end: int, step: Step, *, sketches: bool = False) -> Pieces:
    """Return the ordered roll-ups of *series_ids* (None: of all) in [start, end) that are packed."""
    wanted, given = "", []
    if series_ids is not None:
        wanted = _OF_SERIES[connection.vendor]
        given = [list(series_ids) if connection.vendor == "postgresql" else json.dumps(list(series_ids))]
    statement = (
        f"SELECT series_id, data, {'sketches' if sketches else 'NULL'} FROM telemetry_rollupchunk "  # noqa: S608
        f"WHERE {wanted} step_seconds = %s AND at > %s AND at < %s ORDER BY series_id, at"
    )
    found: list[Pieces] = []
    with connection.cursor() as cursor:
        cursor.execute(statement, [*given, step.seconds, start - step.chunk_seconds, end])
        while rows := cursor.fetchmany(AT_ONCE):
            pieces = unpack(
                [Chunk(pk, bytes(data), packed and bytes(packed)) for pk, data, packed in rows], step.seconds
            )
            inside = (pieces.at >= start) & (pieces.at < end)
            found.append(pieces if inside.all() else pieces.where(inside))
    return found[0] if len(found) == 1 else joined_pieces(found)


def write(pieces: Pieces, step: Step) -> None:
    """Pack the ordered *pieces*; each chunk takes the place of what was there of the same series and time."""
    spans = np.floor(pieces.at / step.chunk_seconds).astype(np.int64)
    for span in np.unique(spans).tolist():
        _write_span(pieces.where(spans == span), span * step.chunk_seconds, step)


def _write_span(pieces: Pieces, at: int, step: Step) -> None:
    rows = [
        RollupChunk(
            series_id=chunk.series,
            step_seconds=step.seconds,
            at=at,
            rows=high - low,
            samples=int(pieces.count[low:high].sum()),
            data=chunk.data,
            sketches=chunk.sketches,
        )
        for chunk, (low, high) in zip(pack(pieces, step.seconds), runs(pieces.series), strict=True)
    ]
    RollupChunk.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["series_id", "step_seconds", "at"],
        update_fields=["rows", "samples", "data", "sketches"],
    )


def count(start: int, end: int, step: Step) -> tuple[int, int]:
    """Return how many roll-ups are packed in the chunks that start in [start, end), and how many samples they hold."""
    held = RollupChunk.objects.filter(step_seconds=step.seconds, at__gte=start, at__lt=end)
    sums: dict[str, Any] = held.aggregate(rows=Sum("rows"), samples=Sum("samples"))
    return sums["rows"] or 0, sums["samples"] or 0


def spans(step: Step, *, before: float) -> list[tuple[int, int]]:
    """Return [start, end) of the chunks of *step* that ended before *before*, each once, oldest first."""
    ended = RollupChunk.objects.filter(step_seconds=step.seconds, at__lte=before - step.chunk_seconds)
    starts = ended.order_by("at").values_list("at", flat=True).distinct()
    return [(at, at + step.chunk_seconds) for at in starts]


@transaction.atomic
def forget(start: int, step: Step) -> int:
    """Delete the chunks of *step* that start at *start*; return how many roll-ups they held."""
    gone = count(start, start + 1, step)[0]
    RollupChunk.objects.filter(step_seconds=step.seconds, at=start).delete()
    return gone


def lock() -> None:
    """Keep others from packing until this transaction ends: two would each write a chunk of half the rows."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
