"""What alerts hear."""

from __future__ import annotations

from typing import Any

from alerts import informing, receiver
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered, handles


@handles("platform", "viability.assessed", name="alerts.viability")
def viability_assessed(envelope: Envelope, context: Delivered) -> None:
    """Watch an assessment."""
    receiver.receive_viability(envelope.payload, now=context.now)


@handles("s5", informing.CRITICAL, name="s5.alerts")
def hear_as_s5(envelope: Envelope, context: Delivered) -> None:
    """Hear of a critical alert, and pass it on to S3 where a resource is meant. The question to people is open."""
    informing.order(dict(envelope.payload), system_id=context.system_id)


@handles("s3", informing.RESOURCE, name="s3.alerts")
def hear_as_s3(envelope: Envelope, context: Delivered) -> dict[str, Any]:
    """Answer S5 what is known of the resource."""
    return informing.answer(dict(envelope.payload))
