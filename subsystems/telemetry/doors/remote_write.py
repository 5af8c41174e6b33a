"""Prometheus' remote write, version 1: time series with their labels, and samples of value and milliseconds.

A sender repeats its series, so what their labels say is remembered by their bytes. An ordinary sample is sixteen bytes
of one shape: those are found one by one, and read all at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from subsystems.telemetry.columns import Floats
from subsystems.telemetry.doors.batches import MAX_SAMPLES, NAME_BYTES, too_many
from subsystems.telemetry.doors.protobuf import FIXED64, LENGTH, VARINT, fields, put_bytes, tag, text, varint
from subsystems.telemetry.samples import Name, Refusal, Rejection, labels_text
from subsystems.telemetry.tables import Table

SERIES, LABEL, SAMPLE, HISTOGRAM = tag(1, LENGTH), tag(1, LENGTH), tag(2, LENGTH), tag(4, LENGTH)
NAME, TEXT = tag(1, LENGTH), tag(2, LENGTH)
VALUE, MOMENT = tag(1, FIXED64), tag(2, VARINT)
PLAIN_BYTES, PLAIN_MOMENT = 16, 9  # a sample of these days: a value, and a time of six bytes from here on
SHORTEST = PLAIN_BYTES + 4  # of a series with a plain sample
KNOWN_BYTES = 32_000_000  # of what is remembered
METRIC, SOURCE_LABEL, NO_JOB = "__name__", "job", "prometheus"
HISTOGRAMS = "native_histogram", "Native histograms are not kept; send classic ones beside them."
TWICE = "bad_labels", "A label is given twice."


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What some labels say: a series, or why it cannot be one."""

    name: Name
    labels: Mapping[str, str]
    refusal: Refusal | None = None


_known: dict[bytes, Known] = {}  # by the bytes of the labels; each comes back with its next sample
_known_bytes = 0


@dataclass(slots=True)
class Gathered:
    """Samples as they are found: plain ones as places in the body (-1 for the others), the others as numbers."""

    codes: dict[Known, int] = field(default_factory=dict)
    of: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    odd: list[tuple[float, float]] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    before: list[int] = field(default_factory=list)  # how many samples were taken before each that was rejected

    @property
    def count(self) -> int:
        return len(self.of) + len(self.rejected)

    def add(self, known: Known, place: int) -> None:
        self.of.append(self.codes.setdefault(known, len(self.codes)))
        self.places.append(place)

    def reject(self, refusal: Refusal) -> None:
        self.rejected.append(Rejection(self.count, *refusal))
        self.before.append(len(self.of))


def read_write_request(raw: bytes) -> Table:
    """Return the samples of an unpacked request. Raises Invalid.

    The job is the source, as `service.name` is of OTLP. NaN is no sample: Prometheus marks with it that a series ended.
    """
    gathered, at, end = Gathered(), 0, len(raw)
    while at < end:
        at = _plain_series(gathered, raw, at, end)
        if at < end:
            at = _any_field(gathered, raw, at, end)
        if gathered.count > MAX_SAMPLES:
            raise too_many("timeseries")
    return _table(gathered, raw)


def _plain_series(gathered: Gathered, raw: bytes, at: int, end: int) -> int:
    """Take the series from *at* on that are labels met before and one plain sample; return where one is not.

    Nearly all are. One loop without calls, because it is most of what a request costs.
    """
    codes, of, places, known_by = gathered.codes, gathered.of, gathered.places, _known
    while end - at > SHORTEST and raw[at] == SERIES:
        size, start = raw[at + 1], at + 2
        if size > 0x7F:
            if raw[start] > 0x7F:
                return at
            size, start = size & 0x7F | raw[start] << 7, start + 1
        stop = start + size
        sample = stop - PLAIN_BYTES
        if (
            stop > end
            or sample - 2 < start
            or raw[sample - 2] != SAMPLE
            or raw[sample - 1] != PLAIN_BYTES
            or raw[sample] != VALUE
            or raw[sample + PLAIN_MOMENT] != MOMENT
        ):
            return at
        known = known_by.get(raw[start : sample - 2])
        if known is None or known.refusal or len(of) > MAX_SAMPLES:
            return at
        of.append(codes.setdefault(known, len(codes)))
        places.append(sample)
        at = stop
    return at


def _any_field(gathered: Gathered, raw: bytes, at: int, end: int) -> int:
    """Take whatever field is at *at*; return where it ends."""
    key, start, stop = next(fields(raw, at, end))
    if key == SERIES:
        _series(gathered, raw, start, stop)
    return stop if key & 7 != VARINT else varint(raw, varint(raw, at)[1])[1]


def _series(gathered: Gathered, raw: bytes, start: int, stop: int) -> None:
    labels, held = [], []
    for key, begin, end in fields(raw, start, stop):
        if key == LABEL:
            labels.append(raw[begin:end])
        elif key in {SAMPLE, HISTOGRAM}:
            held.append((key, begin, end))
    known = _known_by(labels)
    for key, begin, end in held:
        if key == HISTOGRAM or known.refusal:
            gathered.reject(known.refusal or HISTOGRAMS)
        elif end - begin == PLAIN_BYTES and raw[begin] == VALUE and raw[begin + PLAIN_MOMENT] == MOMENT:
            gathered.add(known, begin)
        else:
            gathered.add(known, -1)
            gathered.odd.append(_odd_sample(raw, begin, end))


def _known_by(labels: Sequence[bytes]) -> Known:
    """Return what *labels* say, and remember it by the bytes that they take when they are sent one after the other."""
    global _known_bytes
    key = b"".join([put_bytes(1, label) for label in labels])
    known = _known.get(key)
    if known is None:
        known = _read_labels(labels)
        if _known_bytes > KNOWN_BYTES:
            _known.clear()
            _known_bytes = 0
        _known[key] = known
        _known_bytes += len(key) + NAME_BYTES
    return known


def _read_labels(labels: Sequence[bytes]) -> Known:
    pairs = [_pair(label) for label in labels]
    found = dict(pairs)
    metric, source = found.pop(METRIC, ""), found.pop(SOURCE_LABEL, "") or NO_JOB
    kept = {name: value for name, value in found.items() if value}  # an empty label is as if it were not there
    twice = len({name for name, _ in pairs}) < len(pairs)
    return Known((source, metric, labels_text(kept)), kept, TWICE if twice else None)


def _pair(label: bytes) -> tuple[str, str]:
    name = value = ""
    for key, start, stop in fields(label, 0, len(label)):
        if key == NAME:
            name = text(label, start, stop)
        elif key == TEXT:
            value = text(label, start, stop)
    return name, value


def _odd_sample(raw: bytes, start: int, stop: int) -> tuple[float, float]:
    """Return the value and the time of any sample; what is absent is zero."""
    value, moment = 0.0, 0
    for key, begin, _ in fields(raw, start, stop):
        if key == VALUE:
            value = float(np.frombuffer(raw, "<f8", 1, begin)[0])
        elif key == MOMENT:
            moment = begin - 2**64 if begin >= 2**63 else begin
    return value, moment / 1000


def _table(gathered: Gathered, raw: bytes) -> Table:
    values, at = _numbers(gathered, raw)
    names = [known.name for known in gathered.codes]
    labels = [known.labels for known in gathered.codes]
    codes, told = np.array(gathered.of, np.int32), ~np.isnan(values)
    indexes = np.arange(len(codes), dtype=np.int64)
    if gathered.before:
        indexes += np.searchsorted(np.array(gathered.before), indexes, side="right")
    if not told.all():
        codes, at, values, indexes = codes[told], at[told], values[told], indexes[told]
    return Table(names, codes, at, values, labels, rejected=gathered.rejected, indexes=indexes)


def _numbers(gathered: Gathered, raw: bytes) -> tuple[Floats, Floats]:
    places = np.array(gathered.places, np.int64)
    values, at = np.empty(len(places)), np.empty(len(places))
    plain = places >= 0
    if plain.any():
        rows = np.frombuffer(raw, np.uint8)[places[plain][:, None] + np.arange(PLAIN_BYTES)]
        values[plain] = np.ascontiguousarray(rows[:, 1:PLAIN_MOMENT]).view("<f8")[:, 0]
        digits = rows[:, PLAIN_MOMENT + 1 :].astype(np.int64)
        at[plain] = ((digits & 0x7F) << np.arange(0, 42, 7)).sum(axis=1) / 1000
        whole = (digits[:, :-1] > 0x7F).all(axis=1) & (digits[:, -1] <= 0x7F)
        for place in np.flatnonzero(plain)[~whole].tolist():  # sixteen bytes that are something else
            begin = int(places[place])
            values[place], at[place] = _odd_sample(raw, begin, begin + PLAIN_BYTES)
    if gathered.odd:
        values[~plain], at[~plain] = np.array(gathered.odd).T
    return values, at
