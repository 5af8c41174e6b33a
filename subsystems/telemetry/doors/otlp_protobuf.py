"""OTLP metrics in protobuf, read by their places.

An exporter sends the same series again and again, and everything of them that changes, times and values, is a number
of eight bytes. So a body is walked once; its shape is kept with a mask of those places. A body that differs from a
known one only there is read as arrays, at the speed of memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from subsystems.telemetry.doors import otlp
from subsystems.telemetry.doors.batches import NAME_BYTES
from subsystems.telemetry.doors.otlp import NANOSECONDS, Point, Shape
from subsystems.telemetry.doors.protobuf import FIXED64, LENGTH, VARINT, Malformed, fields, tag, text
from subsystems.telemetry.tables import Codes, Layout, Remembered, Table

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Cell = int  # eight bytes at this place; those of a whole number are told by WHOLE, which no body is long enough for
WHOLE = 1 << 40
ABSENT = -1  # a number that is not there is zero
EVERY = np.arange(8)
ALIKE = 4  # bodies of one length and resource that are kept apart

_MESSAGE = {n: tag(n, LENGTH) for n in range(1, 13)}
_NUMBER = {n: tag(n, FIXED64) for n in range(1, 13)}
_VARINT = {n: tag(n, VARINT) for n in range(1, 13)}


@dataclass(slots=True)
class Known:
    """A body as it was walked: its series, where its numbers lie, and what else it says."""

    layout: Layout
    kinds: list[str]
    codes: Codes
    points: Places
    times: Places
    values: Places
    whole: npt.NDArray[np.bool_]
    runs: Places
    mask: Bytes  # 0 where a number lies that may change, 255 elsewhere
    rest: Bytes  # the body under the mask

    def is_like(self, body: Bytes) -> bool:
        return len(body) == len(self.rest) and bool(((body & self.mask) == self.rest).all())

    def size(self) -> int:
        """Return how many bytes this takes, about."""
        return 2 * len(self.rest) + NAME_BYTES * len(self.layout.names) + 48 * len(self.codes)

    def table(self, body: Bytes) -> Table:
        """Return the samples of a body like this one."""
        padded = np.append(body, np.zeros(8, np.uint8))  # place -1 is the first of these eight
        times = _words(padded, self.times, "<u8") / NANOSECONDS
        values = np.where(self.whole, _words(padded, self.values, "<i8"), _words(padded, self.values, "<f8"))
        return Table(
            self.layout.names, self.codes, times, otlp.heaped(values, self.runs), self.layout.labels,
            kinds=self.kinds, indexes=self.points, layout=self.layout,
        )  # fmt: skip


_known: Remembered[list[Known]] = Remembered(max_items=512, max_size=64_000_000)


def read_protobuf(raw: bytes) -> Table:
    """Return the samples of a request; an index is the number of a data point. Raises Invalid."""
    body = np.frombuffer(raw, np.uint8)
    key = (len(raw), _beginning(raw))
    alike = _known.get(key) or []
    for known in alike:
        if known.is_like(body):
            return known.table(body)
    known = _walked(raw, body)
    kept = [known, *alike][:ALIKE]
    _known.keep(
        key, kept, sum(2 * len(raw) + NAME_BYTES * len(each.layout.names) + 48 * len(each.codes) for each in kept)
    )
    return known.table(body)


def _words(padded: Bytes, places: Places, kind: str) -> npt.NDArray[np.float64]:
    words = padded[np.where(places < 0, len(padded) - 8, places)[:, None] + EVERY].view(kind)
    return words.ravel().astype(np.float64)


def _beginning(raw: bytes) -> int:
    """Return a hash of the first field of the first resource's metrics: the resource, which tells senders apart."""
    for _, start, stop in fields(raw, 0, len(raw)):
        for _, at, end in fields(raw, start, min(stop, len(raw))):
            return hash(raw[at:end])
        break
    return 0


def _walked(raw: bytes, body: Bytes) -> Known:
    walk = _Walk(raw)
    for key, start, stop in fields(raw, 0, len(raw)):
        if key == _MESSAGE[1]:
            walk.resource_metrics(start, stop)
    shape = walk.shape
    values = np.array(shape.values, np.int64)
    whole = values >= WHOLE
    mask = np.full(len(raw), 255, np.uint8)
    if walk.numbers:
        mask[(np.array(walk.numbers)[:, None] + EVERY).ravel()] = 0
    return Known(
        shape.layout(), shape.kinds, np.array(shape.codes, np.int32), np.array(shape.points, np.int64),
        np.array(shape.times, np.int64), np.where(whole, values - WHOLE, values), whole,
        np.array(shape.runs, np.int64), mask, body & mask,
    )  # fmt: skip


@dataclass(slots=True)
class _Walk:
    """One pass through a body."""

    raw: bytes
    shape: Shape[Cell] = field(default_factory=Shape)
    numbers: list[int] = field(default_factory=list)  # places of those that may change
    pairs: dict[bytes, tuple[str, str]] = field(default_factory=dict)

    def resource_metrics(self, start: int, stop: int) -> None:
        found = list(fields(self.raw, start, stop))
        attributes: dict[str, str] = {}
        for key, at, end in found:
            if key == _MESSAGE[1]:
                attributes |= self.attributes(at, end, _MESSAGE[1])
        for key, at, end in found:
            if key == _MESSAGE[2]:
                for inner, begins, ends in fields(self.raw, at, end):
                    if inner == _MESSAGE[2]:
                        self.metric(attributes, begins, ends)

    def metric(self, resource: dict[str, str], start: int, stop: int) -> None:
        name, data = "", (0, 0, 0)
        for key, at, end in fields(self.raw, start, stop):
            if key == _MESSAGE[1]:
                name = text(self.raw, at, end)
            elif key in _POINTS:
                data = (key, at, end)
        if data[0]:
            kind, points = self.points(*data)
            self.shape.add(resource, name, kind, points)

    def points(self, key: int, start: int, stop: int) -> tuple[str, list[Point[Cell]]]:
        """Return what a metric's data count, and its points."""
        read = _POINTS[key]
        temporality, monotonic = 0, key not in {_MESSAGE[5], _MESSAGE[7]}
        points = []
        for inner, at, end in fields(self.raw, start, stop):
            if inner == _MESSAGE[1]:
                points.append(read(self, at, end))
            elif inner == _VARINT[2]:
                temporality = at
            elif inner == _VARINT[3]:
                monotonic = bool(at)
        return otlp.kind_of(temporality, monotonic=monotonic), points

    def number(self, start: int, stop: int) -> Point[Cell]:
        point = Point({}, ABSENT)
        for key, at, end in fields(self.raw, start, stop):
            if key == _NUMBER[4]:
                point.values[""] = self.cell(at)
            elif key == _NUMBER[6]:
                point.values[""] = self.cell(at) + WHOLE
            else:
                self.common(point, key, at, end, attributes=7, flags=8)
        return point

    def histogram(self, start: int, stop: int) -> Point[Cell]:
        point = Point({}, ABSENT, {"_count": ABSENT})
        buckets: list[Cell] = []
        bounds: list[float] = []
        for key, at, end in fields(self.raw, start, stop):
            if key in {_MESSAGE[6], _NUMBER[6]}:
                buckets += [self.cell(place) + WHOLE for place in self.packed(at, end)]
            elif key in {_MESSAGE[7], _NUMBER[7]}:
                bounds += [struct.unpack_from("<d", self.raw, place)[0] for place in self.packed(at, end)]
            elif not self.single(point, key, at):
                self.common(point, key, at, end, attributes=9, flags=10)
        point.buckets, point.bounds = buckets, bounds
        return point

    def exponential(self, start: int, stop: int) -> Point[Cell]:
        point = Point({}, ABSENT, {"_count": ABSENT})
        for key, at, end in fields(self.raw, start, stop):
            if key in {_NUMBER[4], _NUMBER[5]}:
                self.single(point, key, at)
            else:
                self.common(point, key, at, end, attributes=1, flags=10)
        return point

    def summary(self, start: int, stop: int) -> Point[Cell]:
        point = Point({}, ABSENT, {"_count": ABSENT, "_sum": ABSENT})
        quantiles: list[tuple[float, Cell]] = []
        for key, at, end in fields(self.raw, start, stop):
            if key == _MESSAGE[6]:
                quantiles.append(self.quantile(at, end))
            elif not self.single(point, key, at):
                self.common(point, key, at, end, attributes=7, flags=8)
        point.quantiles = quantiles
        return point

    def quantile(self, start: int, stop: int) -> tuple[float, Cell]:
        quantile, value = 0.0, ABSENT
        for key, at, _ in fields(self.raw, start, stop):
            if key == _NUMBER[1]:
                quantile = struct.unpack_from("<d", self.raw, at)[0]
            elif key == _NUMBER[2]:
                value = self.cell(at)
        return quantile, value

    def single(self, point: Point[Cell], key: int, at: int) -> bool:
        """Take count, sum, minimum or maximum; return whether it was one of them."""
        suffix = _SINGLE.get(key)
        if suffix is None:
            return False
        point.values[suffix] = self.cell(at) + (WHOLE if suffix == "_count" else 0)
        return True

    def common(self, point: Point[Cell], key: int, at: int, end: int, *, attributes: int, flags: int) -> None:
        """Take what every kind of point has: its times, its attributes and its flags."""
        if key == _MESSAGE[attributes]:
            name, value = self.pair(at, end)
            if not isinstance(point.attributes, dict):
                raise Malformed
            point.attributes[name] = value
        elif key == _NUMBER[2]:
            self.cell(at)
        elif key == _NUMBER[3]:
            point.time = self.cell(at)
        elif key == _VARINT[flags]:
            point.flags = at

    def cell(self, place: int) -> Cell:
        """Return the place of a number that may change from body to body."""
        self.numbers.append(place)
        return place

    def packed(self, at: int, end: int) -> range:
        """Return the places of numbers of eight bytes each."""
        if (end - at) % 8:
            raise Malformed
        return range(at, end, 8)

    def attributes(self, start: int, stop: int, key: int) -> dict[str, str]:
        """Return the attributes in the fields *key* of a message."""
        return dict(self.pair(at, end) for found, at, end in fields(self.raw, start, stop) if found == key)

    def pair(self, start: int, stop: int) -> tuple[str, str]:
        """Return one attribute; those that came before are known by their bytes."""
        lying = self.raw[start:stop]
        found = self.pairs.get(lying)
        if found is None:
            found = self.pairs[lying] = self.new_pair(start, stop)
        return found

    def new_pair(self, start: int, stop: int) -> tuple[str, str]:
        name = value = ""
        for key, at, end in fields(self.raw, start, stop):
            if key == _MESSAGE[1]:
                name = text(self.raw, at, end)
            elif key == _MESSAGE[2]:
                value = self.any_value(at, end)
        return name, value

    def any_value(self, start: int, stop: int) -> str:
        """Return a value as text; lists, maps and bytes as the digits of their bytes, which tells them apart."""
        found = ""
        for key, at, end in fields(self.raw, start, stop):
            if key == _MESSAGE[1]:
                found = text(self.raw, at, end)
            elif key == _VARINT[2]:
                found = "true" if at else "false"
            elif key == _VARINT[3]:
                found = str(at - (1 << 64) if at >> 63 else at)
            elif key == _NUMBER[4]:
                found = format(struct.unpack_from("<d", self.raw, at)[0], "g")
            elif key in {_MESSAGE[5], _MESSAGE[6], _MESSAGE[7]}:
                found = self.raw[at:end].hex()
        return found


_SINGLE = {_NUMBER[4]: "_count", _NUMBER[5]: "_sum", _NUMBER[11]: "_min", _NUMBER[12]: "_max"}
_POINTS = {
    _MESSAGE[5]: _Walk.number, _MESSAGE[7]: _Walk.number, _MESSAGE[9]: _Walk.histogram,
    _MESSAGE[10]: _Walk.exponential, _MESSAGE[11]: _Walk.summary,
}  # fmt: skip
