"""What S1 hears from S2: which of its units swing or are in each other's way."""

from __future__ import annotations

from typing import Any

from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered, handles
from subsystems.messaging.live import push
from subsystems.s1_operations.models import Unit


@handles("s1", "coordination.found", name="s1.coordination_found")
def hear_found(envelope: Envelope, context: Delivered) -> dict[str, Any]:
    """Show what was found on open dashboards, and answer which units it is about."""
    return _heard(envelope, context)


@handles("s1", "coordination.ended", name="s1.coordination_ended")
def hear_ended(envelope: Envelope, context: Delivered) -> dict[str, Any]:
    """Show that it is over, and answer which units it was about."""
    return _heard(envelope, context)


def _heard(envelope: Envelope, context: Delivered) -> dict[str, Any]:
    told = dict(envelope.payload)
    if context.system_id is None:
        return {"units": []}
    push(context.system_id, "coordination", str(told.get("finding", "")), told)
    units = Unit.objects.filter(system_id=context.system_id, name=str(told.get("subject", "")))
    return {"units": list(units.values_list("pk", flat=True)[:50])}
