"""A handler for each stream but audit (requirements 004-17, 2-45): how much happened, per type and hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from subsystems.event_log.bulk import add_counts
from subsystems.event_log.models import EventCount
from subsystems.event_log.recorded import Recorded
from subsystems.event_log.registry import projects
from subsystems.event_log.streams import Stream

HANDLERS = {
    "OperationsHandler": Stream.OPERATIONS,
    "CoordinationHandler": Stream.COORDINATION,
    "ControlHandler": Stream.CONTROL,
    "IntelligenceHandler": Stream.INTELLIGENCE,
    "PolicyHandler": Stream.POLICY,
    "AlgedonicHandler": Stream.ALGEDONIC,
    "VarietyHandler": Stream.VARIETY,
    "AlertsHandler": Stream.ALERTS,
}


def count(events: Sequence[Recorded]) -> None:
    """Add *events* to the counts."""
    found = Counter((event.stream, event.type, event.at.replace(minute=0, second=0, microsecond=0)) for event in events)
    add_counts((*key, number) for key, number in sorted(found.items()))


def _forget_counts(stream: Stream) -> Callable[[], None]:
    def reset() -> None:
        EventCount.objects.filter(stream=stream).delete()

    return reset


for _name, _stream in HANDLERS.items():
    projects(_name, streams=[_stream], start="current", reset=_forget_counts(_stream))(count)
