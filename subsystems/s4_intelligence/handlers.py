"""What S4 hears."""

from __future__ import annotations

from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered, handles
from subsystems.s4_intelligence import services


@handles("platform", "viability.assessed", name="s4.viability")
def viability_assessed(envelope: Envelope, context: Delivered) -> None:
    """Keep the score as a series of its own, so that it can be foretold like any other. Unknown is no sample."""
    score = envelope.payload.get("score")
    if score is not None and context.system_id is not None:
        services.note_viability(context.system_id, float(score), now=context.now)
