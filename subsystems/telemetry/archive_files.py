"""The archive's files: a Parquet file for each day and a manifest beside it, wherever `VSM_ARCHIVE_URL` points.

A file gets its name, which holds its checksum, only when it is whole; the manifest that names it comes after it. So a
reader finds a day wholly or not at all. pyarrow is imported by the first who needs it: most processes never do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any
from uuid import uuid4

import numpy as np

from subsystems.kernel.errors import Refused, TransientError
from subsystems.telemetry.columns import Ids, Pieces, Sketches, joined_pieces
from subsystems.telemetry.samples import labels_text
from subsystems.telemetry.scaled import VALUES, each_series, restored, scaled
from subsystems.telemetry.selection import SeriesInfo

LEVEL = 15  # of zstd: a twentieth smaller than 12 for the same time; more costs twice as much for next to nothing
STALE = timedelta(days=1)  # after which an unfinished file is nobody's any more
CHECKED_BYTES = 1 << 20
SKETCH = "hour_sketch"  # of the whole hour, at its last minute
NUMBERS = ["series", "at", "count", "places", *VALUES, *(f"{name}_scaled" for name in VALUES)]
MISSING = "The archive needs pyarrow, which is not installed: pip install -r requirements/archive.txt"
FORMAT = 2  # 1 had no sketches


class ArchiveDamaged(Refused):
    """A file of the archive is not what was written."""

    code = "archive_damaged"


@dataclass(frozen=True, slots=True)
class Written:
    """What is known of one day's file; also its manifest."""

    day: str
    path: str
    sha256: str
    bytes: int
    rows: int
    samples: int
    content: str
    format: int = FORMAT


class Content:
    """A checksum of rows, whatever file they are in."""

    def __init__(self) -> None:
        self._hash = sha256()
        self.rows = self.samples = 0

    def add(self, pieces: Pieces) -> None:
        """Count *pieces* in; their order matters."""
        for column in (pieces.series, pieces.at, pieces.count, pieces.sum, pieces.min, pieces.max, pieces.last):
            self._hash.update(np.ascontiguousarray(column).tobytes())
        for raw in () if pieces.sketch is None else filter(None, pieces.sketch):
            self._hash.update(raw)
        self.rows += len(pieces)
        self.samples += int(pieces.count.sum())

    def checksum(self) -> str:
        """Return what it came to."""
        return self._hash.hexdigest()


class Archive:
    """The files under one address. Raises TransientError when its storage does not answer."""

    def __init__(self, url: str) -> None:
        self._fs, self._root = _filesystem(url)

    def write_day(self, day: date, parts: Iterable[Pieces], infos: Mapping[int, SeriesInfo]) -> Written:
        """Write a day, one row group for each of *parts*; return what is now in its place."""
        unfinished = f"{self._root}/unfinished/{day}-{uuid4().hex}.parquet"
        content = Content()
        with _storage():
            self._fs.create_dir(f"{self._root}/unfinished", recursive=True)
            size, checksum = self._write(unfinished, parts, infos, content)
            path = f"minutes/{day:%Y}/{day}-{checksum[:16]}.parquet"
            self._put(unfinished, path)
            written = Written(str(day), path, checksum, size, content.rows, content.samples, content.checksum())
            self._write_manifest(day, written)
        return written

    def manifest(self, day: date) -> Written | None:
        """Return what the manifest of *day* says."""
        try:
            with _storage(), self._fs.open_input_stream(f"{self._root}/{_manifest(day)}") as stream:
                return Written(**json.loads(stream.read()))
        except FileNotFoundError:
            return None

    def verify(self, written: Written) -> None:
        """Read a day's file back, every byte and every row. Raises ArchiveDamaged when it is not what was written."""
        content = Content()
        try:
            checksum = self._checksum(written.path)
            if checksum == written.sha256:
                for pieces in self._row_groups(written.path):
                    content.add(pieces)
        except FileNotFoundError:
            raise ArchiveDamaged(f"{written.path} is not there.") from None
        found = (checksum, content.rows, content.samples, content.checksum())
        if found != (written.sha256, written.rows, written.samples, written.content):
            raise ArchiveDamaged(f"{written.path} is not what was written.")

    def read(self, path: str, series_ids: Ids) -> Pieces:
        """Return the ordered minutes of *series_ids* in one day's file. Raises ArchiveDamaged when it cannot."""
        wanted = np.unique(series_ids)
        try:
            file = self._open(path)
            lows, highs = _bounds(file.metadata)
            first = np.searchsorted(wanted, lows)
            holding = np.flatnonzero((first < len(wanted)) & (wanted[np.minimum(first, len(wanted) - 1)] <= highs))
            with _storage():
                table = file.read_row_groups(holding.tolist(), columns=[*NUMBERS, SKETCH])
        except FileNotFoundError:
            raise ArchiveDamaged(f"{path} is not there.") from None
        found = _pieces(table)
        return found.where(np.isin(found.series, wanted))

    def forget_day(self, day: date, *, but: str = "") -> None:
        """Delete the files of *day* except *but*; without it the manifest too, first."""
        with _storage():
            if not but:
                self._delete(f"{self._root}/{_manifest(day)}")
            for found in self._listed(f"minutes/{day:%Y}"):
                if found.base_name.startswith(f"{day}-") and not (but and found.path.endswith(but)):
                    self._delete(found.path)

    def tidy(self, *, now: datetime) -> None:
        """Delete what somebody began to write and never finished."""
        with _storage():
            for found in self._listed("unfinished"):
                if found.mtime is not None and found.mtime < now - STALE:
                    self._delete(found.path)

    def _write(
        self, path: str, parts: Iterable[Pieces], infos: Mapping[int, SeriesInfo], content: Content
    ) -> tuple[int, str]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        options = {
            "compression": "zstd",
            "compression_level": LEVEL,
            "use_dictionary": ["system", "source", "metric", "labels", "series", "count", "places"],
            "column_encoding": {"at": _DELTA, "min_scaled": _DELTA}
            | {f"{name}_scaled": "BYTE_STREAM_SPLIT" for name in VALUES if name != "min"},
            "write_statistics": ["series"],
        }
        with self._fs.open_output_stream(path) as stream:
            checked = _Checked(stream)
            writer = None
            for part in parts:
                table, stored = _table(part, infos)
                writer = writer or pq.ParquetWriter(pa.PythonFile(checked, mode="w"), table.schema, **options)
                writer.write_table(table, row_group_size=max(1, len(part)))
                content.add(stored)
            if writer:
                writer.close()
        return checked.size, checked.checksum()

    def _write_manifest(self, day: date, written: Written) -> None:
        unfinished = f"{self._root}/unfinished/{day}-{uuid4().hex}.json"
        with self._fs.open_output_stream(unfinished) as stream:
            stream.write(json.dumps(asdict(written), indent=1).encode())
        self._put(unfinished, _manifest(day))

    def _put(self, unfinished: str, path: str) -> None:
        """Give a whole file its name, in one step."""
        whole = f"{self._root}/{path}"
        self._fs.create_dir(whole.rpartition("/")[0], recursive=True)
        if self._local:
            _sync(unfinished)
        self._fs.move(unfinished, whole)
        if self._local:
            _sync(whole.rpartition("/")[0])

    @property
    def _local(self) -> bool:
        return str(self._fs.type_name) == "local"

    def _checksum(self, path: str) -> str:
        found = sha256()
        with _storage(), self._fs.open_input_stream(f"{self._root}/{path}") as stream:
            while block := stream.read(CHECKED_BYTES):
                found.update(block)
        return found.hexdigest()

    def _row_groups(self, path: str) -> Iterator[Pieces]:
        file = self._open(path)
        for number in range(file.metadata.num_row_groups):
            with _storage():
                yield _pieces(file.read_row_group(number, columns=[*NUMBERS, SKETCH]))

    def _open(self, path: str) -> Any:
        import pyarrow.parquet as pq

        with _storage():
            return pq.ParquetFile(self._fs.open_input_file(f"{self._root}/{path}"))

    def _listed(self, folder: str) -> list[Any]:
        from pyarrow.fs import FileSelector

        selector = FileSelector(f"{self._root}/{folder}", allow_not_found=True)
        return [found for found in self._fs.get_file_info(selector) if found.is_file]

    def _delete(self, path: str) -> None:
        try:
            self._fs.delete_file(path)
        except FileNotFoundError:
            return


@lru_cache(maxsize=4)
def open_archive(url: str) -> Archive:
    """Return the archive at *url*: `file:///path`, `s3://bucket/path` or `gs://bucket/path`.

    Raises Refused when pyarrow is not installed, or when the address cannot be one.
    """
    return Archive(url)


class _Checked:
    """A file to write to that adds up what goes through it."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._hash = sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        block = bytes(data)
        self._stream.write(block)
        self._hash.update(block)
        self.size += len(block)
        return len(block)

    def checksum(self) -> str:
        return self._hash.hexdigest()

    def flush(self) -> None: ...

    def close(self) -> None: ...


class _storage:
    """Turns what storage cannot do now into a TransientError; what is not there stays FileNotFoundError."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise TransientError(f"The archive's storage failed: {error}") from error


_DELTA = "DELTA_BINARY_PACKED"


def _filesystem(url: str) -> tuple[Any, str]:
    try:
        from pyarrow.fs import FileSystem
    except ImportError:
        raise Refused(MISSING, code="not_installed") from None
    try:
        filesystem, root = FileSystem.from_uri(url)
    except (ValueError, OSError) as error:
        raise Refused(f"VSM_ARCHIVE_URL cannot be used: {error}", code="archive_url") from None
    return filesystem, root.rstrip("/")


def _table(pieces: Pieces, infos: Mapping[int, SeriesInfo]) -> tuple[Any, Pieces]:
    """Return *pieces* as a table, and as they will be read back."""
    import pyarrow as pa

    parts = each_series(pieces)
    smaller = [scaled(part) for part in parts]
    lengths = [len(part) for part in parts]
    places = np.repeat(np.array([each.places for each in smaller], np.int8), lengths)
    named = [infos.get(int(part.series[0]), _UNNAMED) for part in parts]
    columns: dict[str, Any] = {
        "system": _names([info.system for info in named], lengths),
        "source": _names([info.source for info in named], lengths),
        "metric": _names([info.metric for info in named], lengths),
        "labels": _names([labels_text(info.labels) for info in named], lengths),
        "series": pa.array(pieces.series),
        "at": pa.array(pieces.at.astype(np.int64)),
        "count": pa.array(pieces.count.astype(np.int64)),
        "places": pa.array(places, mask=places < 0),
    }
    plain, whole = {}, {}
    for name in VALUES:
        plain[name] = np.concatenate(
            [each.plain.get(name, np.zeros(length)) for each, length in zip(smaller, lengths, strict=True)]
        )
        whole[name] = np.concatenate(
            [each.whole.get(name, np.zeros(length, np.int64)) for each, length in zip(smaller, lengths, strict=True)]
        )
        columns[name] = pa.array(plain[name], mask=places >= 0)
        columns[f"{name}_scaled"] = pa.array(whole[name], mask=places < 0)
    columns[SKETCH] = (
        pa.nulls(len(pieces), pa.binary()) if pieces.sketch is None else pa.array(pieces.sketch, pa.binary())
    )
    stored = restored(whole, pieces.count, places.astype(np.int64), plain)
    as_read = Pieces(pieces.series, pieces.at, pieces.count, **stored, sketch=pieces.sketch)
    return pa.table(columns), as_read


_UNNAMED = SeriesInfo("", "", {})


def _names(names: Sequence[str], lengths: Sequence[int]) -> Any:
    import pyarrow as pa

    distinct = sorted(set(names))
    codes = np.repeat(np.array([distinct.index(name) for name in names], np.int32), lengths)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(distinct))


def _pieces(table: Any) -> Pieces:
    if not len(table):
        return joined_pieces([])

    def column(name: str, kind: Any) -> Any:
        return table.column(name).fill_null(-1 if name == "places" else 0).to_numpy().astype(kind)

    count = column("count", np.float64)
    sketch = _sketches(table.column(SKETCH)) if SKETCH in table.column_names else None
    whole = {name: column(f"{name}_scaled", np.int64) for name in VALUES}
    plain = {name: column(name, np.float64) for name in VALUES}
    values = restored(whole, count, column("places", np.int64), plain)
    return Pieces(column("series", np.int64), column("at", np.float64), count, **values, sketch=sketch)


def _sketches(column: Any) -> Sketches | None:
    """Return the sketches, which few rows have."""
    if column.null_count == len(column):
        return None
    found = np.full(len(column), None, np.object_)
    valid = column.is_valid().to_numpy()
    found[valid] = column.drop_null().to_pylist()
    return found


def _bounds(metadata: Any) -> tuple[Ids, Ids]:
    """Return the lowest and the highest series of each row group."""
    place = metadata.schema.names.index("series")
    found = [metadata.row_group(n).column(place).statistics for n in range(metadata.num_row_groups)]
    return np.array([each.min for each in found], np.int64), np.array([each.max for each in found], np.int64)


def _manifest(day: date) -> str:
    return f"minutes/{day:%Y}/{day}.json"


def _sync(path: str) -> None:
    """Make the system write a file or folder to disk before anything relies on it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def day_of(start: float) -> date:
    """Return the day (UTC) that begins at *start*."""
    return datetime.fromtimestamp(start, UTC).date()
