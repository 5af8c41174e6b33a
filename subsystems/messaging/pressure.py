"""Back-pressure: what a channel that fills up asks of those who send (requirements 003-13, 003-17, 004-20)."""

from __future__ import annotations

from dataclasses import dataclass

from subsystems.kernel.errors import Refused
from subsystems.kernel.severity import Severity
from subsystems.messaging.channels import Channel

CAPACITY = 250_000  # open messages a channel may hold; what a small machine works off within minutes
CROWDED = 0.8
SLOW_SECONDS = 0.05
RETRY_AFTER_SECONDS = 5.0
# At which utilisation a message of each severity is refused; critical never is.
REFUSED_AT = {Severity.LOW: 0.8, Severity.MEDIUM: 0.95, Severity.HIGH: 1.0}


class ChannelFull(Refused):
    """The channel has no room for a message of this severity now (HTTP 429)."""

    code = "channel_full"

    def __init__(self, channel: Channel, severity: Severity, utilisation: float) -> None:
        super().__init__(
            f"The {channel} channel is {utilisation:.0%} full and takes no {severity} messages now.", field="channel"
        )
        self.channel, self.severity, self.utilisation = channel, severity, utilisation
        self.retry_after_seconds = RETRY_AFTER_SECONDS


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How much is open on a channel: accepted and not yet handled."""

    backlog: int = 0
    oldest_age_seconds: float = 0.0
    capacity: int = CAPACITY

    @property
    def utilisation(self) -> float:
        return self.backlog / self.capacity


def delay_or_refuse(channel: Channel, severity: Severity, state: ChannelState) -> float:
    """Return how many seconds a sender should wait before it goes on. Raises ChannelFull for no room."""
    if state.utilisation >= REFUSED_AT.get(severity, float("inf")):
        raise ChannelFull(channel, severity, state.utilisation)
    return SLOW_SECONDS if state.utilisation >= CROWDED and severity is not Severity.CRITICAL else 0.0
