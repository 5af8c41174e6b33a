"""What S1 does at S3's command: the triggered runs."""

from __future__ import annotations

from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered, handles
from subsystems.s3_control import services


@handles("s1", services.TRIGGERED, name="s3.run", long=True)
def run(envelope: Envelope, context: Delivered) -> None:
    """Carry out one triggered run. Running twice is safe: only a pending run is begun."""
    services.run(envelope.payload["run_id"], worker=context.worker)
