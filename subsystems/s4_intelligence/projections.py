"""What S4 makes of the event log."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from subsystems.event_log.recorded import Recorded
from subsystems.event_log.registry import projects
from subsystems.s4_intelligence.models import Pattern


@projects("s4.patterns", start="current")
def hear_patterns(events: Sequence[Recorded]) -> None:
    """Let the event patterns hear what happened.

    There is no replay: what was detected long ago must not hurt again. A rehearsal shows what would have been.
    """
    if not Pattern.objects.filter(enabled=True).exists():
        return
    from subsystems.s4_intelligence.patterns import services  # the engine is loaded where there is a pattern

    services.hear(events, now=timezone.now())
