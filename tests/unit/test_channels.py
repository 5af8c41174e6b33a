"""Who may say what to whom, on every channel, in every direction."""

from __future__ import annotations

from itertools import product

import pytest

from subsystems.messaging.channels import (
    FLOWS,
    REPLIES,
    Channel,
    Flow,
    Party,
    parse_channel,
    parse_party,
    why_refused,
)  # fmt: skip
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.flows import FlowRefused, check_flow

PERMITTED = {(flow.channel, flow.sender, flow.recipient) for flow in FLOWS | REPLIES}
EVERYTHING = list(product(Channel, Party, Party))


def said(channel: Channel, sender: Party, recipient: Party) -> Envelope:
    return Envelope(channel=channel, sender=sender, recipient=recipient, type="t")


def test_every_direction_that_is_not_in_the_table_is_refused_in_words() -> None:
    """The model holds only if nothing goes past it; 7 channels by 10 parties by 10 are tried, not a sample."""
    refused = {}
    for way in EVERYTHING:
        try:
            check_flow(said(*way), answers_open_request=True)
        except FlowRefused as error:
            refused[way] = error.detail

    assert set(refused) == set(EVERYTHING) - PERMITTED
    assert min(map(len, refused.values())) > 20


def test_answers_need_an_open_request() -> None:
    """S1 does not speak to S3* unasked (2-10), nor up the line of command."""
    answers = [flow for flow in FLOWS | REPLIES if flow.only_as_reply]

    for flow in answers:
        with pytest.raises(FlowRefused, match="open request"):
            check_flow(said(flow.channel, flow.sender, flow.recipient), answers_open_request=False)
    assert Flow(Channel.AUDIT, Party.S1, Party.S3_STAR, only_as_reply=True) in answers


@pytest.mark.parametrize(
    ("sender", "recipient", "permitted"),
    [
        pytest.param(Party.S5, Party.S3, True, id="S5 to S3"),
        pytest.param(Party.S3, Party.S1, True, id="S3 to S1"),
        pytest.param(Party.S5, Party.S4, True, id="S5 to S4"),
        pytest.param(Party.S5, Party.S1, False, id="S5 past S3"),
        pytest.param(Party.S2, Party.S1, False, id="S2 commands nobody"),
        pytest.param(Party.S4, Party.S3, False, id="S4 advises"),
    ],
)
def test_command_goes_down_the_line(sender: Party, recipient: Party, permitted: bool) -> None:
    """Requirements 003-4 and 2-8."""
    assert (Flow(Channel.COMMAND, sender, recipient) in FLOWS) is permitted


def test_pain_goes_past_everybody_but_never_from_s5_to_itself() -> None:
    """Requirements 2-7."""
    heard = {flow.sender for flow in FLOWS if flow.channel is Channel.ALGEDONIC and flow.recipient is Party.S5}

    assert {Party.S1, Party.S2, Party.S3, Party.S3_STAR, Party.S4, Party.OPERATOR, Party.CLUSTER} <= heard
    assert Party.S5 not in heard


def test_a_refusal_names_the_way_there_is() -> None:
    """To be told no is half an answer."""
    assert "through S3" in why_refused(Channel.COMMAND, Party.S5, Party.S1)
    assert "may speak to s1" in why_refused(Channel.COORDINATION, Party.S2, Party.S5)


@pytest.mark.parametrize(
    ("word", "meant"), [("system1", Party.S1), ("s3_star", Party.S3_STAR), ("cluster_management", Party.CLUSTER)]
)
def test_old_names_of_parties_are_understood(word: str, meant: Party) -> None:
    """Requirements 2-13."""
    assert parse_party(word) is meant


def test_old_names_of_channels_are_understood() -> None:
    """Requirements 2-12."""
    assert parse_channel("resource_bargain_channel") is Channel.RESOURCE_BARGAIN
