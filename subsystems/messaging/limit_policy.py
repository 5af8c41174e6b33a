"""Which limits a message passes, and their documented numbers (requirements 004-6, 004-7, 2-38, 2-39).

Layers, most specific first: severity (algedonic) or priority (coordination), then the sending subsystem, then the whole
system; each system has buckets of its own. Critical pain has none, and nothing can give it one. What a system holds of
a pool of messages that it bargained about is a layer beside these, which only the bargain writes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import StrEnum

from subsystems.kernel.severity import Severity
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.gcra import Limit
from subsystems.messaging.limiter import Bucket

SECOND, MINUTE, DAY = 1, 60, 86_400
MOST = 1_000_000  # in a period, and at once
AT_ONCE_SECONDS = 10  # of what was bargained may be said in one go


class Layer(StrEnum):
    SYSTEM = "system"
    BARGAIN = "bargain"  # what a system holds of a pool of messages
    SUBSYSTEM = "subsystem"
    SEVERITY = "severity"
    PRIORITY = "priority"
    TOKEN = "token"  # noqa: S105  requests from outside; its numbers are settings


# Burst equals the limit, as in the plain token bucket: after a pause the first period may see twice the limit (2-39).
DEFAULTS: Mapping[tuple[Layer, str], Limit] = {
    (Layer.SEVERITY, "high"): Limit(10, MINUTE, 10),
    (Layer.SEVERITY, "medium"): Limit(5, MINUTE, 5),
    (Layer.SEVERITY, "low"): Limit(2, MINUTE, 2),
    (Layer.PRIORITY, "high"): Limit(100, SECOND, 100),
    (Layer.PRIORITY, "normal"): Limit(50, SECOND, 50),
    (Layer.PRIORITY, "low"): Limit(10, SECOND, 10),
    # Not in the documents: wide enough for every honest sender on a small machine, and an end to a loop.
    (Layer.SUBSYSTEM, ""): Limit(5_000, SECOND, 50_000),
    (Layer.SYSTEM, ""): Limit(10_000, SECOND, 100_000),
}
PRIORITY_CLASS = {Severity.CRITICAL: "high", Severity.HIGH: "high", Severity.MEDIUM: "normal", Severity.LOW: "low"}
KEYS: Mapping[str, frozenset[str]] = {
    Layer.SYSTEM: frozenset({""}),
    Layer.BARGAIN: frozenset({""}),
    Layer.SUBSYSTEM: frozenset({"", *Party}),
    Layer.SEVERITY: frozenset({"high", "medium", "low"}),
    Layer.PRIORITY: frozenset({"high", "normal", "low"}),
}
Rows = Mapping[tuple[int | None, str, str], Limit | None]  # (system, layer, key); None: nothing is refused here


def buckets(
    channel: Channel, sender: Party, severity: Severity, system_id: int | None, *, rows: Rows,
    bypass_critical: bool = True,
) -> tuple[Bucket, ...]:  # fmt: skip
    """Return what this message must find room in, most specific first; nothing at all for critical pain.

    Without *bypass_critical* (requirements 004-42) critical pain is held to the limits of high pain.

    The platform's own housekeeping is no channel of the model; and what the limiter itself says (at most one signal a
    minute and layer) must not be silenced by what it tells of.
    """
    if channel == Channel.PLATFORM or sender == Party.RATE_LIMITER:
        return ()
    if channel == Channel.ALGEDONIC and severity == Severity.CRITICAL:
        if bypass_critical:
            return ()
        severity = Severity.HIGH
    return tuple(_limited(_places(channel, sender, severity), severity, system_id, rows))


def _places(channel: Channel, sender: Party, severity: Severity) -> Iterator[tuple[Layer, str]]:
    if channel == Channel.ALGEDONIC:
        yield Layer.SEVERITY, severity
    elif channel == Channel.COORDINATION:
        yield Layer.PRIORITY, PRIORITY_CLASS[severity]
    if channel != Channel.RESOURCE_BARGAIN:  # else whoever holds too little could not ask for more
        yield Layer.BARGAIN, ""
    yield Layer.SUBSYSTEM, sender
    yield Layer.SYSTEM, ""


def _limited(
    places: Iterator[tuple[Layer, str]], severity: Severity, system_id: int | None, rows: Rows
) -> Iterator[Bucket]:
    for layer, key in places:
        limit = limit_of(layer, key, system_id, rows=rows)
        if limit is not None:
            name = f"{layer}:{system_id or 0}:{key}"
            yield Bucket(layer, name, limit, counter_name(layer, severity))


def limit_of(layer: Layer, key: str, system_id: int | None, *, rows: Rows) -> Limit | None:
    """Return the limit that holds: the system's own row, else the row for all, else the documented number."""
    for place in ((system_id, layer, key), (system_id, layer, ""), (None, layer, key), (None, layer, "")):
        if place in rows:
            return rows[place]
    return DEFAULTS.get((layer, key)) or DEFAULTS.get((layer, ""))


def limit_at(per_second: float) -> Limit:
    """Return the limit that lets *per_second* pass over time, as whole numbers; one a day is the least there is."""
    period = next((each for each in (SECOND, MINUTE) if per_second * each >= 100), DAY)
    whole = min(max(round(per_second * period), 1), MOST)
    return Limit(whole, period, min(max(math.ceil(per_second * AT_ONCE_SECONDS), 1), MOST))


def counter_name(layer: str, severity: str) -> str:
    """Return the counter of refusals by *layer*; both parts come from closed sets, so that there are few of them."""
    return f"refused:{layer}:{severity}"


def parse_counter(name: str) -> tuple[str, str] | None:
    """Return layer and severity of a counter of refusals, or None for any other counter."""
    kind, _, rest = name.partition(":")
    layer, _, severity = rest.partition(":")
    return (layer, severity) if kind == "refused" else None
