"""Whole ranges of series as files, CSV or Parquet, made a day and some series at a time: size costs no memory."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from subsystems.kernel.errors import Invalid, Refused
from subsystems.telemetry import queries
from subsystems.telemetry.archive_files import MISSING
from subsystems.telemetry.columns import Pieces, grouped, runs
from subsystems.telemetry.samples import labels_text
from subsystems.telemetry.selection import Matcher, SeriesInfo
from subsystems.telemetry.steps import DAY, MINUTE, floor

SERIES_AT_ONCE = 200
MAX_ROWS = 50_000_000
HEAD = ["system", "source", "metric", "labels", "at", "count", "sum", "min", "max", "last"]
TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
NUMBERS = ("count", "sum", "min", "max", "last")
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would take what begins so for a formula


@dataclass(frozen=True, slots=True)
class Export:
    """What is to be exported; without *step* each row is a sample, or what is left of it."""

    system_ids: tuple[int, ...]
    metric: str
    start: float
    end: float
    step: float | None = None
    source: str | None = None
    labels: Mapping[str, str] | None = None
    match: Sequence[Matcher] = ()


def blocks(export: Export, kind: str, *, now: float | None = None) -> Iterator[bytes]:
    """Yield the file of *kind*, `csv` or `parquet`. Raises Invalid or Refused before the first block."""
    if not export.start < export.end:
        raise Invalid("The range must start before it ends.", field="from")
    infos = queries.selected(export.system_ids, export.metric, export.source, export.labels, export.match)
    most = len(infos) * (export.end - export.start) / max(export.step or 0, MINUTE.seconds)
    if most > MAX_ROWS:
        raise Invalid(f"This may be {most:,.0f} rows, {MAX_ROWS:,} are allowed: ask for less.", field="from")
    rows = _rows(export, infos, time.time() if now is None else now)
    yield from _csv(rows, infos) if kind == "csv" else _parquet(rows, infos)


def _rows(export: Export, infos: Mapping[int, SeriesInfo], now: float) -> Iterator[Pieces]:
    """Yield the pieces by day and, within it, by series."""
    ids = iter(sorted(infos))
    groups = list(iter(lambda: list(islice(ids, SERIES_AT_ONCE)), []))
    at = export.start
    while at < export.end:
        end = min(float(floor(at, DAY) + DAY), export.end)
        for group in groups:
            pieces = queries.pieces(np.array(group, np.int64), at, end, export.step or 1.0, now=now)
            pieces = pieces.where((pieces.at < end) | (end == export.end))
            if len(pieces):
                yield grouped(pieces, export.step) if export.step else pieces
        at = end


def _csv(rows: Iterator[Pieces], infos: Mapping[int, SeriesInfo]) -> Iterator[bytes]:
    yield (",".join(HEAD) + "\r\n").encode()
    for pieces in rows:
        yield "".join(_lines(pieces, low, high, infos) for low, high in runs(pieces.series)).encode()


def _lines(pieces: Pieces, low: int, high: int, infos: Mapping[int, SeriesInfo]) -> str:
    info = infos[int(pieces.series[low])]
    name = io.StringIO()
    csv.writer(name, lineterminator="").writerow([_harmless(text) for text in _names(info)])
    moments = np.datetime_as_string((pieces.at[low:high] * 1000).astype("datetime64[ms]"), timezone="UTC").tolist()
    columns = [np.char.mod("%.17g", getattr(pieces, field)[low:high]).tolist() for field in NUMBERS]
    prefix = name.getvalue()
    return "".join(f"{prefix},{','.join(row)}\r\n" for row in zip(moments, *columns, strict=True))


def _parquet(rows: Iterator[Pieces], infos: Mapping[int, SeriesInfo]) -> Iterator[bytes]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise Refused(MISSING, code="not_installed") from None
    sink = _Sink()
    text = pa.dictionary(pa.int32(), pa.string())
    kinds = [text] * 4 + [pa.timestamp("ms", "UTC"), pa.int64()] + [pa.float64()] * 4
    schema = pa.schema(list(zip(HEAD, kinds, strict=True)))
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        for pieces in rows:
            writer.write_table(_table(pieces, infos, schema))
            yield sink.taken()
    yield sink.taken()


def _table(pieces: Pieces, infos: Mapping[int, SeriesInfo], schema: Any) -> Any:
    import pyarrow as pa

    distinct, codes = np.unique(pieces.series, return_inverse=True)
    names = list(zip(*(_names(infos[pk]) for pk in distinct.tolist()), strict=True))
    texts = [pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(column)) for column in names]
    moments = pa.array((pieces.at * 1000).astype(np.int64)).cast(schema.field("at").type)
    count = pa.array(pieces.count.astype(np.int64))
    return pa.table([*texts, moments, count, *(pa.array(getattr(pieces, name)) for name in NUMBERS[1:])], schema=schema)


class _Sink:
    """A file that gives away what was written to it."""

    closed = False

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def write(self, data: Any) -> int:
        self._held.append(bytes(data))
        return len(self._held[-1])

    def taken(self) -> bytes:
        found, self._held = b"".join(self._held), []
        return found

    def flush(self) -> None: ...

    def close(self) -> None: ...


def _names(info: SeriesInfo) -> list[str]:
    return [info.system, info.source, info.metric, labels_text(info.labels)]


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(DANGEROUS) else text
