"""The channels, and who may say what to whom on each (requirements 003-4 to 003-8, 2-7 to 2-13)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Channel(StrEnum):
    """The five documented channels, the S3-S4 homeostat, and the platform's own housekeeping."""

    COMMAND = "command"
    COORDINATION = "coordination"
    AUDIT = "audit"
    RESOURCE_BARGAIN = "resource_bargain"
    ALGEDONIC = "algedonic"
    HOMEOSTAT = "homeostat"
    PLATFORM = "platform"  # between rooms of this platform; no channel of the model


class Party(StrEnum):
    """Who can be at either end of a channel."""

    S1 = "s1"
    S2 = "s2"
    S3 = "s3"
    S3_STAR = "s3_star"
    S4 = "s4"
    S5 = "s5"
    CLUSTER = "cluster"
    RATE_LIMITER = "rate_limiter"
    OPERATOR = "operator"
    PLATFORM = "platform"


PLATFORM_SOURCES = (Party.CLUSTER, Party.RATE_LIMITER, Party.OPERATOR, Party.PLATFORM)
# What the platform itself says as a subsystem, and acts by: nobody outside may say it in its place.
SPOKEN_WITHIN = frozenset({(Channel.RESOURCE_BARGAIN, Party.S3)})
PAINED = (Party.S1, Party.S2, Party.S3, Party.S3_STAR, Party.S4, *PLATFORM_SOURCES)  # 2-7
PARTY_ALIASES = {
    **{f"system{number}": Party(f"s{number}") for number in range(1, 6)},
    "system3_star": Party.S3_STAR,
    "cluster_management": Party.CLUSTER,
}


@dataclass(frozen=True, slots=True)
class Flow:
    """One permitted direction of a channel."""

    channel: Channel
    sender: Party
    recipient: Party
    only_as_reply: bool = False  # needs the correlation id of an open request


FLOWS = frozenset(
    {
        Flow(Channel.COMMAND, Party.S5, Party.S3),
        Flow(Channel.COMMAND, Party.S3, Party.S1),
        Flow(Channel.COMMAND, Party.S5, Party.S4),
        Flow(Channel.COORDINATION, Party.S2, Party.S1),
        Flow(Channel.COORDINATION, Party.S1, Party.S2),
        Flow(Channel.COORDINATION, Party.S1, Party.S1),
        Flow(Channel.AUDIT, Party.S3_STAR, Party.S1),
        Flow(Channel.AUDIT, Party.S1, Party.S3_STAR, only_as_reply=True),
        Flow(Channel.RESOURCE_BARGAIN, Party.S1, Party.S3),
        Flow(Channel.RESOURCE_BARGAIN, Party.S3, Party.S1),
        Flow(Channel.HOMEOSTAT, Party.S3, Party.S4),
        Flow(Channel.HOMEOSTAT, Party.S4, Party.S3),
        Flow(Channel.PLATFORM, Party.PLATFORM, Party.PLATFORM),
        # Pain goes past everybody; the route table decides by severity who else hears it (2-6).
        *(Flow(Channel.ALGEDONIC, source, target) for source in PAINED for target in (Party.S5, Party.S4, Party.S3)),
    }
)
# Answers go up the lines that orders come down, as replies only.
REPLIES = frozenset(
    {
        Flow(Channel.COMMAND, Party.S3, Party.S5, only_as_reply=True),
        Flow(Channel.COMMAND, Party.S1, Party.S3, only_as_reply=True),
        Flow(Channel.COMMAND, Party.S4, Party.S5, only_as_reply=True),
    }
)
_TABLE: Mapping[tuple[Channel, Party, Party], Flow] = {
    (flow.channel, flow.sender, flow.recipient): flow for flow in FLOWS | REPLIES
}
_EXPLAINED = {
    (Channel.COMMAND, Party.S5, Party.S1): "S5 commands S1 through S3: send it to S3, which passes it on.",
    (
        Channel.COMMAND,
        Party.S1,
        Party.S5,
    ): "S1 reports to S3; what cannot wait goes to S5 as pain (algedonic).",
    (Channel.ALGEDONIC, Party.S5, Party.S5): "S5 hears pain; it raises none to itself, only to the system above it.",
    (Channel.COMMAND, Party.S4, Party.S3): "S4 advises S3 on the homeostat; only S5 and S3 command.",
}


def parse_channel(text: str) -> Channel:
    """Return the channel that *text* names, with or without `_channel` (2-12). Raises ValueError for others."""
    return Channel(text.removesuffix("_channel"))


def parse_party(text: str) -> Party:
    """Return the party that *text* names, `systemN` included (2-13). Raises ValueError for others."""
    return PARTY_ALIASES.get(text) or Party(text)


def flow_of(channel: Channel, sender: Party, recipient: Party) -> Flow | None:
    """Return the table's line for this direction, or None where nothing may be said."""
    return _TABLE.get((channel, sender, recipient))


def why_refused(channel: Channel, sender: Party, recipient: Party) -> str:
    """Return in words why nothing may be said in this direction, naming what may."""
    explained = _EXPLAINED.get((channel, sender, recipient))
    if explained:
        return explained
    open_to = sorted(flow.recipient for flow in FLOWS if flow.channel == channel and flow.sender == sender)
    may = f"it may speak to {', '.join(open_to)}" if open_to else f"{sender} says nothing on it"
    return f"On the {channel} channel {sender} may not speak to {recipient}; {may}."
