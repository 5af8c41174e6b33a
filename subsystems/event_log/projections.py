"""A handler for each stream but audit (requirements 004-17, 2-45): counts by system, type and five minutes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

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

SLOT_MINUTES = 5


def count(events: Sequence[Recorded]) -> None:
    """Add *events* to the counts."""
    found = Counter((event.system_id or 0, event.stream, event.type, _slot(event.at)) for event in events)
    add_counts((*key, number) for key, number in sorted(found.items()))


def _slot(at: datetime) -> datetime:
    return at.replace(minute=at.minute // SLOT_MINUTES * SLOT_MINUTES, second=0, microsecond=0)


def _forget_counts(stream: Stream) -> Callable[[], None]:
    def reset() -> None:
        EventCount.objects.filter(stream=stream).delete()

    return reset


for _name, _stream in HANDLERS.items():
    projects(_name, streams=[_stream], start="current", reset=_forget_counts(_stream))(count)
