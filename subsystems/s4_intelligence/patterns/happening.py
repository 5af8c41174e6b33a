"""One event as patterns hear it, whether it comes from the event log or from telemetry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from subsystems.event_log.recorded import Recorded
from subsystems.kernel.telemetry_names import alias_table

MISSING: Any = object()
# Names of the documents that no telemetry event stands for (requirements 2-14): where they come from is in docs.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "variety.calculated": ("vsm.variety.calculated",),
    "system3.resources": ("vsm.s3.resources",),
    "s3.resources": ("vsm.s3.resources",),
    "rate_exceeded": ("vsm.rate_limiter.rate_exceeded",),
    "rate_limiter.rate_exceeded": ("vsm.rate_limiter.rate_exceeded",),
    "backpressure": ("vsm.rate_limiter.backpressure",),
    "rate_limiter.backpressure": ("vsm.rate_limiter.backpressure",),
    "performance": ("vsm.s1.performance",),
    "s1.performance": ("vsm.s1.performance",),
    "system1.performance": ("vsm.s1.performance",),
}
TOLD = "algedonic.signal"  # the type of a message, and in the documents the name of a signal
SIGNAL = "AlgedonicSignalEmitted"  # in the log; here it goes by the names of telemetry
TABLE: dict[str, tuple[str, ...]] = {
    **{prefix + name: names for name, names in _ALIASES.items() for prefix in ("vsm_core.", "vsm.", "")},
    **alias_table(),
    SIGNAL: ("vsm.algedonic.pain", "vsm.algedonic.pleasure"),
    "coordination.adjusted": ("vsm.s2.coordination.stop",),
    "pattern.detected": ("vsm.s4.pattern.detected",),
}


class Happening(NamedTuple):
    """When it was (epoch seconds), what it is called and says, and its position in the event log.

    What telemetry told has no position there: *ref* is then minus its number.
    """

    at: float
    type: str
    data: Mapping[str, Any]
    ref: int = 0


def names_of(name: str) -> tuple[str, ...]:
    """Return the canonical names that *name* stands for; one that is no alias stands for itself."""
    return TABLE.get(name, (name,))


def name_of(type_: str, data: Mapping[str, Any]) -> str:
    """Return the canonical name of an event of the log."""
    if type_ == TOLD:
        return "algedonic.told"  # a message to one of those who are told; the signal itself has its own event
    if type_ == SIGNAL:
        return "vsm.algedonic.pleasure" if data.get("signal_type") == "pleasure" else "vsm.algedonic.pain"
    return names_of(type_)[0]


def flat(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *data* with the fields of its payload beside it: what a message says, and its cover."""
    payload = data.get("payload")
    return {**payload, **data} if isinstance(payload, dict) else data


def reader(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that gets the field *path*, words with dots between, or MISSING."""
    parts = tuple(path.split("."))
    if len(parts) == 1:
        return lambda data: data.get(path, MISSING)

    def nested(data: Mapping[str, Any]) -> Any:
        found: Any = data
        for part in parts:
            if not isinstance(found, Mapping):
                return MISSING
            found = found.get(part, MISSING)
            if found is MISSING:
                return data.get(path, MISSING)  # a name that has dots itself
        return found

    return nested


def happening_of(event: Recorded) -> Happening:
    """Return an event of the log as patterns hear it."""
    said = event.data
    data = {**flat(said)}
    data["event"] = {
        "type": event.type, "stream": event.stream, "actor": event.actor, "correlation_id": event.correlation_id,
    }  # fmt: skip
    return Happening(event.at.timestamp(), name_of(event.type, said), data, event.position)
