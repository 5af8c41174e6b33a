"""OpenTelemetry's protocol: gauges, sums that only grow, histograms and summaries of one resource."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterable, Iterator, Sequence

from subsystems.telemetry.doors.protobuf import FIXED64, put_bytes, put_number, tag
from subsystems.telemetry.exporters.payloads import Payload
from subsystems.telemetry.families import Distribution, Family, Values

POINTS_A_REQUEST = 5_000
HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
SERVICE = "vsm"
CUMULATIVE = 2
# Fields of the protocol's messages; see opentelemetry/proto/metrics/v1/metrics.proto.
NAME, DESCRIPTION = 1, 2
DATA = {"gauge": 5, "counter": 7, "histogram": 9, "summary": 11}
TIME, AS_DOUBLE, ATTRIBUTES = 3, 4, {"gauge": 7, "counter": 7, "histogram": 9, "summary": 7}
_NUMBER, _WHOLE = struct.Struct("<Bd"), struct.Struct("<BQ")


def payloads(families: Iterable[Family], *, now: float) -> Iterator[Payload]:
    """Yield the requests that carry *families* as of *now*."""
    held: list[bytes] = []
    room = POINTS_A_REQUEST
    for family in families:
        points = _points(family, now)
        while points:
            taken, points = points[:room], points[room:]
            held.append(_metric(family, taken))
            room -= len(taken)
            if not room:
                yield _payload(held, POINTS_A_REQUEST)
                held, room = [], POINTS_A_REQUEST
    if held:
        yield _payload(held, POINTS_A_REQUEST - room)


def _payload(metrics: Sequence[bytes], points: int) -> Payload:
    resource = put_bytes(1, put_bytes(1, _attribute("service.name", SERVICE)))
    scope = put_bytes(2, b"".join(put_bytes(2, metric) for metric in metrics))
    return Payload(gzip.compress(put_bytes(1, resource + scope), 1, mtime=0), points, HEADERS)


def _kind(family: Family) -> str:
    """Return as what a family is sent: what is neither a count nor a distribution is a gauge."""
    return family.kind if family.kind == "counter" or family.distributions else "gauge"


def _metric(family: Family, points: Sequence[bytes]) -> bytes:
    kind = _kind(family)
    name = f"{family.name}_total" if family.kind == "counter" else family.name
    data = b"".join(put_bytes(1, point) for point in points)
    if kind in {"counter", "histogram"}:
        data += put_number(2, CUMULATIVE)
    if kind == "counter":
        data += put_number(3, 1)  # it never falls
    head = put_bytes(NAME, name.encode()) + put_bytes(DESCRIPTION, family.text.encode())
    return head + put_bytes(DATA[kind], data)


def _points(family: Family, now: float) -> list[bytes]:
    moment = _WHOLE.pack(tag(TIME, FIXED64), int(now * 1e9))
    field = ATTRIBUTES[_kind(family)]

    def attributes(values: Values) -> bytes:
        pairs = zip(family.labels, values, strict=True)
        return b"".join(put_bytes(field, _attribute(label, value)) for label, value in pairs)

    numbers = [
        attributes(values) + moment + _NUMBER.pack(tag(AS_DOUBLE, FIXED64), number) for values, number in family.rows
    ]
    return numbers + [
        attributes(values) + moment + _distribution(family, each) for values, each in family.distributions
    ]


def _distribution(family: Family, each: Distribution) -> bytes:
    """Return count, sum and, for a histogram, how many fell into each bucket alone."""
    found = _WHOLE.pack(tag(4, FIXED64), int(each.counts[-1])) + _NUMBER.pack(tag(5, FIXED64), each.sum)
    if family.kind == "summary":
        return found
    alone = [int(high - low) for low, high in zip((0.0, *each.counts), each.counts, strict=False)]
    counts, bounds = struct.pack(f"<{len(alone)}Q", *alone), struct.pack(f"<{len(family.bounds)}d", *family.bounds)
    return found + put_bytes(6, counts) + put_bytes(7, bounds)


def _attribute(key: str, value: str) -> bytes:
    return put_bytes(1, key.encode()) + put_bytes(2, put_bytes(1, value.encode()))
