"""Prometheus' remote write, version 1: time series of one sample each, packed with snappy."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from subsystems.telemetry.doors.protobuf import FIXED64, put_bytes, put_number, tag
from subsystems.telemetry.exporters.payloads import Payload, batches
from subsystems.telemetry.families import Family, Part

SAMPLES_A_REQUEST = 2_000  # Prometheus' own
HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_VALUE = struct.Struct("<Bd")


def payloads(families: Iterable[Family], *, now: float) -> Iterator[Payload]:
    """Yield the requests that carry *families* as of *now*."""
    import cramjam  # only who exports this way pays for it

    series = (one for family in families for part in family.parts() for one in _series(part, now))
    for batch in batches(series, SAMPLES_A_REQUEST):
        yield Payload(bytes(cramjam.snappy.compress_raw(b"".join(batch))), len(batch), HEADERS)


def _series(part: Part, now: float) -> Iterator[bytes]:
    moment = put_number(2, int(now * 1000))
    name = ("__name__", part.name)
    for values, number in part.rows:
        labels = sorted([name, *zip(part.labels, values, strict=True)])
        pairs = b"".join(
            put_bytes(1, put_bytes(1, label.encode()) + put_bytes(2, value.encode()))
            for label, value in labels
            if value
        )
        sample = _VALUE.pack(tag(1, FIXED64), number) + moment
        yield put_bytes(1, pairs + put_bytes(2, sample))
