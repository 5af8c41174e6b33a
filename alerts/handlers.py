"""What alerts hear."""

from __future__ import annotations

from alerts import receiver
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered, handles


@handles("platform", "viability.assessed", name="alerts.viability")
def viability_assessed(envelope: Envelope, context: Delivered) -> None:
    """Watch an assessment."""
    receiver.receive_viability(envelope.payload, now=context.now)
