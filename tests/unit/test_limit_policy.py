"""Which limits hold for which message."""

from __future__ import annotations

import pytest

from subsystems.kernel.severity import Severity
from subsystems.messaging.breaker import Breaker
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.gcra import Limit
from subsystems.messaging.limit_policy import Layer, Rows, buckets, counter_name, limit_at, limit_of, parse_counter

HIGH, MEDIUM, LOW, CRITICAL = Severity.HIGH, Severity.MEDIUM, Severity.LOW, Severity.CRITICAL


@pytest.mark.parametrize(
    ("channel", "severity", "layer", "limit"),
    [
        pytest.param(Channel.ALGEDONIC, HIGH, "severity", Limit(10, 60, 10), id="high pain"),
        pytest.param(Channel.ALGEDONIC, MEDIUM, "severity", Limit(5, 60, 5), id="medium pain"),
        pytest.param(Channel.ALGEDONIC, LOW, "severity", Limit(2, 60, 2), id="low pain"),
        pytest.param(Channel.COORDINATION, CRITICAL, "priority", Limit(100, 1, 100), id="most urgent coordination"),
        pytest.param(Channel.COORDINATION, HIGH, "priority", Limit(100, 1, 100), id="high coordination"),
        pytest.param(Channel.COORDINATION, MEDIUM, "priority", Limit(50, 1, 50), id="normal coordination"),
        pytest.param(Channel.COORDINATION, LOW, "priority", Limit(10, 1, 10), id="low coordination"),
        pytest.param(
            Channel.COMMAND, HIGH, "subsystem", Limit(5_000, 1, 50_000), id="a command has no layer of its own"
        ),
    ],
)
def test_the_documented_limits_are_the_most_specific(
    channel: Channel, severity: Severity, layer: str, limit: Limit
) -> None:
    """Requirements 004-6 and 004-7."""
    first = buckets(channel, Party.S1, severity, 7, rows={})[0]

    assert (first.layer, first.limit) == (layer, limit)


def test_layers_go_from_the_severity_to_the_whole_system() -> None:
    """The result must name the narrowest cause (2-38)."""
    found = buckets(Channel.ALGEDONIC, Party.S1, HIGH, 7, rows={})

    assert [bucket.key for bucket in found] == ["severity:7:high", "subsystem:7:s1", "system:7:"]


def test_what_was_bargained_stands_beside_the_other_layers_except_while_bargaining() -> None:
    """Whoever holds too little must be able to ask for more."""
    rows: Rows = {(7, Layer.BARGAIN, ""): Limit(3, 1, 30)}

    layers = {
        channel: [bucket.layer for bucket in buckets(channel, Party.S1, HIGH, 7, rows=rows)]
        for channel in (Channel.COORDINATION, Channel.RESOURCE_BARGAIN)
    }

    assert layers[Channel.COORDINATION] == ["priority", "bargain", "subsystem", "system"]
    assert layers[Channel.RESOURCE_BARGAIN] == ["subsystem", "system"]


@pytest.mark.parametrize(
    ("per_second", "limit"),
    [
        pytest.param(250.0, Limit(250, 1, 2500), id="a second of it"),
        pytest.param(2.5, Limit(150, 60, 25), id="a minute of it"),
        pytest.param(0.01, Limit(864, 86_400, 1), id="a day of it"),
        pytest.param(0.0, Limit(1, 86_400, 1), id="nothing is one a day"),
        pytest.param(1e9, Limit(1_000_000, 1, 1_000_000), id="no more than a limit can be"),
    ],
)
def test_a_rate_becomes_a_limit_of_whole_numbers(per_second: float, limit: Limit) -> None:
    """Over time it lets as much pass, and ten seconds of it at once."""
    assert limit_at(per_second) == limit


@pytest.mark.parametrize(
    ("channel", "sender", "severity"),
    [
        pytest.param(Channel.ALGEDONIC, Party.S1, CRITICAL, id="critical pain"),
        pytest.param(Channel.ALGEDONIC, Party.RATE_LIMITER, MEDIUM, id="the limiter's own signal"),
        pytest.param(Channel.PLATFORM, Party.PLATFORM, LOW, id="housekeeping"),
    ],
)
def test_what_is_never_limited(channel: Channel, sender: Party, severity: Severity) -> None:
    """Not even by a row that somebody wrote."""
    rows: Rows = {(None, layer, ""): Limit(1, 60, 1) for layer in ("severity", "subsystem", "system")}

    assert buckets(channel, sender, severity, None, rows=rows) == ()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param({}, Limit(10, 60, 10), id="the documented number"),
        pytest.param({(None, "severity", "high"): Limit(20, 60, 5)}, Limit(20, 60, 5), id="a row for all systems"),
        pytest.param(
            {(None, "severity", "high"): Limit(20, 60, 5), (7, "severity", "high"): Limit(3, 60, 3)},
            Limit(3, 60, 3),
            id="a row of the system wins",
        ),
        pytest.param({(8, "severity", "high"): Limit(1, 60, 1)}, Limit(10, 60, 10), id="another system's row"),
        pytest.param({(7, "severity", "high"): None}, None, id="switched off"),
    ],
)
def test_rows_go_before_the_documented_numbers(rows: Rows, expected: Limit | None) -> None:
    """Numbers are policy."""
    assert limit_of("severity", "high", 7, rows=rows) == expected  # type: ignore[arg-type]


def test_a_layer_that_is_off_leaves_the_others() -> None:
    """Switching off one layer is no way around the next."""
    found = buckets(Channel.ALGEDONIC, Party.S1, LOW, 7, rows={(7, "severity", "low"): None})

    assert [bucket.layer for bucket in found] == ["subsystem", "system"]


def test_counters_are_read_back_as_they_were_named() -> None:
    """The metric's labels come from here."""
    assert parse_counter(counter_name("severity", "high")) == ("severity", "high")
    assert parse_counter(counter_name("token", "")) == ("token", "")
    assert parse_counter("fallbacks") is None


def test_an_open_breaker_lets_one_ask_at_a_time() -> None:
    """Fifty publishers must not all wait for the same dead server."""
    breaker = Breaker(1.0)

    news = [breaker.failed(now=10.0), breaker.failed(now=10.1)]
    asked = [breaker.may_ask(now=at) for at in (10.5, 11.2, 11.3, 12.3)]

    assert news == [True, False]
    assert asked == [False, True, False, True]


def test_a_breaker_closes_with_the_first_answer() -> None:
    """Recovery needs nobody's help, and is told once."""
    breaker = Breaker(1.0)
    breaker.failed(now=10.0)

    assert [breaker.answered(), breaker.answered(), breaker.closed] == [True, False, True]
    assert breaker.may_ask(now=10.0)
