"""Who hears pain and pleasure: S5, S4 and S3, each by messages of its own, and S5 the canaries."""

from __future__ import annotations

from subsystems.algedonic import canary, receiver
from subsystems.algedonic.routes import CANARY_TYPE, TYPE
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered, handles


@handles("s5", TYPE, name="s5.signals")
def hear_as_s5(envelope: Envelope, context: Delivered) -> None:
    """Record that S5 heard a signal."""
    receiver.receive(envelope, system_id=context.system_id, now=context.now)


@handles("s4", TYPE, name="s4.signals")
def hear_as_s4(envelope: Envelope, context: Delivered) -> None:
    """Record that S4 heard a signal."""
    receiver.receive(envelope, system_id=context.system_id, now=context.now)


@handles("s3", TYPE, name="s3.signals")
def hear_as_s3(envelope: Envelope, context: Delivered) -> None:
    """Record that S3 heard a signal."""
    receiver.receive(envelope, system_id=context.system_id, now=context.now)


def follow_up(envelope: Envelope, context: Delivered) -> None:
    """Count a signal, look for its pattern, pass a child's pain on to its parent."""
    receiver.follow_up(envelope, now=context.now)


# After those that record, each with a claim of its own: nobody waits for this, and it can fail without harm to them.
for party in ("s5", "s4", "s3"):
    handles(party, TYPE, name=f"{party}.follow_up")(follow_up)


@handles("s5", CANARY_TYPE, name="s5.canary")
def hear_canary(envelope: Envelope, context: Delivered) -> None:
    """Record that a canary came through the lane."""
    canary.answer(envelope.id, now=context.now)
