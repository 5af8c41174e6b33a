"""What every party does with a message: one row. S3 passes an order of S5 on to S1, in the same transaction."""

from __future__ import annotations

import time

from benchmarks.faults.effects.models import Effect
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered, handles
from subsystems.messaging.services import publish

TYPE, BATCH_TYPE = "faults.work", "faults.batch"
PASSED_ON = ">"  # ends the key of what a handler sent because of another message


def work(envelope: Envelope, context: Delivered) -> None:
    """Record the effect; pass an order on."""
    key = envelope.payload["key"]
    Effect.objects.create(side="platform", key=key, channel=envelope.channel, at=time.time())
    if envelope.channel is Channel.COMMAND and (envelope.sender, envelope.recipient) == (Party.S5, Party.S3):
        child = Envelope(
            channel=Channel.COMMAND, sender=Party.S3, recipient=Party.S1, type=TYPE, payload={"key": key + PASSED_ON},
            correlation_id=envelope.id, hop_count=envelope.hop_count + 1, priority=envelope.priority,
        )  # fmt: skip
        publish(child, system_id=context.system_id)


@handles("s2", BATCH_TYPE, name="faults.batch", batch=True)
def work_batch(envelope: Envelope, context: Delivered) -> None:
    """Record one effect for a whole batch, once all its messages have been looked at."""
    known = sum("unit" in item for item in context.items)
    Effect.objects.create(side="platform", key=envelope.id, channel=envelope.channel, at=time.time(), count=known)


for party in (Party.S1, Party.S2, Party.S3, Party.S3_STAR, Party.S4, Party.S5, Party.PLATFORM):
    handles(party, TYPE, name=f"faults.{party}")(work)
