"""Deciding whether a message may be sent, by the table of flows (requirements 2-7 to 2-10)."""

from __future__ import annotations

from subsystems.kernel.errors import Refused
from subsystems.messaging.channels import flow_of, why_refused
from subsystems.messaging.envelope import Envelope


class FlowRefused(Refused):
    """A message that the model does not allow; *envelope* is the one that was refused."""

    code = "flow_refused"

    def __init__(self, detail: str, envelope: Envelope) -> None:
        super().__init__(detail, field="to")
        self.envelope = envelope


def check_flow(envelope: Envelope, *, answers_open_request: bool) -> None:
    """Pass a permitted message. Raises FlowRefused saying what would be permitted."""
    flow = flow_of(envelope.channel, envelope.sender, envelope.recipient)
    if flow is None:
        raise FlowRefused(why_refused(envelope.channel, envelope.sender, envelope.recipient), envelope)
    if flow.only_as_reply and not answers_open_request:
        raise FlowRefused(
            f"{envelope.sender} may speak to {envelope.recipient} on the {envelope.channel} channel only to answer an"
            f" open request; no open request has the correlation id {envelope.correlation_id!r}.",
            envelope,
        )


def needs_open_request(envelope: Envelope) -> bool:
    """Return whether this direction is open to answers alone."""
    flow = flow_of(envelope.channel, envelope.sender, envelope.recipient)
    return flow is not None and flow.only_as_reply
