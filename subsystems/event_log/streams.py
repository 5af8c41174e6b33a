"""The streams of the event log (requirements 004-16) and which of them a subsystem writes to."""

from __future__ import annotations

from enum import StrEnum


class Stream(StrEnum):
    OPERATIONS = "vsm-system1-operations"
    COORDINATION = "vsm-system2-coordination"
    CONTROL = "vsm-system3-control"
    INTELLIGENCE = "vsm-system4-intelligence"
    POLICY = "vsm-system5-policy"
    ALGEDONIC = "vsm-algedonic-signals"
    VARIETY = "vsm-variety-measurements"
    ALERTS = "vsm-alerts"
    AUDIT = "audit"


_OF_PARTY = {
    "s1": Stream.OPERATIONS,
    "s2": Stream.COORDINATION,
    "s3": Stream.CONTROL,
    "s3_star": Stream.CONTROL,
    "s4": Stream.INTELLIGENCE,
    "s5": Stream.POLICY,
}


def stream_of(party: str, channel: str = "") -> Stream:
    """Return the stream in which a message of *party* on *channel* is recorded."""
    if channel == "algedonic":
        return Stream.ALGEDONIC
    return _OF_PARTY.get(party, Stream.AUDIT)
