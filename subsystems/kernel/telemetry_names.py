"""The telemetry events that there are (requirements 000-4 to 000-18), and their other spellings (2-14)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of event: its name, the numbers it carries and what it says about them."""

    name: str
    measurements: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    summary: str = ""


_UNIT = ("unit_id", "operation", "span_id")
_FAILURE = ("error_type", "error_message", "raised_at", "error")
# Durations are milliseconds (2-20); a count is always 1, so that listeners may add up what they hear.
EVENTS: tuple[Event, ...] = (
    Event("vsm.s1.operation.start", ("system_time",), _UNIT, "An operation begins"),
    Event("vsm.s1.operation.stop", ("duration", "success"), _UNIT, "An operation ended"),
    Event("vsm.s1.operation.exception", ("duration",), (*_UNIT, *_FAILURE), "An operation raised"),
    Event("vsm.s2.coordination.start", ("system_time",), ("action", "span_id"), "Coordination between units begins"),
    Event("vsm.s2.coordination.stop", ("duration", "success"), ("action", "span_id", *_FAILURE), "It ended"),
    Event("vsm.s3.control.decision", ("count",), ("decision", "subject"), "S3 decided something"),
    Event("vsm.s3.audit.check", ("count", "compliance"), ("auditor", "subject"), "S3* looked for itself"),
    Event("vsm.s4.scan.complete", ("duration", "findings"), ("scan", "market_sentiment"), "S4 looked at the outside"),
    Event("vsm.s4.pattern.detected", ("count", "confidence"), ("pattern", "source"), "S4 saw a pattern"),
    Event("vsm.s5.policy.update", ("count",), ("policy", "actor"), "A policy was changed"),
    Event("vsm.s5.identity.check", ("alignment",), ("subject",), "S5 compared what is done with what it is for"),
    Event("vsm.algedonic.pain", ("severity",), ("source", "signal_id"), "Pain; severity is its number, 0 to 1"),
    Event("vsm.algedonic.pleasure", ("severity",), ("source", "signal_id"), "Pleasure; severity is its number, 0 to 1"),
    Event("vsm.variety.calculated", ("variety",), ("subsystem",), "Variety was measured, in bits"),
    Event("vsm.variety.imbalance", ("ratio", "deficit"), ("type",), "A controller has less variety than it controls"),
)
# Names that the documents use beside the canonical ones; `aliases_of` adds what can be derived.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "system1.operation": ("vsm.s1.operation.stop",),
    "performance.measured": ("vsm.s1.operation.stop",),
    "system2.coordination": ("vsm.s2.coordination.stop",),
    "system3.control": ("vsm.s3.control.decision",),
    "system3.audit": ("vsm.s3.audit.check",),
    "system4.scan": ("vsm.s4.scan.complete",),
    "system4.pattern": ("vsm.s4.pattern.detected",),
    "system5.policy": ("vsm.s5.policy.update",),
    "system5.identity": ("vsm.s5.identity.check",),
    "algedonic.signal": ("vsm.algedonic.pain", "vsm.algedonic.pleasure"),
}
PREFIXES = ("vsm_core.", "vsm.", "")


def aliases_of(name: str) -> tuple[str, ...]:
    """Return the other spellings of a canonical name: `vsm_core.system1.operation.stop`, `system1.operation.stop` …"""
    bare = name.removeprefix("vsm.")
    spellings = [bare, f"system{bare[1:]}"] if bare[:1] == "s" and bare[1:2].isdigit() else [bare]
    return tuple(prefix + each for prefix in PREFIXES for each in spellings if prefix + each != name)


def alias_table(events: Iterable[Event] = EVENTS) -> dict[str, tuple[str, ...]]:
    """Return every alias with the canonical names that it stands for (requirements 2-14)."""
    table = {alias: (event.name,) for event in events for alias in aliases_of(event.name)}
    return table | {prefix + short: names for short, names in _ALIASES.items() for prefix in PREFIXES}
