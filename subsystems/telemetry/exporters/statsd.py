"""StatsD and DogStatsD: lines in packets that no network cuts in two.

A count is sent as it stands, as a gauge: sent as a difference it would be wrong for good after one lost packet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from subsystems.telemetry.exporters.payloads import Payload
from subsystems.telemetry.families import Family, Values
from subsystems.telemetry.rendering import number_text

PACKET_BYTES = 1_432
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_NOT_IN_TAG = re.compile(r"[|,#@\s]")


def payloads(families: Iterable[Family], *, tags: bool) -> Iterator[Payload]:
    """Yield packets; with *tags* labels are DogStatsD's tags, else their values are parts of the name."""
    packet, lines = b"", 0
    for line in _lines(families, tags):
        if lines and len(packet) + 1 + len(line) > PACKET_BYTES:
            yield Payload(packet, lines)
            packet, lines = b"", 0
        packet = packet + b"\n" + line if lines else line
        lines += 1
    if lines:
        yield Payload(packet, lines)


def _lines(families: Iterable[Family], tags: bool) -> Iterator[bytes]:
    for family in families:
        for part in family.parts():
            for values, number in part.rows:
                if number - number:  # neither infinity nor NaN has a spelling here
                    continue
                name = f"{_name(part.name, values, tags)}:"
                rest = f"|g{_tags(part.labels, values) if tags else ''}"
                # A sign makes a gauge step: a negative one must be set to zero first.
                zero = f"{name}0{rest}\n" if number < 0 and not tags else ""
                yield f"{zero}{name}{number_text(number)}{rest}".encode()


def _name(name: str, values: Values, tags: bool) -> str:
    return name if tags else ".".join([name, *(_NOT_IN_NAME.sub("_", value) or "_" for value in values)])


def _tags(labels: tuple[str, ...], values: Values) -> str:
    found = [f"{label}:{_NOT_IN_TAG.sub('_', value)}" for label, value in zip(labels, values, strict=True) if value]
    return f"|#{','.join(found)}" if found else ""
