"""What S1 does at S3's command, what S3 makes of an alert that S5 passes on, and both ends of their bargain."""

from __future__ import annotations

from subsystems.messaging.envelope import Envelope
from subsystems.messaging.handlers import Delivered, handles
from subsystems.messaging.integration import channel_subscriber
from subsystems.s3_control import advising, carrying, services, steering
from subsystems.s3_control.bargaining import granting, hearing

ALERT = "alert.resource"  # as the alerts above call what S5 passes on about a resource


@handles("s1", services.TRIGGERED, name="s3.run", long=True)
def run(envelope: Envelope, context: Delivered) -> None:
    """Carry out one triggered run. Running twice is safe: only a pending run is begun."""
    services.run(envelope.payload["run_id"], worker=context.worker)


@handles("s1", steering.PROPOSED, name="s3.steer", own_transaction=True)
def steer(envelope: Envelope, context: Delivered) -> None:
    """Begin one act of steering. Running twice is safe: only a proposed action is begun."""
    carrying.carry_out(envelope.payload["action_id"], now=context.now)


@handles("s3", ALERT, name="s3.suggest")
def suggest(envelope: Envelope, context: Delivered) -> None:
    """Suggest what helps against an alert about a resource (002-4). An alert that is told twice suggests once."""
    advising.hear_alert(envelope.payload, now=context.now)


# Each takes the pool for itself alone, so none shares a transaction with another message. Hearing a word twice is safe:
# a request is one by its message's id, an answer by the number of its offer.
for _word in (granting.REQUEST, granting.ACCEPT, granting.REFUSE, granting.RELEASE):
    channel_subscriber("resource_bargain", "s3", _word, name=f"s3.bargain.{_word}", own_transaction=True)(hearing.hear)
channel_subscriber("resource_bargain", "s1", granting.OFFER, name="s1.bargain.offer", own_transaction=True)(
    hearing.hear_offer
)
channel_subscriber("resource_bargain", "s1", granting.DECLINE, name="s1.bargain.decline", own_transaction=True)(
    hearing.hear_decline
)
